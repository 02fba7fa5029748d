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
from .filters import blur, enlarge, per_sample, reduce, soft_core
from .landmarks import FaceRegions
from .smoothing_edges import coarseness
from .smoothing_region import smoothed

_MOST_SPOTS = 30
_SAFE = 0.95  # spots are sought where the skin around is covered by at least this
_NOSE_BASE = (98, 2, 327, 4)  # indices of the mesh
_NOSTRIL = 0.09  # of the face's width: how far from those points no spot is sought
_STROKE = 0.06  # difference in luma above which a form counts as wanted


def heal_spots(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Replaces the 1 to 30 places of skin that stand out most by a smooth fill and near grain."""
    rgb = unit(images)
    factor = coarseness(images, 1 / 256)
    small, skin = reduce(rgb, factor), reduce(face.skin, factor)
    width = face.scale / factor
    cover = _discs(small, skin, face, degrees, variations)

    hidden = skin * (1 - cover).clamp_min(0) + 1e-4
    reach = (0.012 * width).clamp_min(0.4)
    low = blur(small, (0.004 * width).clamp_min(0.35))
    fill = blur(small * hidden, reach) / blur(hidden, reach) - low
    coarse = enlarge(torch.cat((fill, low, cover), dim=1), rgb.shape[-2:])
    change, low, cover = coarse.split((3, 3, 1), dim=1)
    grain = rgb - low
    shift = max(2, round(0.05 * rgb.shape[-2]))
    near = torch.roll(grain, (shift // 2, shift), dims=(2, 3)).clamp_(-0.03, 0.03)
    smooth = rgb + cover * (change + near - grain)
    return smoothed(images, smooth, degrees, variations, face)


def _discs(
    small: Tensor, skin: Tensor, face: FaceRegions, degrees: Tensor, variations: Tensor
) -> Tensor:
    """Soft discs, .5 to 2.5 % of the face's width, on what stands out: B 1 h w in [0, 1]."""
    y, width = luma(small), face.scale * small.shape[-2] / face.height
    standing = _blobness(blur(y, (0.008 * width).clamp_min(0.5))) * _room(skin, width, face)
    highest = F.max_pool2d(F.max_pool2d(standing, (1, 9), 1, (0, 4)), (9, 1), 1, (4, 0))
    peaks = standing * (highest == standing)
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
        disc = (1 + radius - distance).div_(1 + 0.25 * radius).clamp_(0, 1)
        cover = torch.maximum(cover, disc * per_sample(used))
    return cover


def _blobness(y: Tensor) -> Tensor:
    """How much luma (B 1 h w) forms a round spot: root of its Hessian's determinant, dark twice."""
    padded = F.pad(y, (1, 1, 1, 1), mode="replicate")
    across, along = padded[..., 1:-1, :], padded[..., 1:-1]
    xx = across[..., 2:] - 2 * y + across[..., :-2]
    yy = along[..., 2:, :] - 2 * y + along[..., :-2, :]
    slope = padded[..., 2:] - padded[..., :-2]
    xy = (slope[..., 2:, :] - slope[..., :-2, :]) / 4
    dark = 1 + (xx + yy > 0).to(y)
    return dark * (xx * yy - xy.square()).clamp_min(0).sqrt_()


def _room(skin: Tensor, width: Tensor, face: FaceRegions) -> Tensor:
    """1 where skin goes on for about 4 % of the face's width around, nostrils far; else 0."""
    height, columns = skin.shape[-2:]
    nose = face.points[:, _NOSE_BASE] * face.points.new_tensor([columns, height])
    x = torch.arange(columns, device=skin.device, dtype=skin.dtype) + 0.5
    y = torch.arange(height, device=skin.device, dtype=skin.dtype)[:, None] + 0.5
    offset = nose[:, :, :, None, None]
    distance = (x - offset[:, :, 0]).square() + (y - offset[:, :, 1]).square()
    far = distance.amin(1, keepdim=True) > per_sample((_NOSTRIL * width) ** 2)
    return ((blur(skin, (0.025 * width).clamp_min(0.5)) > _SAFE) & far).to(skin)


def dodge_and_burn(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Lifts dark blotches and lowers bright ones of .5 to 5 % of the face's width by 30 to 80 %.

    Only luma changes, by at most .03: forms stronger than .06 stay, and features' light does not
    count.
    """
    rgb = unit(images)
    factor = coarseness(images, 1 / 100)
    y, skin = reduce(luma(rgb), factor), reduce(face.skin, factor)
    weight = skin.square() + 1e-3
    width = face.scale / factor
    fine = _over_skin(y, weight, between(variations, 1, 0.004, 0.012).flatten() * width)
    broad = _over_skin(y, weight, between(variations, 2, 0.03, 0.06).flatten() * width)
    blotch = (fine - broad) * skin
    blotch = blotch - soft_core(blotch, torch.full_like(degrees, _STROKE))
    stroke = strength(degrees, 0.2, 0.7, 0.95) * blotch
    smooth = rgb - enlarge(stroke, rgb.shape[-2:])
    return smoothed(images, smooth, degrees, variations, face)


def _over_skin(values: Tensor, weight: Tensor, sigma: Tensor) -> Tensor:
    sigma = sigma.clamp_min(0.35)
    return blur(values * weight, sigma) / blur(weight, sigma)
