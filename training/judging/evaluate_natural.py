"""BPFRe on natural skin: against a classical retoucher that has the landmarks, at photos' own size.

Copy-input, the score of doing nothing, stands beside every figure.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ...pipelines.bpfre.skin import amounts_of, look
from ...pipelines.photos.arrays import to_shape
from ...pipelines.simulate.natural.retoucher import maps_of as naturally
from ...pipelines.simulate.natural.retoucher import retouch_naturally, survey, to_working
from ..data.faces import spread
from ..data.native_capture import Face, NativeFaces

EDITED = 2 / 127.5
"""Change of [-1, 1], mean over the colours, from which the retoucher edited a pixel."""
LEFT = 0.25 / 127.5
"""Change below which it left the pixel alone."""
_CAP = 100.0


@dataclass(frozen=True)
class NaturalRow:
    """One face.

    Attributes:
        name: of its file.
        side: of the photo in pixels.
        copy_psnr: PSNR in dB of the photo to the retoucher's result.
        psnr: PSNR in dB of ours to it.
        copy_mask_psnr: the first inside what the retoucher edited.
        mask_psnr: the second inside it.
        clean_psnr: PSNR in dB of ours to the photo where the retoucher left it alone.
        mole_change: mean absolute change inside moles, in grey levels; NaN without moles.
        spots_iou: intersection over union of the healer's spots with the retoucher's; NaN for none.
    """

    name: str
    side: int
    copy_psnr: float
    psnr: float
    copy_mask_psnr: float
    mask_psnr: float
    clean_psnr: float
    mole_change: float
    spots_iou: float


def evaluate_natural(
    pipe: Any,
    faces: NativeFaces,
    strength: float = 1.0,
    limit: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[NaturalRow]:
    """Retouches faces by `pipe` and by the retoucher.

    Args:
        pipe: a BPFRePipeline with a healer.
        faces: at their own sizes.
        strength: of both.
        limit: faces at most, evenly over all; 0 = all.
        progress: called with faces done and in all.
    """
    places, rows = spread(len(faces), limit), []
    for done, place in enumerate(places, 1):
        rows.append(judge_face(pipe, faces.read(place), strength))
        if progress:
            progress(done, len(places))
    return rows


def judge_face(pipe: Any, face: Face, strength: float) -> NaturalRow:
    """One face by both."""
    photo = face.pixels[None].float() / 127.5 - 1
    points, amounts = face.points[None], amounts_of(strength)
    found = survey(to_working(photo), points)
    target = retouch_naturally(photo, points, amounts, found)
    ours = pipe((photo + 1) / 2, strength=strength, output_type="pt").images.cpu() * 2 - 1
    edit = (target - photo).abs().mean(1, keepdim=True)
    edited, left = edit >= EDITED, edit < LEFT
    moles = to_shape(found.marks.moles[None, None], photo.shape[-2:]) > 0.5
    small = to_working(photo)
    mine = look(pipe.healer, small, amounts, pipe.healer.device).maps.spots.cpu() > 0.3
    theirs = naturally(found, float(amounts[0])).spots > 0.3
    return NaturalRow(
        face.name,
        photo.shape[-1],
        _psnr(photo, target),
        _psnr(ours, target),
        _psnr(photo, target, edited),
        _psnr(ours, target, edited),
        _psnr(ours, photo, left),
        _mean((ours - photo).abs().mean(1, keepdim=True) * 127.5, moles),
        _mean((mine & theirs).float(), mine | theirs),
    )


def summary(rows: list[NaturalRow]) -> dict[str, float]:
    """Means over the faces, and shares improved and harmed by more than 0.3 dB."""
    table = {name: [asdict(row)[name] for row in rows] for name in asdict(rows[0])}
    table.pop("name")
    means = {name: _nanmean(values) for name, values in table.items()}
    lifts = [row.psnr - row.copy_psnr for row in rows]
    return {
        "faces": float(len(rows)),
        **means,
        "lift": sum(lifts) / len(lifts),
        "mask_lift": means["mask_psnr"] - means["copy_mask_psnr"],
        "clean_psnr_least": min(row.clean_psnr for row in rows),
        "improved": sum(lift > 0 for lift in lifts) / len(lifts),
        "harmed": sum(lift < -0.3 for lift in lifts) / len(lifts),
    }


def to_json(rows: list[NaturalRow], weights: str | None) -> str:
    """All figures, unrounded, and the digest of the weights that were judged."""
    record = {"weights": weights, "summary": summary(rows)}
    return json.dumps(record | {"rows": [asdict(row) for row in rows]}, indent=2)


def to_text(rows: list[NaturalRow]) -> str:
    """The summary in lines."""
    lines = ["BPFRe on natural skin, against a retoucher with landmarks"]
    return "\n".join([*lines, *(f"{name}: {value:.4g}" for name, value in summary(rows).items())])


def _psnr(a: Tensor, b: Tensor, where: Tensor | None = None) -> float:
    """PSNR in dB of [-1, 1], at most 100; NaN where there is nothing to compare."""
    error = (a.clamp(-1, 1) - b.clamp(-1, 1)).double().square().mean(1, keepdim=True)
    mean = error.mean() if where is None else error[where].mean()
    return float((10 * torch.log10(4 / mean)).clamp_max(_CAP))


def _mean(values: Tensor, where: Tensor) -> float:
    return float(values[where].double().mean())


def _nanmean(values: list[float]) -> float:
    return float(torch.tensor(values, dtype=torch.float64).nanmean())
