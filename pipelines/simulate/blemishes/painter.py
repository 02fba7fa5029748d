"""The blemish painter: acne, redness, scars, spots, pores, wrinkles on skin, and moles that stay.

Moles are painted in source and target alike: telling them from blemishes is part of the task.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..colour import signed, unit
from ..landmarks import FaceRegions, canonical_mesh
from ..regions import skin_likelihood
from .forms import FORMS
from .place import Place
from .stamps import Marks, draw, join

KINDS = ("acne", "redness", "scars", "spots", "pores", "wrinkles")
"""Blemishes, in the order of the masks."""
MOLES = "moles"
SHARES = {"acne": 3, "redness": 2, "scars": 3, "spots": 3, "pores": 1, "wrinkles": 2}
"""How often each kind is drawn, relative to the others."""

_CONTRAST = 1.5  # of all marks at degree 1, by eye on contact sheets
_VISIBLE = 0.08  # change of a logarithm that counts as full in a mask
_CELLS = 64  # the grid on which marks are placed has about this many cells along a side


class Blemish(NamedTuple):
    """One kind of mark on one face.

    Attributes:
        kind: one of `KINDS`, or `MOLES`.
        form: name of one of the kind's forms, see `forms`.
        degree: 0 = nothing .. 1 = strongest: scales contrast and number.
        seed: fixes place, size and number of the marks.
    """

    kind: str
    form: str
    degree: float
    seed: int


class Painted(NamedTuple):
    """Faces with blemishes, and the same faces without.

    Attributes:
        image: B 3 H W in [-1, 1], with blemishes and moles.
        target: B 3 H W in [-1, 1], with moles only.
        masks: B 6 H W in [0, 1], one for each of `KINDS` (or B 1 H W for all together): 1 where a
            value changes by 8 % or more.
        moles: B H W in [0, 1], the same for moles.
    """

    image: Tensor
    target: Tensor
    masks: Tensor
    moles: Tensor

    @property
    def mask(self) -> Tensor:
        """B 1 H W in [0, 1]: any blemish."""
        return self.masks.amax(1, keepdim=True)


def forms(kind: str) -> tuple[str, ...]:
    """Names of a kind's forms.

    Raises:
        ValueError: for an unknown kind.
    """
    if kind not in FORMS:
        raise ValueError(f"Unknown kind of blemish {kind!r}; choose one of {tuple(FORMS)}.")
    return tuple(form.__name__ for form in FORMS[kind])


def sample_blemishes(
    rng: np.random.Generator,
    kinds: Iterable[str] = KINDS,
    *,
    count: tuple[int, int] = (3, 6),
    degrees: tuple[float, float] = (0.5, 1.0),
    mole_probability: float = 0.6,
) -> tuple[Blemish, ...]:
    """Draws the blemishes of one face: some of the kinds, each in a random form, and perhaps moles.

    Args:
        rng: source of all randomness.
        kinds: kinds to choose from.
        count: fewest and most blemishes; a kind may come twice, in other forms.
        degrees: range of the evenly drawn degrees.
        mole_probability: chance of moles; in a third of the cases of two forms.

    Raises:
        ValueError: for an unknown kind, or ranges that are not within their bounds.
    """
    kinds = tuple(kinds)
    low, high = count
    if not 0 <= low <= high or not 0 <= degrees[0] <= degrees[1] <= 1:
        raise ValueError(
            f"Expected 0 <= low <= high for count and 0 <= low <= high <= 1 for degrees, got "
            f"{count} and {degrees}."
        )
    names = [(kind, form) for kind in kinds for form in forms(kind)]
    number = int(rng.integers(low, high + 1))
    share = np.array([SHARES[kind] / len(forms(kind)) for kind, _ in names])
    number = min(number, len(names))
    picked = rng.choice(len(names), number, replace=False, p=share / share.sum()) if number else []
    chosen = [names[int(i)] for i in picked]
    if rng.random() < mole_probability:
        both = rng.permutation(len(forms(MOLES)))[: 2 if rng.random() < 1 / 3 else 1]
        chosen += [(MOLES, forms(MOLES)[int(i)]) for i in both]
    return tuple(
        Blemish(kind, form, float(rng.uniform(*degrees)), int(rng.integers(2**31)))
        for kind, form in chosen
    )


def paint(
    images: Tensor,
    blemishes: Sequence[Sequence[Blemish]],
    landmarks: Tensor | None = None,
    *,
    by_kind: bool = True,
    skin: Tensor | None = None,
) -> Painted:
    """Paints blemishes and moles on the skin of faces. Deterministic.

    Args:
        images: B 3 H W in [-1, 1], RGB.
        blemishes: for each face what to paint; nothing, or degree 0, leaves it as it is.
        landmarks: B 478 2 in shares of width and height; None: the mean face of aligned crops.
        by_kind: give a mask for each kind; False draws all kinds into one mask, which is faster.
        skin: B 1 H W in [0, 1], what `paintable_skin` gave for these faces; None computes it.

    Raises:
        ValueError: for tensors that do not fit, an unknown kind or form, or a degree outside
            [0, 1].
    """
    _check(images, blemishes, landmarks)
    batch, _, height, width = images.shape
    face = _regions(images, landmarks)
    skin = paintable_skin(images, landmarks) if skin is None else skin.to(images)

    layers = len(KINDS) + 1 if by_kind else 2
    marks = _marks(blemishes, face, skin, layers)
    noise = _noise(blemishes, face, images)
    change = draw(marks, (batch, layers, height, width), noise) * (_CONTRAST * skin[:, None])
    masks = (change.abs().amax(2) / _VISIBLE).clamp(0, 1)
    target = _apply(images, change[:, -1])
    return Painted(_apply(target, change[:, :-1].sum(1)), target, masks[:, :-1], masks[:, -1])


def paintable_skin(images: Tensor, landmarks: Tensor | None = None) -> Tensor:
    """Where marks can lie: skin by the mesh, and of the skin's colour; B 1 H W in [0, 1].

    Args:
        images: B 3 H W in [-1, 1], RGB.
        landmarks: as for `paint`.
    """
    face = _regions(images, landmarks)
    likely = (1.6 * skin_likelihood(unit(images), face)).clamp(0, 1)
    return (face.skin * likely).clamp(0, 1)


def _regions(images: Tensor, landmarks: Tensor | None) -> FaceRegions:
    points = canonical_mesh().to(images) if landmarks is None else landmarks.to(images)
    height, width = images.shape[-2:]
    return FaceRegions(points.expand(len(images), -1, -1), height, width, images)


def _apply(images: Tensor, change: Tensor) -> Tensor:
    """Multiplies the values of each photo; where nothing changes it stays to the bit."""
    return torch.where(change == 0, images, signed(unit(images) * change.exp()))


def _marks(
    blemishes: Sequence[Sequence[Blemish]], face: FaceRegions, skin: Tensor, layers: int
) -> Marks:
    """The marks of all faces, each with the number of its photo and of its plane."""
    grid = (min(_CELLS, skin.shape[-2]), min(_CELLS, skin.shape[-1]))
    weights = F.adaptive_avg_pool2d(skin.float(), grid)[:, 0].double().cpu().numpy() ** 2
    size = np.array([face.width, face.height])
    points = face.points.double().cpu().numpy() * size
    units = face.scale.double().cpu().numpy()
    layer_of = {kind: min(i, layers - 2) for i, kind in enumerate(KINDS)} | {MOLES: layers - 1}

    found = []
    for row, wanted in enumerate(blemishes):
        if weights[row].sum() <= 0:
            continue  # no skin in sight
        weight = weights[row] / weights[row].sum()
        cell = (face.width / grid[1], face.height / grid[0])
        for blemish in wanted:
            place = Place(
                np.random.default_rng(blemish.seed), float(units[row]), points[row], weight, cell
            )
            form = FORMS[blemish.kind][forms(blemish.kind).index(blemish.form)]
            if blemish.degree > 0:
                plane = row * layers + layer_of[blemish.kind]
                found.append(_numbered(form(place, blemish.degree), row, plane, blemish.degree))
    return join(found)


def _numbered(marks: Marks, row: int, plane: int, degree: float) -> Marks:
    spots, strokes = marks.spots.copy(), marks.strokes.copy()
    spots[:, 0], strokes[:, 0] = row, row
    spots[:, 1], strokes[:, 1] = plane, plane
    spots[:, 10] *= degree
    spots[:, 14:20] *= degree
    strokes[:, 4:7] *= degree
    return Marks(spots, strokes, marks.paths)


def _noise(blemishes: Sequence[Sequence[Blemish]], face: FaceRegions, images: Tensor) -> Tensor:
    """B 2 H W: coarse noise in [0, 1], and fine noise of mean 0, both by the face's width."""
    planes = []
    for wanted, scale in zip(blemishes, face.scale.tolist(), strict=True):
        rng = np.random.default_rng([blemish.seed for blemish in wanted] or [0])
        coarse = sum(
            weight * _smooth_noise(rng, face, length * scale)
            for length, weight in ((0.10, 0.5), (0.04, 0.3), (0.015, 0.2))
        )
        fine = _smooth_noise(rng, face, 0.012 * scale) - _smooth_noise(rng, face, 0.03 * scale)
        planes.append(np.stack([(2.2 * coarse - 0.6).clip(0, 1), 2.5 * fine]))
    return torch.as_tensor(np.stack(planes)).to(images)


def _smooth_noise(rng: np.random.Generator, face: FaceRegions, length: float) -> np.ndarray:
    """H W of smooth noise in [0, 1] whose grid has cells of `length` pixels."""
    rows, columns = (max(2, int(side / max(length, 1.0)) + 2) for side in (face.height, face.width))
    grid = torch.from_numpy(rng.random((1, 1, rows, columns), dtype=np.float32))
    size = (face.height, face.width)
    return F.interpolate(grid, size, mode="bicubic", align_corners=False)[0, 0].clamp(0, 1).numpy()


def _check(
    images: Tensor, blemishes: Sequence[Sequence[Blemish]], landmarks: Tensor | None
) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or len(blemishes) != len(images):
        raise ValueError(
            f"Expected images B 3 H W and a list of blemishes for each, got {tuple(images.shape)} "
            f"and {len(blemishes)} lists."
        )
    if landmarks is not None and landmarks.shape != (len(images), 478, 2):
        raise ValueError(
            f"Expected landmarks {len(images)} x 478 x 2, got {tuple(landmarks.shape)}."
        )
    for blemish in (one for wanted in blemishes for one in wanted):
        if blemish.form not in forms(blemish.kind):
            raise ValueError(
                f"Unknown form {blemish.form!r} of {blemish.kind}; choose one of "
                f"{forms(blemish.kind)}."
            )
        if not 0 <= blemish.degree <= 1:
            raise ValueError(
                f"Expected a degree in [0, 1] for {blemish.kind}, got {blemish.degree}."
            )
