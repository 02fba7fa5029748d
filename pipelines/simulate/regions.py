"""Where a beauty filter acts: the face, all that has its skin's colour, or the whole picture."""

from __future__ import annotations

import torch
from torch import Tensor

from .colour import luma, rgb_to_ycbcr
from .filters import enlarge, gaussian, guided, per_sample, reduce
from .landmarks import FaceRegions

_LEAST_SPREAD = (0.10, 0.02, 0.02)  # in Y, Cb and Cr; an evenly lit face varies less than this
_TOLERANCE = 1.6  # standard deviations of the face's own skin
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
    batch, _, height, width = rgb.shape
    colours, skin = rgb_to_ycbcr(reduce(rgb, _GRID)), reduce(face.skin, _GRID) + 1e-6
    skin = skin / skin.sum((2, 3), True)
    offset = colours - (colours * skin).sum((2, 3), True)
    spread = (offset.square() * skin).sum((2, 3), True)
    spread = spread + rgb.new_tensor(_LEAST_SPREAD)[:, None, None] ** 2
    likelihood = (-0.5 / _TOLERANCE**2 * (offset.square() / spread).sum(1, True)).exp()

    sigma = rgb.new_full((batch,), 0.10 * height / _GRID)
    near = (gaussian(reduce(face.oval, _GRID), sigma) * 3).clamp(0, 1)
    coarse = enlarge(likelihood * near, (height, width))
    radius = rgb.new_full((batch,), 0.02 * max(height, width))
    return guided(coarse, luma(rgb), radius, rgb.new_full((batch,), 4e-3), _GRID).clamp(0, 1)


def choose_region(
    rgb: Tensor, face: FaceRegions, choice: Tensor, shares: tuple[float, float]
) -> Tensor:
    """The mask of each sample: the face, its skin's colour, or the whole picture.

    Args:
        rgb: B 3 H W in [0, 1].
        face: Soft masks of the same size.
        choice: Length B in [0, 1].
        shares: How much of [0, 1] means the face's oval, and how much skin colour; the rest
            means the whole picture.

    Returns:
        B 1 H W in [0, 1].
    """
    at = per_sample(choice)
    whole_face = soften(torch.maximum(face.oval, face.skin))
    skin = torch.maximum(skin_likelihood(rgb, face), face.skin * 0.7)
    picture = torch.ones_like(skin)
    return torch.where(
        at < shares[0], whole_face, torch.where(at < sum(shares), soften(skin), picture)
    )


def soften(mask: Tensor) -> Tensor:
    """Blurs a B 1 H W mask by 1.5 % of its height, so that no border shows."""
    sigma = mask.new_full((len(mask),), 0.015 * mask.shape[-2] / _GRID)
    blurred = gaussian(reduce(mask, _GRID), sigma)
    return enlarge(blurred, mask.shape[-2:]).clamp(0, 1)
