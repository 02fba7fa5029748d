"""The classical retoucher of natural skin: what a person does with healing brush, dodge and burn.

It needs landmarks, finds what is to be retouched at a working size, and acts on the photo's own
pixels by `healing`. Every part has an amount; a strength stands for a set of amounts.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ....models.bpfre.healing import Healing, SkinMaps, plan
from ....models.bpfre.own_size import at_own_size
from ....models.bpfre.planes import blur, luma
from ...bpfre.marks import LINE_SHARE, Marks, find_marks, wanted_spots
from ..blemishes.painter import paintable_skin
from ..landmarks import BROWS, EYES, LIPS, soft_polygons

WORKING = 512
"""Side at which marks are sought; smaller photos keep theirs."""
_NOSTRILS = (
    (98, 0.04),
    (327, 0.04),
    (2, 0.035),
    (97, 0.04),
    (326, 0.04),
    (64, 0.028),
    (294, 0.028),
)
_ROUGHEST = 0.06  # detail that counts: one mark, however strong, makes no beard
_CHEEKS = (50, 280, 118, 347)
_AROUND = (
    (EYES[0], (1.55, 2.2)),
    (EYES[1], (1.55, 2.2)),
    (BROWS[0], (1.15, 1.5)),
    (BROWS[1], (1.15, 1.5)),
    (LIPS, (1.25, 1.45)),
)
"""Features and how much wider and higher they are taken."""


class NaturalSkin(NamedTuple):
    """A face as the retoucher sees it, at the working size.

    Attributes:
        skin: 1 1 h w in [0, 1], where tone may change.
        marks: spots, lines and moles.
    """

    skin: Tensor
    marks: Marks


def survey(photo: Tensor, points: Tensor) -> NaturalSkin:
    """Looks at one face.

    Args:
        photo: 1 3 h w in [-1, 1], at the working size.
        points: 1 478 2, mesh points in shares of the sides.
    """
    skin = paintable_skin(photo, points) * (1 - _nostrils(photo, points))
    smooth = skin * (1 - _rough(photo, skin, points))
    marks = find_marks(photo, smooth * (1 - _features(photo, points)))
    keep = 1 - (2 * marks.moles[None, None]).clamp(0, 1)
    return NaturalSkin(smooth * keep, marks)


def maps_of(found: NaturalSkin, spots: float) -> SkinMaps:
    """The maps to heal by, at an amount for spots in [0, 1]: the fainter, the larger it must be."""
    spot = wanted_spots(found.marks, spots)[None, None]
    return SkinMaps(found.skin, spot, LINE_SHARE * found.marks.lines[None, None])


def retouch_naturally(
    photo: Tensor, points: Tensor, amounts: Tensor, found: NaturalSkin | None = None
) -> Tensor:
    """Retouches one face at its own size.

    Args:
        photo: 1 3 H W in [-1, 1].
        points: 1 478 2, mesh points in shares of the sides.
        amounts: 5 in [0, 1], by `kinds.KINDS`.
        found: what `survey` gave for this face, None to look at it now.
    """
    small = to_working(photo)
    found = survey(small, points) if found is None else found
    healing = planned(small, found, amounts)
    return at_own_size(photo, healing, min(photo.shape[-2:])).clamp(-1, 1)


def planned(small: Tensor, found: NaturalSkin, amounts: Tensor) -> Healing:
    """What is to be done on a face at the working size."""
    maps = maps_of(found, float(amounts[0]))
    return plan(small, maps, amounts[None], min(small.shape[-2:]))


def to_working(photo: Tensor) -> Tensor:
    """The photo reduced to the working size, B 3 h w."""
    if min(photo.shape[-2:]) <= WORKING:
        return photo
    scale = WORKING / min(photo.shape[-2:])
    size = [round(length * scale) for length in photo.shape[-2:]]
    return F.interpolate(photo, size, mode="area")


def _nostrils(photo: Tensor, points: Tensor) -> Tensor:
    """Discs over the base of the nose, 1 1 h w in [0, 1]."""
    height, width = photo.shape[-2:]
    y = torch.arange(height, dtype=torch.float32)[:, None] / height
    x = torch.arange(width, dtype=torch.float32)[None] / width
    covered = torch.zeros(height, width)
    for index, radius in _NOSTRILS:
        away = ((x - points[0, index, 0]) ** 2 + (y - points[0, index, 1]) ** 2).sqrt()
        covered = torch.maximum(covered, ((radius - away) / (0.3 * radius)).clamp(0, 1))
    return covered[None, None]


def _features(photo: Tensor, points: Tensor) -> Tensor:
    """Eyes, brows and lips with what belongs to them, 1 1 h w in [0, 1]: no marks there."""
    height, width = photo.shape[-2:]
    size = torch.tensor([width, height])
    outlines = []
    for indices, larger in _AROUND:
        outline = points[:, indices] * size
        middle = outline.mean(1, keepdim=True)
        outlines.append(middle + (outline - middle) * torch.tensor(larger))
    return soft_polygons(outlines, height, width, torch.tensor([0.004 * width]))


def _rough(photo: Tensor, skin: Tensor, points: Tensor) -> Tensor:
    """Beard, hair and what else is much rougher than the cheeks, 1 1 h w in [0, 1]."""
    side = min(photo.shape[-2:])
    y = luma(photo)
    detail = (y - blur(y, 0.004 * side)).abs().clamp_max(_ROUGHEST)
    energy = blur(detail, 0.018 * side)
    size = torch.tensor([photo.shape[-1], photo.shape[-2]])
    places = (points[0, list(_CHEEKS)] * size).long()
    usual = torch.stack([energy[0, 0, int(r), int(c)] for c, r in places]).median()
    rough = ((energy / (usual + 0.004) - 1.8) / 1.2).clamp(0, 1)
    return blur(rough, 0.01 * side)
