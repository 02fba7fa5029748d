"""A face to put marks on, and how marks are placed there: spots, strokes, groups of spots.

Lengths are shares of the face's width, colours are changes of log R, G and B at degree 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..landmarks import BROWS, CHIN, JAW, NOSE
from .stamps import NOTHING, SPOT_FIELDS, STROKE_POINTS, Marks

Colour = Sequence[float]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """One face to put marks on.

    Attributes:
        rng: source of all randomness.
        unit: the face's width, ear to ear, in pixels.
        points: 478 2, the mesh in pixels.
        weights: h w, how likely a mark is placed in each cell of a grid over the photo; sums to 1.
        cell: (width, height) of a cell in pixels.
    """

    rng: np.random.Generator
    unit: float
    points: Array
    weights: Array
    cell: tuple[float, float]

    def count(self, low: int, high: int, degree: float) -> int:
        """How many marks: a random number, fewer at low degrees, at least one."""
        return max(1, round(int(self.rng.integers(low, high + 1)) * (0.4 + 0.6 * degree)))

    def anywhere(self, count: int) -> Array:
        """`count` points x, y on the skin."""
        rows = self.rng.choice(self.weights.size, size=count, p=self.weights.ravel())
        cells = np.stack([rows % self.weights.shape[1], rows // self.weights.shape[1]], 1)
        return (cells + self.rng.random((count, 2))) * np.array(self.cell)

    def around(self, centre: Array, spread: float, count: int) -> Array:
        """`count` points around a centre, `spread` in shares of the face's width."""
        return centre + self.rng.normal(0, spread * self.unit, (count, 2))

    def cheek(self, side: int) -> Array:
        """Middle of the cheek on the left (0) or right (1) of the photo."""
        corner, mouth = (33, 61) if side == 0 else (263, 291)
        ear = JAW[2] if side == 0 else JAW[-3]
        weights = np.array([0.25, 0.35, 0.2, 0.2])[:, None]
        return (self.points[[corner, mouth, ear, NOSE[5]]] * weights).sum(0)

    def forehead(self) -> Array:
        """Middle of the forehead."""
        brows = self.points[[BROWS[0][2], BROWS[1][2]]].mean(0)
        return brows + 0.55 * (self.points[10] - brows)

    def up(self) -> Array:
        """Unit vector from the chin to the forehead."""
        along = self.points[10] - self.points[CHIN]
        return along / np.linalg.norm(along)

    def uniform(self, low: float, high: float, count: int | None = None) -> Any:
        """Numbers drawn evenly."""
        return self.rng.uniform(low, high, count)


def spots(place: Place, at: Array, radius: Any, colour: Colour, **more: Any) -> Marks:
    """Spots at the points `at`; further fields of `SPOT_FIELDS` by name, radii in face widths."""
    count = len(at)
    rows = np.zeros((count, len(SPOT_FIELDS)))
    field = {name: i for i, name in enumerate(SPOT_FIELDS)}
    radius = np.broadcast_to(radius, count) * place.unit
    stretch = np.exp(place.uniform(-1, 1, count) * more.pop("stretch", 0.15))
    rows[:, 2:4] = at
    rows[:, field["width"]] = radius * stretch
    rows[:, field["height"]] = radius / stretch
    rows[:, field["angle"]] = place.uniform(0, np.pi, count)
    rows[:, field["phase"]] = place.uniform(0, 2 * np.pi, count)
    variety = np.exp(place.rng.normal(0, 0.2, (count, 1)))
    rows[:, 14:17] = np.asarray(colour) * variety
    rows[:, 17:20] = np.asarray(more.pop("core_colour", (0.0, 0.0, 0.0))) * variety
    rows[:, field["softness"]] = 0.4
    rows[:, field["wobble"]] = 0.08
    for name, value in more.items():
        rows[:, field[name]] = value
    return Marks(rows, NOTHING.strokes, NOTHING.paths)


def stroke(place: Place, path: Array, width: float, colour: Colour, flank: float = 0.4) -> Marks:
    """One stroke along a path of any number of points, with a slight tremor."""
    steps = np.linspace(0, len(path) - 1, STROKE_POINTS)
    known = np.arange(len(path))
    points = np.stack([np.interp(steps, known, path[:, axis]) for axis in (0, 1)], 1)
    points += place.rng.normal(0, 0.004 * place.unit, points.shape)
    row = np.array([[0, 0, max(0.55, width * place.unit), flank, *colour]])
    return Marks(NOTHING.spots, row, points[None])


def arc(start: Array, end: Array, bend: float) -> Array:
    """An arc of STROKE_POINTS points; `bend` is its height as a share of its length."""
    share = np.linspace(0, 1, STROKE_POINTS)[:, None]
    normal = np.array([start[1] - end[1], end[0] - start[0]])
    return start + share * (end - start) + 4 * share * (1 - share) * bend * normal


def clusters(place: Place, count: int, spread: float = 0.07) -> Array:
    """Points in up to three groups and a few apart, as acne comes."""
    centres = place.anywhere(int(place.rng.integers(1, 4)))
    member = place.rng.integers(0, len(centres), count)
    at = centres[member] + place.rng.normal(0, spread * place.unit, (count, 2))
    apart = place.rng.random(count) < 0.4
    at[apart] = place.anywhere(count)[apart]
    return at


def scattered(
    place: Place,
    degree: float,
    counts: tuple[int, int],
    radii: tuple[float, float],
    colour: Colour,
    **look: float,
) -> Marks:
    """Spots anywhere on the skin: how many, how large, in which colour; the rest as for `spots`."""
    at = place.anywhere(place.count(*counts, degree))
    return spots(place, at, place.uniform(*radii, len(at)), colour, **look)
