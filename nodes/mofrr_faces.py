"""Photos restored: filled by one face each, or the faces in them, each by itself."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..pipelines.mofrr.request import Request
from . import host
from .face_choice import NO_FACE, FaceChoice, faceless, find_faces
from .face_crops import Faces, Frames, cut_faces
from .mofrr_model import MoFRRModel
from .mofrr_routing import Verdict, Wishes, leave_alone

FEATHER = 0.1


class Restored(NamedTuple):
    """What came of photos B 3 H W."""

    images: Tensor  # B 3 H W in [0, 1]
    uncertainty: Tensor | None  # B 1 H W
    verdict: Verdict | None  # on the crops
    bars: list[dict[str, Any]]  # for each face what the frontend draws
    told: str = ""  # how many were found, and how


def restore_pictures(
    model: MoFRRModel,
    pixels: Tensor,
    request: Request,
    seed: int,
    wishes: Wishes,
    choice: FaceChoice,
    boxes: Any,
    landmarks: Any,
) -> Restored:
    """Restore photos that are filled by one face each, or those faces in them that are meant.

    Args:
        model: the model.
        pixels: B 3 H W in [0, 1].
        request: what is asked of them.
        seed: of the noise.
        wishes: as in the request, for the verdict.
        choice: of the faces.
        boxes: the host's, or None.
        landmarks: the host's, or None.
    """
    found = find_faces(pixels, choice, boxes, landmarks)
    if found is None:
        decided = any(wishes[0].values())  # by hand: then a face need not be found
        empty = [False] * len(pixels) if decided else faceless(pixels, choice)
        return restore_photos(model, pixels, request, seed, wishes, empty)
    if not found.number:
        told = f"{NO_FACE} by {found.by}: nothing was done"
        return Restored(pixels, None, None, [], told)
    told = f"{found.number} face(s), found by {found.by}\n"
    result = restore_faces(model, pixels, found.frames, request, seed, wishes)
    return result._replace(told=told)


def restore_photos(
    model: MoFRRModel,
    pixels: Tensor,
    request: Request,
    seed: int,
    wishes: Wishes,
    empty: list[bool],
) -> Restored:
    """Restore photos that are filled by one face each.

    Args:
        model: the model.
        pixels: B 3 H W in [0, 1].
        request: what is asked of them.
        seed: of the noise.
        wishes: as in the request, for the verdict.
        empty: of each photo whether it shows no face, so that nothing is found in it.
    """
    generator = torch.Generator().manual_seed(seed)
    if all(empty):
        request = request._replace(operations=())
    result = model.pipeline.restore(pixels, request, generator, room=host.HostRoom(model))
    verdict = Verdict.of(model.pipeline, result.routing, False, wishes, empty)
    images, spread = result.images, result.uncertainty
    if any(empty):
        keep = torch.tensor(empty)[:, None, None, None]
        images = torch.where(keep, pixels, images)
        spread = None if spread is None else spread * ~keep
    return Restored(images, spread, verdict, verdict.bars(result.degrees, result.active))


def restore_faces(
    model: MoFRRModel, pixels: Tensor, frames: Frames, request: Request, seed: int, wishes: Wishes
) -> Restored:
    """Restore the faces of photos, at least one, and paste the changes back."""
    faces = cut_faces(pixels, frames)
    empty = [False] * len(faces.crops)
    found = restore_photos(model, faces.crops, request, seed, wishes, empty)
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
