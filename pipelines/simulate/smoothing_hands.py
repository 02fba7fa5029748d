"""Smoothing as a retoucher does it by hand: spots healed, light blotches dodged and burned.

Interface and meaning of the variations as in `smoothing`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .colour import luma, unit
from .draws import between, octaves_between, strength
from .edit import Edit
from .filters import blur, enlarge, per_sample, reduce
from .landmarks import FaceRegions
from .smoothing_edges import coarseness
from .smoothing_region import smoothed

_MOST_SPOTS = 30
_SAFE = 0.95  # spots are sought where the skin mask is at least this
_STROKE = 0.06  # the most that a brush changes luma


def heal_spots(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Replaces the 1 to 30 places of skin that stand out most by a smooth fill and near grain."""
    rgb = unit(images)
    factor = coarseness(images, 1 / 256)
    small, skin = reduce(rgb, factor), reduce(face.skin, factor)
    width = face.scale / factor
    cover = _discs(small, skin, width, degrees, variations)

    hidden = skin * (1 - cover).clamp_min(0) + 1e-4
    reach = (0.012 * width).clamp_min(0.4)
    low = blur(small, (0.004 * width).clamp_min(0.35))
    fill = blur(small * hidden, reach) / blur(hidden, reach) - low
    change, cover = enlarge(torch.cat((fill, cover), dim=1), rgb.shape[-2:]).split((3, 1), 1)
    grain = rgb - blur(rgb, (0.004 * face.scale).clamp_min(0.4))
    shift = max(2, round(0.05 * rgb.shape[-2]))
    near = torch.roll(grain, (shift // 2, shift), dims=(2, 3)).clamp_(-0.03, 0.03)
    smooth = rgb + cover * (change + near - grain)
    return smoothed(images, smooth, degrees, variations, face)


def _discs(
    small: Tensor, skin: Tensor, width: Tensor, degrees: Tensor, variations: Tensor
) -> Tensor:
    """Soft discs, .5 to 2.5 % of the face's width, on what stands out: B 1 h w in [0, 1]."""
    y = luma(small)
    standing = (
        blur(y, (0.006 * width).clamp_min(0.35)) - blur(y, (0.02 * width).clamp_min(0.5))
    ).abs()
    standing = standing * (skin > _SAFE)
    peaks = standing * (F.max_pool2d(standing, 5, 1, 2) == standing)
    value, place = peaks.flatten(1).topk(min(_MOST_SPOTS, peaks[0].numel()), dim=1)
    count = strength(degrees, 1.0, 15.0, 30.0).flatten()

    rows = torch.arange(small.shape[-2], device=small.device, dtype=small.dtype)[:, None]
    columns = torch.arange(small.shape[-1], device=small.device, dtype=small.dtype)
    cover = torch.zeros_like(y)
    for index in range(place.shape[1]):
        used = (index < count) & (value[:, index] > 0)
        if not bool(used.any()):
            break
        radius = octaves_between(variations, 6 + index, 0.005, 0.02) * per_sample(width)
        row = per_sample(place[:, index].div(small.shape[-1], rounding_mode="floor"))
        column = per_sample(place[:, index] % small.shape[-1])
        distance = ((rows - row).square() + (columns - column).square()).sqrt_()
        disc = (1.5 + 0.5 * radius - distance).div_(1 + 0.5 * radius).clamp_(0, 1)
        cover = torch.maximum(cover, disc * per_sample(used))
    return cover


def dodge_and_burn(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Lifts dark blotches and lowers bright ones of .5 to 5 % of the face's width by 30 to 80 %.

    Only luma changes, by at most .06; strokes stay off features, whose light is not counted.
    """
    rgb = unit(images)
    factor = coarseness(images, 1 / 100)
    y, skin = reduce(luma(rgb), factor), reduce(face.skin, factor)
    weight = skin.square() + 1e-3
    width = face.scale / factor
    fine = _over_skin(y, weight, between(variations, 1, 0.004, 0.012).flatten() * width)
    broad = _over_skin(y, weight, between(variations, 2, 0.03, 0.06).flatten() * width)
    blotch = (fine - broad) * skin
    stroke = _STROKE * torch.tanh(strength(degrees, 0.2, 0.7, 0.9) * blotch / _STROKE)
    smooth = rgb - enlarge(stroke, rgb.shape[-2:])
    return smoothed(images, smooth, degrees, variations, face)


def _over_skin(values: Tensor, weight: Tensor, sigma: Tensor) -> Tensor:
    sigma = sigma.clamp_min(0.35)
    return blur(values * weight, sigma) / blur(weight, sigma)
