"""Smoothing as a retoucher does it by hand: spots healed, light blotches dodged and burned.

Interface and meaning of the variations as in `smoothing`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .colour import luma, unit
from .draws import between, octaves_between, strength
from .edit import Edit
from .filters import blur, enlarge, faint_part, per_sample, reduce
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
    count = strength(degrees, 1.0, 15.0, 30.0)[:, 0, 0]
    order = torch.arange(place.shape[1], device=small.device)
    used = (order < count) & (value > 0)
    radius = [
        octaves_between(variations, 6 + rank, 0.005, 0.02)[:, 0, 0] for rank in order.tolist()
    ]
    return _draw_discs(place, used, torch.cat(radius, dim=1) * width[:, None], y)


def _draw_discs(place: Tensor, used: Tensor, radius: Tensor, like: Tensor) -> Tensor:
    """Discs with soft edges about pixels; of overlapping ones the higher cover counts.

    Args:
        place: B N, flat indices of the centres.
        used: B N, whether a disc is drawn.
        radius: B N, in pixels.
        like: B 1 h w, the grid.

    Returns:
        B 1 h w in [0, 1].
    """
    height, width = like.shape[-2:]
    reach = math.ceil(float(radius.max())) + 1
    step = torch.arange(-reach, reach + 1, device=like.device)
    down, right = step[:, None].expand(-1, len(step)).flatten(), step.repeat(len(step))
    row = place[:, :, None] // width + down
    column = place[:, :, None] % width + right
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)

    away = (down.square() + right.square()).to(like).sqrt()
    cover = (1 + radius[:, :, None] - away) / (1 + 0.25 * radius[:, :, None])
    cover = cover.clamp(0, 1) * inside * used[:, :, None]
    index = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    flat = torch.zeros_like(like).flatten(1)
    flat = flat.scatter_reduce(1, index.flatten(1), cover.flatten(1), "amax")
    return flat.view(like.shape)


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
    blotch = faint_part((fine - broad) * skin, torch.full_like(degrees, _STROKE))
    stroke = strength(degrees, 0.2, 0.7, 0.95) * blotch
    smooth = rgb - enlarge(stroke, rgb.shape[-2:])
    return smoothed(images, smooth, degrees, variations, face)


def _over_skin(values: Tensor, weight: Tensor, sigma: Tensor) -> Tensor:
    sigma = sigma.clamp_min(0.35)
    return blur(values * weight, sigma) / blur(weight, sigma)
