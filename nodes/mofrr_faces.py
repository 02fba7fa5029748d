"""The faces of whole photos restored: each by itself, or, in a clip, each person by themselves."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..pipelines.mofrr.request import Request
from ..pipelines.photos.tracks import follow
from . import host
from .face_crops import Faces, Frames, cut_faces
from .mofrr_model import MoFRRModel
from .mofrr_routing import Verdict, Wishes, leave_alone

FEATHER = 0.1


class Restored(NamedTuple):
    """What came of photos B 3 H W."""

    images: Tensor  # B 3 H W in [0, 1]
    uncertainty: Tensor | None  # B 1 H W
    verdict: Verdict | None  # on the crops; in a clip on the person who is largest
    bars: list[dict[str, Any]]  # for each face, or person, what the frontend draws


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
    verdict = Verdict.of(model.pipeline, result.routing, request.clip, wishes, empty)
    images, spread = result.images, result.uncertainty
    if any(empty):
        keep = torch.tensor(empty)[:, None, None, None]
        images = torch.where(keep, pixels, images)
        spread = None if spread is None else spread * ~keep
    return Restored(images, spread, verdict, verdict.bars(result.degrees, result.active))


def restore_faces(
    model: MoFRRModel, pixels: Tensor, frames: Frames, request: Request, seed: int, wishes: Wishes
) -> Restored:
    """Restore the faces of photos, or frames of a clip, and paste the changes back."""
    total = Restored(pixels, None, None, [])
    parts = [frames]
    if request.clip:
        tracks = follow(frames)
        parts = [[[] if face is None else [face] for face in track] for track in tracks]
    for person, part in enumerate(parts, 1):
        faces = cut_faces(pixels, part)
        if len(faces.crops):
            found = restore_photos(
                model, faces.crops, request, seed, wishes, [False] * len(faces.crops)
            )
            _label(found.bars, faces, f"person {person}" if request.clip else None, pixels)
            total = _joined(total, faces, found, pixels)
    return total


def _joined(total: Restored, faces: Faces, found: Restored, pixels: Tensor) -> Restored:
    """What was restored so far, and further faces pasted into it."""
    images, _ = faces.paste(total.images, found.images, FEATHER, match_colour=True)
    spread = total.uncertainty
    if found.uncertainty is not None:
        laid = faces.lay(found.uncertainty, pixels, FEATHER)[0]
        spread = laid if spread is None else torch.maximum(spread, laid)
    verdict = total.verdict or found.verdict
    return Restored(images, spread, verdict, total.bars + found.bars)


def _label(bars: list[dict[str, Any]], faces: Faces, person: str | None, pixels: Tensor) -> None:
    """Say in the bars whose they are, and leave alone what lies outside its picture."""
    labels = [person or label for label, _ in faces.places()]
    several = person is not None or len(labels) > 1 or len(faces.frames) > 1
    for bar, label, place in zip(bars, labels, faces.pictures, strict=True):
        bar["picture"] = None if person else place
        if several:
            bar["label"] = label
    inside = faces.inside(pixels.shape[-1], pixels.shape[-2])
    leave_alone(bars, [None if fits else "its box lies outside the picture" for fits in inside])
    if person:
        del bars[1:]  # one verdict for all frames
