"""Where a beauty filter acts: the face, all that has its skin's colour, or the whole picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .colour import luma, rgb_to_ycbcr
from .filters import enlarge, gaussian, guided, reduce
from .landmarks import FaceRegions
from .skin_rules import RULES

_LEAST_SPREAD = (0.10, 0.02, 0.02)  # in Y, Cb and Cr; an evenly lit face varies less than this
_TOLERANCE = 1.6  # standard deviations of the face's own skin
_LEAST_COVER = 0.3  # of the face's skin; a hard rule that accepts less is not used
_GRID = 4  # skin colour is judged on a grid this much coarser


def skin_likelihood(rgb: Tensor, face: FaceRegions) -> Tensor:
    """How much each pixel near the face has the colour of its skin.

    A Gaussian in YCbCr around the mean colour of `face.skin`, as wide as its own variation,
    refined along the picture's edges by a guided filter and faded out away from the face.

    Args:
        rgb: B 3 H W in [0, 1].
        face: Soft masks of the same size.

    Returns:
        B 1 H W in [0, 1]; covers neck, ears and the rest of the face's skin.
    """
    height, width = rgb.shape[-2:]
    coarse = enlarge(_coarse_likelihood(rgb, face), (height, width))
    radius = rgb.new_full((len(rgb),), 0.02 * max(height, width))
    return guided(coarse, luma(rgb), radius, rgb.new_full((len(rgb),), 4e-3), _GRID).clamp(0, 1)


def _coarse_likelihood(rgb: Tensor, face: FaceRegions) -> Tensor:
    """Skin's likelihood before it is refined, on a grid `_GRID` times coarser."""
    colours, skin = rgb_to_ycbcr(reduce(rgb, _GRID)), reduce(face.skin, _GRID) + 1e-6
    skin = skin / skin.sum((2, 3), True)
    offset = colours - (colours * skin).sum((2, 3), True)
    spread = (offset.square() * skin).sum((2, 3), True)
    spread = spread + rgb.new_tensor(_LEAST_SPREAD)[:, None, None] ** 2
    likelihood = (-0.5 / _TOLERANCE**2 * (offset.square() / spread).sum(1, True)).exp()
    sigma = rgb.new_full((len(rgb),), 0.10 * rgb.shape[-2] / _GRID)
    return likelihood * (gaussian(reduce(face.oval, _GRID), sigma) * 3).clamp(0, 1)


def choose_region(
    rgb: Tensor, face: FaceRegions, choice: Tensor, shares: tuple[float, float]
) -> Tensor:
    """The mask of each sample: the face, all that a skin rule accepts, or the whole picture.

    Args:
        rgb: B 3 H W in [0, 1].
        face: Soft masks of the same size.
        choice: Length B in [0, 1].
        shares: How much of [0, 1] means the face's oval, and how much a skin rule (hard in the
            lower half of its share, soft in the upper); the rest means the whole picture.

    Returns:
        B 1 H W in [0, 1].
    """
    mask = torch.ones_like(rgb[:, :1])
    inside = (choice - shares[0]) / max(shares[1], 1e-6)
    mask = replace(mask, choice < shares[0], lambda rows: whole_face(select(face, rows)))
    return replace(
        mask,
        (inside >= 0) & (inside < 1),
        lambda rows: skin_region(take(rgb, rows), select(face, rows), take(inside, rows)),
    )


def whole_face(face: FaceRegions) -> Tensor:
    """Oval and forehead, eyes and lips included, feathered: B 1 H W in [0, 1]."""
    return soften(torch.maximum(face.oval, face.skin))


def skin_region(rgb: Tensor, face: FaceRegions, choice: Tensor) -> Tensor:
    """Skin by its colour: a hard rule where choice < 0.5, else the face's own colours, soft.

    A hard rule that misses most of this face (it happens in coloured light) gives way to the
    soft one. Half of the hard masks are blurred by about a pixel.

    Args:
        rgb: B 3 H W in [0, 1].
        face: Soft masks of the same size.
        choice: Length B in [0, 1].

    Returns:
        B 1 H W in [0, 1].
    """
    mask = torch.zeros_like(rgb[:, :1])
    kinds = (choice * 2 * len(RULES)).long()
    for kind, rule in enumerate(RULES):
        hard = kinds == kind
        mask = replace(mask, hard, lambda at, rule=rule: rule(take(rgb, at), select(face, at)))
    skin = reduce(face.skin, _GRID)
    covered = (reduce(mask, _GRID) * skin).sum((1, 2, 3)) / skin.sum((1, 2, 3)).clamp_min(1e-6)
    soft = covered < _LEAST_COVER
    feathered = ~soft & (torch.frac(choice * 97.3) < 0.5)
    mask = replace(mask, feathered, lambda rows: _barely_soften(take(mask, rows)))
    return replace(mask, soft, lambda rows: soft_skin(take(rgb, rows), select(face, rows)))


def soft_skin(rgb: Tensor, face: FaceRegions) -> Tensor:
    """The skin of face, neck and ears by the face's own colours, feathered: B 1 H W in [0, 1]."""
    coarse = torch.maximum(_coarse_likelihood(rgb, face), reduce(face.skin, _GRID) * 0.7)
    return _soften_coarse(coarse, rgb.shape[-2:])


def around_face(rgb: Tensor, face: FaceRegions) -> Tensor:
    """Neck, ears and what else looks like the face's skin outside its oval: B 1 H W in [0, 1]."""
    coarse = _coarse_likelihood(rgb, face) * (1 - reduce(face.oval, _GRID))
    return _soften_coarse(coarse, rgb.shape[-2:]) * (1 - face.oval)


def select(face: FaceRegions, rows: Tensor) -> FaceRegions:
    """The regions of some samples (a boolean of length B); all of them are `face` itself."""
    if bool(rows.all()):
        return face
    images = None if face.images is None else face.images[rows]
    return FaceRegions(face.points[rows], face.height, face.width, images)


def take(values: Tensor, rows: Tensor) -> Tensor:
    """The rows where the boolean `rows` (length B) is true; without a copy where all are."""
    return values if bool(rows.all()) else values[rows]


def replace(values: Tensor, rows: Tensor, make: Callable[[Tensor], Tensor]) -> Tensor:
    """`values` with `make(rows)` in the rows where the boolean `rows` (length B) is true."""
    if not bool(rows.any()):
        return values
    if bool(rows.all()):
        return make(rows)
    values = values.clone()
    values[rows] = make(rows)
    return values


def soften(mask: Tensor) -> Tensor:
    """Blurs a B 1 H W mask by 1.5 % of its height, so that no border shows."""
    return _soften_coarse(reduce(mask, _GRID), mask.shape[-2:])


def _barely_soften(mask: Tensor) -> Tensor:
    return gaussian(mask, mask.new_full((len(mask),), 0.8))


def _soften_coarse(mask: Tensor, size: Sequence[int]) -> Tensor:
    sigma = mask.new_full((len(mask),), 0.015 * size[0] / _GRID)
    return enlarge(gaussian(mask, sigma), size).clamp(0, 1)
