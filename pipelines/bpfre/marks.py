"""Natural spots, lines and moles, by their contrast to the skin around them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ...models.bpfre.planes import blur, luma, mean_around, redness

SOFTNESS = 0.1
"""Of the threshold that a spot's salience must pass."""
LINE_SHARE = 0.3
"""Of a line that is ever filled."""
_CERTAIN = 0.5  # salience from which a spot is filled whole
_DOUBTFUL = 0.25  # share of the faintest that is
SCALES = (0.0022, 0.0036, 0.0058, 0.0093)
"""Sigmas at which spots are sought, as shares of the crop's shorter side."""
_RED = 1.3  # weight of redness beside darkness
_LEAST = 0.02  # contrast of the faintest spot, on the scale of [-1, 1]
_PLAIN = 0.1  # contrast of an evident one
_LEAST_Z = 2.0  # the same in deviations of the skin's own unrest
_PLAIN_Z = 6.0
_MOLE = (0.22, 0.25)
"""A mole is darker than the skin around by this share of its light, and less red than this share of
how much darker it is."""
_EVIDENT_MOLE = 0.35  # depth from which it is one for sure, unless it is one of a group
_GROUP = (4, 0.08)  # as many others within this share of the side: blackheads, freckles, stubble
_AROUND = (0.012, 0.09)  # sigmas of the skin around; the darker mean counts, so that glare does not
_OPEN = 0.5  # share of skin from which a mole may be there; spots need more of it around
_SLIMMEST = 0.45  # ratio of axes of what is still a spot
_MOST = 300  # peaks looked at


class Marks(NamedTuple):
    """What was found on one face, each h w in [0, 1].

    Attributes:
        spots: share of each place that is a spot's.
        salience: how evident that spot is.
        lines: fine lines.
        moles: what is no spot, also where none is sought.
        evident: those moles that are much darker than the skin and stand alone.
    """

    spots: Tensor
    salience: Tensor
    lines: Tensor
    moles: Tensor
    evident: Tensor


def find_marks(photo: Tensor, skin: Tensor) -> Marks:
    """Finds marks on one face.

    Args:
        photo: 1 3 h w in [-1, 1].
        skin: 1 1 h w in [0, 1], where marks may be.
    """
    side = min(photo.shape[-2:])
    away = contrasts(photo)
    deep = (blur(skin, 0.012 * side) > 0.8) & (skin > 0.7)
    contrast = away.sum
    unrest = mean_around(contrast.clamp_max(0.04).square(), skin + 1e-4, 0.05 * side).sqrt()
    z = contrast / (unrest + 0.005)

    depth = _depth(photo, skin, side)
    seen = (contrast, z, away.dark, away.red, away.scale, depth, deep)
    planes = [each[0, 0].numpy() for each in seen]
    made = [np.zeros(photo.shape[-2:], np.float32) for _ in range(3)]
    dark: list[Mole] = []
    for row, column in _peaks(contrast, z, skin > _OPEN):
        mole = _judge(planes, row, column, side, *made)
        dark += [] if mole is None else [mole]
    made.append(_alone(dark, made[2], side))
    grown = [_grown(each, side) for each in made]
    keep = 1 - (2 * grown[2]).clamp(0, 1)
    lines = _lines(photo, skin * deep, side)
    return Marks(grown[0] * keep, grown[1] * keep, lines * keep, *grown[2:])


def wanted_spots(marks: Marks, amount: float) -> Tensor:
    """What of each place h w to fill as a spot at an amount in [0, 1]: faint ones need more."""
    evident = marks.salience / marks.spots.clamp_min(1e-3)
    share = ((evident - (1 - amount)) / SOFTNESS + 0.5).clamp(0, 1)
    likely = (evident / _CERTAIN).clamp(_DOUBTFUL, 1)
    return marks.spots * share * likely * float(amount > 0)


class Mole(NamedTuple):
    """A mole: its peak, how much darker than the skin it is, and its pixels in a window."""

    row: int
    column: int
    depth: float
    window: tuple[slice, slice]
    core: NDArray


class Contrast(NamedTuple):
    """How a place differs from what lies around it, each B 1 h w.

    Attributes:
        sum: darker and redder than the nearest of eight places around, at the scale where that
            is most; shadows and lines have none.
        dark: how much darker there.
        red: how much redder there.
        scale: the number of that scale in `SCALES`.
    """

    sum: Tensor
    dark: Tensor
    red: Tensor
    scale: Tensor


def contrasts(photo: Tensor) -> Contrast:
    """Contrast of every place to the nearest of what lies around it, at the best scale."""
    side = min(photo.shape[-2:])
    planes = torch.cat((-luma(photo), redness(photo)), dim=1)
    best: Contrast | None = None
    for number, share in enumerate(SCALES):
        smooth = blur(planes, share * side)
        sums = smooth[:, :1] + _RED * smooth[:, 1:]
        around = [torch.roll(smooth, moved, (2, 3)) for moved in _ring(3 * share * side)]
        nearest = torch.stack([each[:, :1] + _RED * each[:, 1:] for each in around]).amax(0)
        away = smooth - sum(around) / len(around)
        scale = torch.full_like(sums, number)
        this = Contrast((sums - nearest).clamp_min(0), away[:, :1], away[:, 1:], scale)
        if best is None:
            best = this
            continue
        more = this.sum > 1.1 * best.sum
        best = Contrast(*(torch.where(more, a, b) for a, b in zip(this, best, strict=True)))
    assert best is not None
    return best


def _ring(radius: float) -> list[tuple[int, int]]:
    """Eight moves of a length, in whole pixels."""
    angles = [math.pi * i / 4 for i in range(8)]
    return [(round(radius * math.sin(a)), round(radius * math.cos(a))) for a in angles]


def _depth(photo: Tensor, skin: Tensor, side: int) -> Tensor:
    """How much darker a pixel is than the skin around, as a share of that skin's light: B 1 h w."""
    light = (luma(photo) + 1) / 2
    near, wide = (mean_around(light, skin + 1e-4, share * side) for share in _AROUND)
    around = torch.minimum(near, wide).clamp_min(0.02)
    return 1 - light / around


def _peaks(contrast: Tensor, z: Tensor, allowed: Tensor) -> list[tuple[int, int]]:
    """Allowed places (row, column) where contrast is highest around, the highest first."""
    highest = F.max_pool2d(contrast, 7, 1, 3)
    peaks = contrast * (contrast == highest) * (contrast > _LEAST) * (z > _LEAST_Z) * allowed
    values, places = peaks.flatten().topk(min(_MOST, peaks.numel()))
    width = contrast.shape[-1]
    return [divmod(int(place), width) for place in places[values > 0]]


def _judge(
    planes: list[NDArray],
    row: int,
    column: int,
    side: int,
    spots: NDArray,
    salience: NDArray,
    moles: NDArray,
) -> Mole | None:
    """Enters the mark at a peak where it belongs, if it is a mark at all; a mole is returned."""
    contrast, z, dark, red, scale, depth, deep = planes
    sigma = SCALES[int(scale[row, column])] * side
    reach = max(3, round(3.2 * sigma))
    rows = slice(max(0, row - reach), row + reach + 1)
    columns = slice(max(0, column - reach), column + reach + 1)
    peak = float(contrast[row, column])
    seen = contrast[rows, columns] > 0.3 * peak
    core = _region(seen, row - rows.start, column - columns.start)
    if _touches_border(core) or _slimness(core) < _SLIMMEST:
        return None
    darkest = depth[rows, columns][core].max()
    if darkest > _MOLE[0] and red[row, column] < _MOLE[1] * dark[row, column]:
        moles[rows, columns] = np.maximum(moles[rows, columns], core)
        return Mole(row, column, float(darkest), (rows, columns), core)
    if not deep[row, column]:
        return None
    strong = (peak - _LEAST) / (_PLAIN - _LEAST)
    clear = (float(z[row, column]) - _LEAST_Z) / (_PLAIN_Z - _LEAST_Z)
    evident = np.clip(0.6 * strong + 0.4 * min(clear, 1.5), 0.02, 1)
    spots[rows, columns] = np.maximum(spots[rows, columns], core)
    salience[rows, columns] = np.maximum(salience[rows, columns], core * evident)
    return None


def _alone(moles: list[Mole], like: NDArray, side: int) -> NDArray:
    """A mask of those moles that are dark enough and no part of a group."""
    mask = np.zeros_like(like)
    most, reach = _GROUP[0], _GROUP[1] * side
    for mole in moles:
        away = [math.hypot(mole.row - each.row, mole.column - each.column) for each in moles]
        if mole.depth > _EVIDENT_MOLE and sum(each < reach for each in away) <= most:
            mask[mole.window] = np.maximum(mask[mole.window], mole.core)
    return mask


def _region(seen: NDArray, row: int, column: int) -> NDArray:
    """The part of a mask that is connected with a place, over edges of pixels."""
    region = np.zeros_like(seen)
    region[row, column] = True
    while True:
        grown = region.copy()
        grown[1:] |= region[:-1]
        grown[:-1] |= region[1:]
        grown[:, 1:] |= region[:, :-1]
        grown[:, :-1] |= region[:, 1:]
        grown &= seen
        if np.array_equal(grown, region):
            return region
        region = grown


def _touches_border(core: NDArray) -> bool:
    rim = core.sum() - core[1:-1, 1:-1].sum()
    return bool(rim > 0.15 * max(1, core.sum()) or (core[0].any() and core[-1].any()))


def _slimness(core: NDArray) -> float:
    """Ratio of the axes, short to long, of the ellipse with a region's moments."""
    places = np.argwhere(core).astype(float)
    if len(places) < 3:
        return 1.0
    spread = np.cov(places.T) + np.eye(2) / 12
    short, long = np.linalg.eigvalsh(spread)
    return float(np.sqrt(short / long))


def _grown(mask: NDArray, side: int) -> Tensor:
    """A mask a little larger, with soft edges: h w."""
    plane = torch.from_numpy(mask)[None, None]
    reach = max(1, round(0.004 * side))
    plane = F.max_pool2d(plane, 2 * reach + 1, 1, reach)
    return blur(plane, 0.0028 * side).clamp(0, 1)[0, 0]


def _lines(photo: Tensor, skin: Tensor, side: int) -> Tensor:
    """Dark ridges much longer than wide, h w in [0, 1]."""
    y, best = luma(photo), None
    for share in (0.003, 0.005):
        sigma = share * side
        across, along = _curvatures(blur(y, sigma))
        ridge = (across - 1.5 * along.abs()).clamp_min(0) * sigma**2
        best = ridge if best is None else torch.maximum(best, ridge)
    assert best is not None
    smooth = blur(best, 0.006 * side)  # short specks fade
    unrest = mean_around(smooth, skin + 1e-4, 0.08 * side)
    strong = ((smooth - 0.012) / 0.03).clamp(0, 1) * ((smooth / (unrest + 1e-4) - 1.3) / 1.5).clamp(
        0, 1
    )
    here = ((best - 0.4 * smooth) / (smooth + 1e-4)).clamp(0, 1)
    return blur(strong * here * skin, 0.002 * side)[0, 0].clamp(0, 1)


def _curvatures(y: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues of the Hessian, the larger first, of B 1 h w."""
    p = F.pad(y, (1, 1, 1, 1), mode="replicate")
    xx = p[..., 1:-1, 2:] - 2 * y + p[..., 1:-1, :-2]
    yy = p[..., 2:, 1:-1] - 2 * y + p[..., :-2, 1:-1]
    xy = (p[..., 2:, 2:] + p[..., :-2, :-2] - p[..., 2:, :-2] - p[..., :-2, 2:]) / 4
    middle, spread = (xx + yy) / 2, (((xx - yy) / 2) ** 2 + xy**2).sqrt()
    return middle + spread, middle - spread
