"""Where a beauty filter acts: the face, all that has its skin's colour, or the whole picture."""

from __future__ import annotations

import torch
from torch import Tensor

from .colour import luma, rgb_to_ycbcr
from .filters import enlarge, gaussian, guided, per_sample, reduce
from .landmarks import FaceRegions

_CHROMA_SPREAD = 0.035  # standard deviation of one person's skin in Cb and Cr
_LUMA_SPREAD = 0.30  # shading on one face, in Y
_GRID = 4  # skin colour is judged on a grid this much coarser


def skin_likelihood(rgb: Tensor, face: FaceRegions) -> Tensor:
    """How much each pixel near the face has the colour of its skin.

    A Gaussian in CbCr, wide in Y, around the mean colour of `face.skin`, refined along the
    picture's edges by a guided filter and faded out away from the face.

    Args:
        rgb: B 3 H W in [0, 1].
        face: Soft masks of the same size.

    Returns:
        B 1 H W in [0, 1]; covers neck, ears and the rest of the face's skin.
    """
    batch, _, height, width = rgb.shape
    colours, skin = rgb_to_ycbcr(reduce(rgb, _GRID)), reduce(face.skin, _GRID) + 1e-6
    offset = colours - (colours * skin).sum((2, 3), True) / skin.sum((2, 3), True)
    chroma = offset[:, 1:].square().sum(1, keepdim=True) / (2 * _CHROMA_SPREAD**2)
    likelihood = (-chroma - offset[:, :1].square() / (2 * _LUMA_SPREAD**2)).exp()

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
    skin = torch.maximum(skin_likelihood(rgb, face), face.skin * 0.5)
    whole = torch.ones_like(skin)
    return torch.where(at < shares[0], face.oval, torch.where(at < sum(shares), skin, whole))
