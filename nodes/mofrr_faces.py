"""Photos restored: filled by one face each, or the faces in them, each by itself."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..pipelines.mofrr.clips import Frames as Photos
from ..pipelines.mofrr.request import Request
from . import host
from .face_choice import NO_FACE, FaceChoice, faceless, find_faces
from .face_crops import Faces, Frames, cut_faces
from .mofrr_model import MoFRRModel
from .mofrr_routing import Verdict, Wishes, leave_alone

FEATHER = 0.1


class Asked(NamedTuple):
    """A model and what is asked of it."""

    model: MoFRRModel
    request: Request
    seed: int  # of the noise
    wishes: Wishes  # as in the request, for the verdict

    def faceless(self, pixels: Photos, choice: FaceChoice, clip: bool = False) -> list[bool]:
        """As `face_choice.faceless`; where something is decided by hand no face need be found."""
        if any(self.wishes[0].values()):
            return [False] * len(pixels)
        return faceless(pixels, choice, clip)

    def of(self, empty: list[bool]) -> Asked:
        """It for photos of which those are empty: of nothing but such ones nothing is undone."""
        return self._replace(request=self.request._replace(operations=())) if all(empty) else self

    def generator(self) -> torch.Generator:
        """What the noise is drawn by."""
        return torch.Generator().manual_seed(self.seed)


class Restored(NamedTuple):
    """What came of photos B 3 H W."""

    images: Tensor  # B 3 H W in [0, 1]
    uncertainty: Tensor | None  # B 1 H W
    verdict: Verdict | None  # on the crops
    bars: list[dict[str, Any]]  # for each face what the frontend draws
    told: str = ""  # how many were found, and how


def restore_pictures(
    asked: Asked, pixels: Tensor, choice: FaceChoice, boxes: Any, landmarks: Any
) -> Restored:
    """Restore photos that are filled by one face each, or those faces in them that are meant.

    Args:
        asked: a model and what is asked of it.
        pixels: B 3 H W in [0, 1].
        choice: of the faces.
        boxes: the host's, or None.
        landmarks: the host's, or None.
    """
    found = find_faces(pixels, choice, boxes, landmarks)
    if found is None:
        return restore_photos(asked, pixels, asked.faceless(pixels, choice))
    if not found.number:
        told = f"{NO_FACE} by {found.by}: nothing was done"
        return Restored(pixels, None, None, [], told)
    told = f"{found.number} face(s), found by {found.by}\n"
    return restore_faces(asked, pixels, found.frames)._replace(told=told)


def restore_photos(asked: Asked, pixels: Tensor, empty: list[bool]) -> Restored:
    """Restore photos that are filled by one face each.

    Args:
        asked: a model and what is asked of it.
        pixels: B 3 H W in [0, 1].
        empty: of each photo whether it shows no face, so that nothing is found in it.
    """
    model, request = asked.model, asked.of(empty).request
    room = host.HostRoom(model)
    result = model.pipeline.restore(pixels, request, asked.generator(), room=room)
    verdict = Verdict.of(model.pipeline, result.routing, False, asked.wishes, empty)
    images, spread = result.images, result.uncertainty
    if any(empty):
        keep = torch.tensor(empty)[:, None, None, None]
        images = torch.where(keep, pixels, images)
        spread = None if spread is None else spread * ~keep
    return Restored(images, spread, verdict, verdict.bars(result.degrees, result.active))


def restore_faces(asked: Asked, pixels: Tensor, frames: Frames) -> Restored:
    """Restore the faces of photos, at least one, and paste the changes back."""
    faces = cut_faces(pixels, frames)
    found = restore_photos(asked, faces.crops, [False] * len(faces.crops))
    _label(found.bars, faces, pixels)
    images, _ = faces.paste(pixels, found.images, FEATHER, match_colour=True)
    spread = found.uncertainty
    if spread is not None:
        spread = faces.lay(spread, pixels, FEATHER)[0]
    return found._replace(images=images, uncertainty=spread)


def _label(bars: list[dict[str, Any]], faces: Faces, pixels: Tensor) -> None:
    """Say in the bars whose they are, and leave alone what lies outside its picture."""
    places = faces.places()
    several = len(places) > 1 or len(faces.frames) > 1
    for bar, (label, _), place in zip(bars, places, faces.pictures, strict=True):
        bar["picture"] = place
        if several:
            bar["label"] = label
    inside = faces.inside(pixels.shape[-1], pixels.shape[-2])
    leave_alone(bars, [None if fits else "its box lies outside the picture" for fits in inside])
