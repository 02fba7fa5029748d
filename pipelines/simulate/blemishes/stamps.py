"""Draws many small marks at once: spots and strokes of any colour, each on a patch of its own size.

A mark is a change of the logarithm of the photo's values, so that marks add up and follow the
skin's own brightness. Coordinates and lengths are in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SPOT_FIELDS = (
    "image", "layer", "x", "y", "width", "height", "angle", "softness", "wobble", "phase",
    "relief", "blotch", "grain", "core", "red", "green", "blue", "core_red", "core_green",
    "core_blue",
)  # fmt: skip
STROKE_POINTS = 8
STROKE_FIELDS = ("image", "layer", "width", "flank", "red", "green", "blue")

_PATCHES = (12, 24, 48, 96, 192)  # sides of the patches, smallest that holds the mark
_REACH = 1.5  # a spot has faded out at this many radii, plus three softnesses
_LEAST_SOFTNESS = 0.45  # pixels; a sharper edge would alias


class Marks(NamedTuple):
    """Marks to draw, as rows of numbers.

    Attributes:
        spots: S x fields of `SPOT_FIELDS`. Half axes `width` and `height` along `angle` and across;
            `softness` of the edge and the radius of the `core` are shares of the half axes;
            `wobble` is the depth of the outline's waves, `relief` the light on one side and the
            shade on the other; `blotch` and `grain` are the shares in which coarse and fine noise
            modulate the mark. Colours are changes of log R, G, B; the core's adds to the spot's.
        strokes: T x fields of `STROKE_FIELDS`: width of the valley, and the brightness of the
            light along its upper side as a share of its depth.
        paths: T x STROKE_POINTS x 2, the points (x, y) of each stroke.
    """

    spots: NDArray[np.float64]
    strokes: NDArray[np.float64]
    paths: NDArray[np.float64]


NOTHING = Marks(
    np.zeros((0, len(SPOT_FIELDS))),
    np.zeros((0, len(STROKE_FIELDS))),
    np.zeros((0, STROKE_POINTS, 2)),
)


def join(marks: Sequence[Marks]) -> Marks:
    """All marks of a sequence as one."""
    return Marks(*(np.concatenate(parts) for parts in zip(NOTHING, *marks, strict=True)))


def draw(marks: Marks, shape: tuple[int, int, int, int], noise: Tensor) -> Tensor:
    """The sum of all marks.

    Args:
        marks: what to draw; its images and layers index the first two axes of the result.
        shape: (B, L, H, W) of the result, L the number of layers.
        noise: B 2 H W, coarse noise in [0, 1] and fine noise around 0.

    Returns:
        B L 3 H W, changes of the logarithm of R, G and B.
    """
    batch, layers, height, width = shape
    canvas = noise.new_zeros(batch * layers * height * width, 3)
    for patch, rows in _buckets(_spot_reach(marks.spots)):
        _add(canvas, shape, *_spots(marks.spots[rows], patch, noise))
    centre, reach = _stroke_boxes(marks)
    for patch, rows in _buckets(reach):
        strokes, paths = marks.strokes[rows], marks.paths[rows]
        _add(canvas, shape, *_strokes(strokes, paths, centre[rows], patch, noise))
    return canvas.view(batch, layers, height, width, 3).movedim(-1, 2)


def _buckets(reach: NDArray) -> list[tuple[int, NDArray]]:
    """Groups the marks by the patch that holds them; larger ones are cut at the largest patch."""
    if not len(reach):
        return []
    index = np.searchsorted(np.array(_PATCHES) / 2 - 1, reach).clip(max=len(_PATCHES) - 1)
    return [(_PATCHES[i], np.flatnonzero(index == i)) for i in np.unique(index)]


def _spot_reach(spots: NDArray) -> NDArray:
    longest = np.maximum(spots[:, 4], spots[:, 5])
    return longest * (_REACH + 3 * spots[:, 7]) + 1.5


def _stroke_boxes(marks: Marks) -> tuple[NDArray, NDArray]:
    if not len(marks.paths):
        return np.zeros((0, 2)), np.zeros(0)
    low, high = marks.paths.min(1), marks.paths.max(1)
    return (low + high) / 2, (high - low).max(1) / 2 + 4 * marks.strokes[:, 2] + 1


def _grid(centre: Tensor, patch: int) -> tuple[Tensor, Tensor]:
    """Whole pixels x, y (M P P) of the patches around the centres (M 2)."""
    offset = torch.arange(patch, device=centre.device) - patch // 2
    corner = centre.round().long()
    x = corner[:, 0, None, None] + offset
    y = corner[:, 1, None, None] + offset[:, None]
    return x.expand(-1, patch, -1), y.expand(-1, -1, patch)


def _add(
    canvas: Tensor, shape: tuple[int, int, int, int], plane: Tensor, x: Tensor, y: Tensor, v: Tensor
) -> None:
    """Adds values M P P 3 at pixels x, y of the planes M; what lies outside is left out."""
    _, _, height, width = shape
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    place = (plane[:, None, None] * height + y) * width + x
    canvas.index_add_(0, place[inside], v[inside])


def _sample(noise: Tensor, image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Both noises at the pixels x, y: M P P 2."""
    height, width = noise.shape[-2:]
    return noise[image[:, None, None], :, y.clamp(0, height - 1), x.clamp(0, width - 1)]


def _spots(spots: NDArray, patch: int, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows = torch.as_tensor(spots, dtype=noise.dtype, device=noise.device)
    layers = _layers(rows)
    x, y = _grid(rows[:, 2:4], patch)
    at = dict(zip(SPOT_FIELDS, rows[:, :, None, None].unbind(1), strict=True))
    right, down = x - at["x"], y - at["y"]
    along = (right * at["angle"].cos() + down * at["angle"].sin()) / at["width"]
    across = (down * at["angle"].cos() - right * at["angle"].sin()) / at["height"]
    radius = (along.square() + across.square()).sqrt().clamp_min(1e-6)
    turn = torch.atan2(across, along)
    waves = (2 * turn + at["phase"]).sin() + 0.7 * (3 * turn + 2.3 * at["phase"]).sin()
    radius = radius * (1 + at["wobble"] * waves)

    size = torch.minimum(at["width"], at["height"])
    softness = torch.maximum(at["softness"], _LEAST_SOFTNESS / size)
    disc = torch.sigmoid((1 - radius) * (2 / softness))
    core = torch.sigmoid((at["core"] - radius) * (2 / softness)) * (at["core"] > 0)
    light = -(0.45 * right + 0.9 * down) / size.clamp_min(1) * disc * (1.3 - radius).clamp(0, 1)
    values = (
        disc[..., None] * rows[:, None, None, 14:17] + core[..., None] * rows[:, None, None, 17:20]
    )
    values = values + (light * at["relief"])[..., None]

    coarse, fine = _sample(noise, layers[0], x, y).unbind(-1)
    strength = (1 - at["blotch"] + at["blotch"] * coarse) * (1 - at["grain"] + at["grain"] * fine)
    return layers[1], x, y, values * strength[..., None]


def _layers(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the photo, and of its plane in the flattened canvas (rows carry both)."""
    return rows[:, 0].long(), rows[:, 1].long()


def _strokes(
    strokes: NDArray, paths: NDArray, centre: NDArray, patch: int, noise: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows = torch.as_tensor(strokes, dtype=noise.dtype, device=noise.device)
    points = torch.as_tensor(paths, dtype=noise.dtype, device=noise.device)
    x, y = _grid(torch.as_tensor(centre, dtype=noise.dtype, device=noise.device), patch)
    nearest = torch.full_like(x, 1e9, dtype=noise.dtype)
    place, side = torch.zeros_like(nearest), torch.zeros_like(nearest)
    segments = STROKE_POINTS - 1
    for i in range(segments):
        start, step = (
            points[:, i, :, None, None],
            (points[:, i + 1] - points[:, i])[..., None, None],
        )
        right, down = x - start[:, 0], y - start[:, 1]
        length = step.square().sum(1).clamp_min(1e-6)
        share = ((right * step[:, 0] + down * step[:, 1]) / length).clamp(0, 1)
        away = (right - share * step[:, 0]).square() + (down - share * step[:, 1]).square()
        closer = away < nearest
        nearest = torch.where(closer, away, nearest)
        place = torch.where(closer, (i + share) / segments, place)
        normal = (step[:, 0] * down - step[:, 1] * right) / length.sqrt()
        side = torch.where(closer, normal, side)

    width = rows[:, 2, None, None] * (0.4 + 0.6 * (place * torch.pi).sin())
    taper = (4 * place * (1 - place)).clamp_min(0).sqrt()
    valley = torch.exp(-nearest / width.square()) * taper
    lit = torch.exp(-((side + 1.8 * width) / width).square()) * torch.exp(
        -(nearest / width.square() - 4).clamp_min(0)
    )
    depth = rows[:, None, None, 4:7].abs().mean(-1)
    values = valley[..., None] * rows[:, None, None, 4:7]
    values = values + (lit * taper * depth * rows[:, 3, None, None])[..., None]
    coarse = _sample(noise, rows[:, 0].long(), x, y)[..., 0]
    return rows[:, 1].long(), x, y, values * (0.6 + 0.4 * coarse)[..., None]
