"""How close two photos are: PSNR and SSIM.

Both take B 3 H W tensors in [-1, 1] and give one float64 value per photo.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SSIM_WINDOW = 11  # side of the Gaussian window of sigma 1.5, cut at 3.5 sigma


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each pair of photos, 10 log10(2^2 / MSE).

    Args:
        a: B 3 H W in [-1, 1]; values outside are clamped, as a file would.
        b: the same shape.

    Returns:
        B values in dB; infinite where the photos are equal to the bit.
    """
    _check_photos(a, b)
    difference = a.clamp(-1, 1).double() - b.clamp(-1, 1).double()
    return 10 * torch.log10(4 / difference.square().flatten(1).mean(1))


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Structural similarity of each pair of photos, averaged over pixels and colours.

    Eq. 13 of Wang et al. 2004 with their settings: Gaussian window of sigma 1.5, population
    covariance.

    Args:
        a: B 3 H W in [-1, 1], at least 11 x 11 pixels; values outside are clamped.
        b: the same shape.

    Returns:
        B values in [-1, 1]; 1 where the photos are equal.
    """
    from skimage.metrics import structural_similarity

    _check_photos(a, b)
    if min(a.shape[-2:]) < SSIM_WINDOW:
        raise ValueError(
            f"SSIM needs photos of at least {SSIM_WINDOW} x {SSIM_WINDOW} pixels, "
            f"got {a.shape[-1]} x {a.shape[-2]}."
        )
    pairs = zip(_as_arrays(a), _as_arrays(b), strict=True)
    values = [
        structural_similarity(
            first,
            second,
            data_range=2.0,
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for first, second in pairs
    ]
    return torch.tensor(values, dtype=torch.float64)


def _as_arrays(photos: Tensor) -> Sequence[NDArray[np.float64]]:
    """The photos clamped to [-1, 1], one 3 H W array each."""
    return list(photos.detach().clamp(-1, 1).double().cpu().numpy())


def _check_photos(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape or a.ndim != 4:
        raise ValueError(
            f"Expected two batches of photos of one shape B C H W, got {tuple(a.shape)} and "
            f"{tuple(b.shape)}."
        )
