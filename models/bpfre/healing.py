"""Healing of skin: maps of what is wrong and amounts of what is wanted -> retouched photo.

The forms are a retoucher's. Spots and lines are filled from the clean skin around them, under
grain of their own or of a clean place near by. Redness, shine and uneven tone are bands of
luma and chroma that are damped; detail finer than `GRAIN` of the face's side is never softened.
Maps and bands live at a working size, the grain at the photo's own. Where the maps are zero, and
for amounts of zero, nothing changes.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

GRAIN = 0.0022
"""Sigma below which detail is grain, as a share of the face crop's shorter side."""

_TEXTURE = 0.006  # sigma above which a patch's detail is not copied
_FILLS = (0.1, 0.05, 0.025, 0.012)  # sigmas of the surroundings, widest first
_ENOUGH = 0.3  # share of clean skin at which the surroundings of a width are trusted
_BANDS = (0.004, 0.008, 0.018, 0.035)  # sigmas between which tone is damped; a face is 0.6 wide
_DAMPED = (0.35, 0.5, 0.5)  # share of each band that amount 1 takes away
_WIDE = 0.09  # sigma of what redness and shine are compared with
_WANTED = 0.09  # luma contrast, of [-1, 1], from which a form counts as wanted
_CHROMA_DAMPED = 0.5
_RED = (0.012, 0.5, 0.2)  # Cr excess that is left, share taken of the rest, luma given for it
_SHINE = (0.1, 0.35)  # luma excess that is left, share taken of the rest
_CLONES = ((0, 1), (1, 0), (0, -1), (-1, 0))  # directions in which grain is borrowed
_REACH = 0.05  # of the borrowing
_LUMA = (0.299, 0.587, 0.114)
_CR = (0.5, -0.4187, -0.0813)
_CB = (-0.1687, -0.3313, 0.5)


class SkinMaps(NamedTuple):
    """What is where on a face, each B 1 h w in [0, 1].

    Attributes:
        skin: where tone may change, and what counts as surroundings.
        spots: share of each spot that is to be filled.
        lines: the same of fine lines.
    """

    skin: Tensor
    spots: Tensor
    lines: Tensor


class Healing(NamedTuple):
    """What is to be done, at a working size h w; `at_own_size` does it.

    Attributes:
        filled: B 1 h w in [0, 1], how much is replaced.
        change: B 3 h w, what is added where the photo keeps its own grain.
        patch: B 3 h w, what replaces the photo where it does not, less the grain.
        borrowed: B 1 h w in [0, 1], the share of grain that comes from beside.
        low: B 3 h w, what a clean place's grain stands on.
        clean: B 1 h w, where grain may be borrowed.
    """

    filled: Tensor
    change: Tensor
    patch: Tensor
    borrowed: Tensor
    low: Tensor
    clean: Tensor


def heal(photo: Tensor, maps: SkinMaps, amounts: Tensor, side: float) -> Tensor:
    """Retouches photos B 3 h w in [-1, 1] at one size; see `plan` and `at_own_size`."""
    return at_own_size(photo, plan(photo, maps, amounts, side), side)


def plan(photo: Tensor, maps: SkinMaps, amounts: Tensor, side: float) -> Healing:
    """What is to be done on photos at a working size.

    Args:
        photo: B 3 h w in [-1, 1].
        maps: of the same size.
        amounts: B 5 in [0, 1], one for each of `kinds.KINDS`.
        side: shorter side in pixels that the whole face crop has at this size.
    """
    spots, redness, lines, shine, unevenness = amounts.to(photo)[:, :, None, None, None].unbind(1)
    spot, line = maps.spots * (spots > 0), maps.lines * lines
    filled = 1 - (1 - spot) * (1 - line)
    clean = maps.skin * (1 - torch.maximum(maps.spots, maps.lines)) + 1e-4
    fill = _surroundings(photo, clean, side)
    fine, low = blur(photo, GRAIN * side), blur(photo, _TEXTURE * side)
    borrowed = _foreign_grain(photo - fine, clean, side)

    healed = photo + filled * (fill - fine)
    tone = maps.skin * _tone(healed, maps.skin + 1e-4, (redness, shine, unevenness), side)
    change = filled * (fill - fine) + tone
    return Healing(filled, change, fill + tone, borrowed * filled, low, clean)


def at_own_size(photo: Tensor, healing: Healing, side: float) -> Tensor:
    """Does what was planned to photos of any size, B 3 H W in [-1, 1].

    Args:
        photo: B 3 H W; where nothing is to be done it keeps every bit.
        healing: of the same photos, at a working size.
        side: shorter side of the whole face crop at the photo's size, in pixels.
    """
    size = photo.shape[-2:]
    change = _to(healing.change, size)
    if bool((healing.borrowed > 0).any()):
        share, low = _to(healing.borrowed, size), _to(healing.low, size)
        grain = _borrow(photo - low, healing.clean, side)
        change = change + share * (_to(healing.patch, size) + grain - photo - change)
    return photo + change


def blur(planes: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of B C h w; wide ones on reduced grids."""
    factor = 2 ** max(0, math.floor(math.log2(max(sigma, 1e-6) / 0.9)))
    small = planes
    if factor > 1:
        small = F.avg_pool2d(planes, factor, ceil_mode=True, count_include_pad=False)
    width = math.sqrt(max((sigma / factor) ** 2 - (0.33 if factor > 1 else 0), 0.04))
    reach = max(1, math.ceil(3 * width))
    at = torch.arange(-reach, reach + 1, device=planes.device, dtype=planes.dtype)
    kernel = torch.exp(-0.5 * (at / width) ** 2)
    kernel = kernel / kernel.sum()
    single = small.reshape(-1, 1, *small.shape[-2:])
    single = F.conv2d(
        F.pad(single, (reach, reach, 0, 0), mode="replicate"), kernel[None, None, None]
    )
    single = F.conv2d(
        F.pad(single, (0, 0, reach, reach), mode="replicate"), kernel[None, None, :, None]
    )
    return _to(single.view(small.shape), planes.shape[-2:])


def mean_around(planes: Tensor, weights: Tensor, sigma: float) -> Tensor:
    """Weighted Gaussian mean of B C h w; weights B 1 h w > 0."""
    joined = blur(torch.cat((planes * weights, weights), dim=1), sigma)
    return joined[:, :-1] / joined[:, -1:]


def chroma(planes: Tensor, weights: tuple[float, float, float]) -> Tensor:
    """One colour difference, or luma, of B 3 h w: B 1 h w."""
    return sum(planes[:, i : i + 1] * weight for i, weight in enumerate(weights))  # pyright: ignore


def luma(planes: Tensor) -> Tensor:
    """BT.601 luma of B 3 h w on its own scale."""
    return chroma(planes, _LUMA)


def redness(planes: Tensor) -> Tensor:
    """Cr of B 3 h w on the scale of the planes."""
    return chroma(planes, _CR)


def _to(planes: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    if planes.shape[-2:] == tuple(size):
        return planes
    single = planes.reshape(-1, 1, *planes.shape[-2:])
    brought = F.interpolate(single, tuple(size), mode="bilinear", align_corners=False)
    return brought.view(*planes.shape[:2], *size)


def _surroundings(photo: Tensor, clean: Tensor, side: float) -> Tensor:
    """Means of the clean skin around each place, as near as there is enough: B 3 h w."""
    weighted = torch.cat((photo * clean, clean), dim=1)
    fill: Tensor | None = None
    for share in _FILLS:
        joined = blur(weighted, share * side)
        mean, support = joined[:, :3] / joined[:, 3:], (joined[:, 3:] / _ENOUGH).clamp(0, 1)
        fill = mean if fill is None else fill + support * (mean - fill)
    assert fill is not None
    return fill


def _foreign_grain(grain: Tensor, clean: Tensor, side: float) -> Tensor:
    """Where a place's own grain is rougher than clean skin's, so that it must not stay: B 1 h w."""
    energy = grain.square().mean(1, keepdim=True)
    own, usual = blur(energy, _TEXTURE * side), mean_around(energy, clean, 0.05 * side)
    ratio = ((own + 1e-6) / (usual + 1e-6)).sqrt()
    return ((ratio - 1.2) / 0.4).clamp(0, 1)


def _borrow(grain: Tensor, clean: Tensor, side: float) -> Tensor:
    """Grain B 3 H W of a clean place near each place; `clean` may be smaller."""
    step = max(1, round(_REACH * side))
    scale = clean.shape[-1] / grain.shape[-1]
    best, found = None, torch.zeros_like(grain)
    smooth = blur(clean, 0.006 * side * scale)
    for down, right in _CLONES:
        moved = (round(down * step * scale), round(right * step * scale))
        score = torch.roll(smooth, moved, dims=(2, 3))
        chosen = score if best is None else (score > best).to(score)
        near = torch.roll(grain, (down * step, right * step), dims=(2, 3))
        if best is None:
            found, best = near, score
            continue
        found = torch.where(_to(chosen, grain.shape[-2:]) > 0.5, near, found)
        best = torch.maximum(best, score)
    return found


def _tone(
    photo: Tensor, skin: Tensor, amounts: tuple[Tensor, Tensor, Tensor], side: float
) -> Tensor:
    """Redness, shine and uneven tone taken away: what is to be added, B 3 h w."""
    red, shine, uneven = amounts
    means = [mean_around(photo, skin, share * side) for share in (*_BANDS, _WIDE)]
    lumas, crs = [luma(mean) for mean in means], [redness(mean) for mean in means]
    light = torch.zeros_like(lumas[0])
    for finer, coarser, share in zip(lumas[:-2], lumas[1:-1], _DAMPED, strict=True):
        band = finer - coarser
        light = light - uneven * share * band / (1 + (band / _WANTED) ** 2)

    excess = (lumas[1] - lumas[-1] - _SHINE[0]).clamp_min(0)
    glare = shine * _SHINE[1] * excess
    left, taken, given = _RED
    blush = (crs[0] - crs[-1] - left).clamp_min(0) * red * taken
    cr = -uneven * _CHROMA_DAMPED * (crs[0] - crs[-2])
    cr = torch.minimum(cr, -blush)
    cb = -uneven * _CHROMA_DAMPED * (chroma(means[0], _CB) - chroma(means[-2], _CB))
    light = light - glare + given * blush
    colour = torch.cat((1.402 * cr, -0.344 * cb - 0.714 * cr, 1.772 * cb), dim=1)
    return light + colour
