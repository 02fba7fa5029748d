"""Healing of skin: maps of what is wrong and amounts of what is wanted -> retouched photo.

The forms are a retoucher's. Spots and lines are filled from the clean skin around them, under
grain of their own or of a clean place near by. Redness, shine and uneven tone are bands of
luma and chroma that are damped; detail finer than `GRAIN` of the face's side is never softened.
Maps and bands live at a working size, the grain at the photo's own. Where the maps are zero, and
for amounts of zero, nothing changes.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .kinds import KINDS
from .planes import blur, brought, chroma, luma, mean_around, redness, share_taken

GRAIN = 0.0022
"""Sigma below which detail is grain, as a share of the face crop's shorter side."""

_EDGE = 0.003  # sigma over which a mark is compared with what fills it
_MARKED = 0.002  # variance of [-1, 1] beside which that contrast counts: a mark may be faint
_TEXTURE = 0.006  # sigma above which a patch's detail is not copied
_FILLS = (0.1, 0.05, 0.025, 0.012)  # sigmas of the surroundings, widest first
_ENOUGH = 0.3  # share of clean skin at which the surroundings of a width are trusted
_BANDS = (0.004, 0.008, 0.018, 0.035)  # sigmas between which tone is damped; a face is 0.6 wide
_DAMPED = (0.18, 0.22, 0.22)  # share of each band that amount 1 takes away
_REDUCED = 400  # side from which wide means are taken on half of it
_WIDE = 0.09  # sigma of what redness and shine are compared with
_WANTED = 0.09  # luma contrast, of [-1, 1], from which a form counts as wanted
_CHROMA_DAMPED = 0.15
_RED = (0.012, 0.25, 0.2)  # Cr excess that is left, share taken of the rest, luma given for it
_SHINE = (0.1, 0.12)  # luma excess that is left, share taken of the rest
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
    """What is to be done, at a working size h w; `own_size.at_own_size` does it.

    Attributes:
        change: B 3 h w, what is added where the photo keeps its own grain.
        patch: B 3 h w, what replaces the photo where it does not, less the grain.
        borrowed: B 1 h w in [0, 1], the share of grain that comes from beside.
        fine: B 3 h w, what the photo's own grain stands on.
        taken: B 3 h w in [0, 1], the share of that grain that goes with a mark.
        low: B 3 h w, what a clean place's grain stands on.
        clean: B 1 h w, where grain may be borrowed.
        full: B 5 h w, the largest change of a colour by each kind alone at its full amount.
    """

    change: Tensor
    patch: Tensor
    borrowed: Tensor
    fine: Tensor
    taken: Tensor
    low: Tensor
    clean: Tensor
    full: Tensor


class Bands(NamedTuple):
    """What is to be taken away or given in full, each B 1 h w, on a grid that may be coarser.

    Attributes:
        light: luma that evens it out.
        cr: red difference that does.
        cb: blue difference that does.
        blush: red difference of which there is too much.
        glare: luma of which there is too much.
    """

    light: Tensor
    cr: Tensor
    cb: Tensor
    blush: Tensor
    glare: Tensor


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
    fine, low = blur(photo, GRAIN * side), blur(photo, _TEXTURE * side)
    borrowed = _foreign_grain(photo - fine, clean, side)

    fill = _surroundings(photo, clean, side)
    lack = fill - fine
    taken = filled * share_taken(photo, filled * lack, _EDGE * side, _MARKED)
    bands = _bands(photo + filled * lack, maps.skin, side)
    tone = maps.skin * brought(_tone(bands, redness, shine, unevenness), photo.shape[-2:])
    full = _full(lack, maps, bands)
    change, patch = filled * lack + tone, fill + tone
    return Healing(change, patch, borrowed * filled, fine, taken, low, clean, full)


def _full(lack: Tensor, maps: SkinMaps, bands: Bands) -> Tensor:
    """What each kind does alone at its full amount, B 5 h w: the largest change of a colour."""
    most = lack.abs().amax(1, keepdim=True)
    made = {"spots": maps.spots * most, "lines": maps.lines * most}
    for number, kind in enumerate(("redness", "shine", "unevenness")):
        tone = _tone(bands, *(float(number == other) for other in range(3)))
        made[kind] = maps.skin * brought(tone.abs().amax(1, keepdim=True), lack.shape[-2:])
    return torch.cat([made[kind] for kind in KINDS], dim=1)


def _surroundings(photo: Tensor, clean: Tensor, side: float) -> Tensor:
    """Means of the clean skin around each place, as near as there is enough: B 3 h w."""
    size, (photo, clean) = photo.shape[-2:], (_coarser(each, side) for each in (photo, clean))
    side = side * photo.shape[-1] / size[1]
    weighted = torch.cat((photo * clean, clean), dim=1)
    fill: Tensor | None = None
    for share in _FILLS:
        joined = blur(weighted, share * side)
        mean, support = joined[:, :3] / joined[:, 3:], (joined[:, 3:] / _ENOUGH).clamp(0, 1)
        fill = mean if fill is None else fill + support * (mean - fill)
    assert fill is not None
    return brought(fill, size)


def _foreign_grain(grain: Tensor, clean: Tensor, side: float) -> Tensor:
    """Where a place's own grain is rougher than clean skin's, so that it must not stay: B 1 h w."""
    energy = grain.square().mean(1, keepdim=True)
    own, usual = blur(energy, _TEXTURE * side), mean_around(energy, clean, 0.05 * side)
    ratio = ((own + 1e-6) / (usual + 1e-6)).sqrt()
    return ((ratio - 1.2) / 0.4).clamp(0, 1)


def _bands(photo: Tensor, skin: Tensor, side: float) -> Bands:
    """Blotches, redness and shine of photos B 3 h w on skin B 1 h w."""
    photo, skin, full = _coarser(photo, side), _coarser(skin + 1e-4, side), photo.shape[-1]
    side = side * photo.shape[-1] / full
    means = [mean_around(photo, skin, share * side) for share in (*_BANDS, _WIDE)]
    lumas, crs = [luma(mean) for mean in means], [redness(mean) for mean in means]
    light = torch.zeros_like(lumas[0])
    for finer, coarser, share in zip(lumas[:-2], lumas[1:-1], _DAMPED, strict=True):
        band = finer - coarser
        light = light - share * band / (1 + (band / _WANTED) ** 2)
    cbs = [chroma(means[i], _CB) for i in (0, -2)]
    left, taken, _ = _RED
    return Bands(
        light,
        -_CHROMA_DAMPED * (crs[0] - crs[-2]),
        -_CHROMA_DAMPED * (cbs[0] - cbs[1]),
        taken * (crs[0] - crs[-1] - left).clamp_min(0),
        _SHINE[1] * (lumas[1] - lumas[-1] - _SHINE[0]).clamp_min(0),
    )


def _tone(
    bands: Bands, red: Tensor | float, shine: Tensor | float, uneven: Tensor | float
) -> Tensor:
    """Redness, shine and uneven tone taken away: what is to be added, B 3 h w."""
    blush = red * bands.blush
    light = uneven * bands.light - shine * bands.glare + _RED[2] * blush
    cr, cb = torch.minimum(uneven * bands.cr, -blush), uneven * bands.cb
    colour = torch.cat((1.402 * cr, -0.344 * cb - 0.714 * cr, 1.772 * cb), dim=1)
    return light + colour


def _coarser(planes: Tensor, side: float) -> Tensor:
    """Half the sides of B C h w, where the narrowest mean over it is wide enough for that."""
    if side < _REDUCED:
        return planes
    return F.avg_pool2d(planes, 2, ceil_mode=True, count_include_pad=False)
