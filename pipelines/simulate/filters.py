"""Batched image filters whose width and threshold differ from sample to sample.

Linear filters are separable and written as two matrix products, so any width costs the same.
Images are B C H W; per-sample parameters are tensors of length B; lengths are in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F


def per_sample(values: Tensor) -> Tensor:
    """Views a tensor of length B as B 1 1 1, to be combined with images."""
    return values.view(-1, 1, 1, 1)


def _distances(length: int, like: Tensor) -> Tensor:
    at = torch.arange(length, device=like.device, dtype=like.dtype)
    return (at[:, None] - at[None, :]).abs()


def _separable(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Applies B H H weights along the height and B W W weights along the width."""
    return _along_width(_along_width(images, columns).mT, rows).mT.contiguous()


def _along_width(images: Tensor, weights: Tensor) -> Tensor:
    """One B W W matrix of weights for all rows and channels of a sample, in a single product."""
    weights = weights / weights.sum(-1, keepdim=True)
    return torch.bmm(images.flatten(1, 2), weights.mT).view(images.shape)


def gaussian(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with one `sigma` (length B, > 0) per sample; renormalised at the borders."""
    height, width = images.shape[-2:]
    rate = -0.5 / sigma.view(-1, 1, 1) ** 2
    rows = _bell(_distances(height, images) ** 2 * rate)
    columns = rows if width == height else _bell(_distances(width, images) ** 2 * rate)
    return _separable(images, rows, columns)


def _bell(exponent: Tensor) -> Tensor:
    """The exponential, cut off smoothly at 1e-4 (denormal weights would slow the products)."""
    return (exponent.exp() - 1e-4).clamp_min(0)


def box(images: Tensor, radius: Tensor) -> Tensor:
    """Mean over squares of side 2 `radius` + 1 (length B, >= 0, may be fractional)."""
    height, width = images.shape[-2:]
    reach = radius.view(-1, 1, 1) + 1
    rows = (reach - _distances(height, images)).clamp(0, 1)
    columns = rows if width == height else (reach - _distances(width, images)).clamp(0, 1)
    return _separable(images, rows, columns)


def reduce(images: Tensor, factor: int) -> Tensor:
    """Area mean over `factor` x `factor` blocks; a ragged border gives smaller blocks."""
    return F.avg_pool2d(images, factor, ceil_mode=True, count_include_pad=False)


def enlarge(images: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resize to a larger `size` = (height, width), as two matrix products."""
    height, width = size
    rows = _linear_weights(images.shape[-2], height).to(images)
    columns = _linear_weights(images.shape[-1], width).to(images)
    return rows @ (images @ columns.T)


@lru_cache(maxsize=64)
def _linear_weights(count: int, size: int) -> Tensor:
    """The matrix, size x count, that resamples `count` even samples (the border repeated)."""
    position = (torch.arange(size) + 0.5) * (count / size) - 0.5
    position = position.clamp(0, count - 1)
    return (1 - (position[:, None] - torch.arange(count)).abs()).clamp_min(0)


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of any width at about the same cost: wide ones on reduced grids.

    Faster than `gaussian` on large photos, and less exact (a few per cent of the width).

    Args:
        images: B C H W.
        sigma: Length B, > 0, in pixels.
    """
    factors = [_coarseness(width) for width in sigma.tolist()]
    if len(set(factors)) == 1:
        return _blur_reduced(images, sigma, factors[0])
    blurred = torch.empty_like(images)
    for factor in set(factors):
        rows = [row for row, one in enumerate(factors) if one == factor]
        blurred[rows] = _blur_reduced(images[rows], sigma[rows], factor)
    return blurred


def _coarseness(sigma: float) -> int:
    """The power of two that brings `sigma` into [1, 2) pixels, at least 1."""
    return 2 ** max(0, math.floor(math.log2(max(sigma, 1e-6))))


def _blur_reduced(images: Tensor, sigma: Tensor, factor: int) -> Tensor:
    if factor == 1:
        return _blur_short(_blur_short(images, sigma).mT, sigma).mT
    variance = (sigma / factor) ** 2 - 1 / 4  # what the area mean and the enlarging blur already
    return enlarge(gaussian(reduce(images, factor), variance.sqrt()), images.shape[-2:])


def _blur_short(images: Tensor, sigma: Tensor) -> Tensor:
    """Along the width, tap by tap; each sample's kernel ends at three of its own sigmas."""
    reach = min(math.ceil(3 * float(sigma.max())), images.shape[-1] - 1)
    at = torch.arange(reach + 1, device=images.device, dtype=images.dtype)
    weights = (-0.5 * (at / sigma[:, None]) ** 2).exp() * (at <= (3 * sigma[:, None]).ceil())
    weights = weights / (2 * weights.sum(1, keepdim=True) - weights[:, :1])

    width = images.shape[-1]
    padded = F.pad(images, (reach, reach, 0, 0), mode="replicate")
    total = images * per_sample(weights[:, 0])
    for tap in range(1, reach + 1):
        left, right = padded[..., reach - tap :][..., :width], padded[..., reach + tap :]
        total.addcmul_(left + right[..., :width], per_sample(weights[:, tap]))
    return total


def guided(images: Tensor, guide: Tensor, radius: Tensor, epsilon: Tensor, factor: int) -> Tensor:
    """Fast guided filter: images as local affine functions of a one-channel guide.

    Args:
        images: B C H W, what is filtered.
        guide: B 1 H W, whose edges are kept.
        radius: Length B, of the box means, in pixels of the full picture.
        epsilon: Length B, variance of the guide below which an area counts as flat.
        factor: The local coefficients are computed on a grid this much coarser.

    Source: He and Sun, "Fast Guided Filter", arXiv 1505.00996.
    """
    channels = images.shape[1]
    small, small_guide = reduce(images, factor), reduce(guide, factor)
    radius = radius / factor
    moments = torch.cat((small, small_guide, small * small_guide, small_guide**2), dim=1)
    means, (mean_guide, products, square) = _split(box(moments, radius), channels)
    slope = (products - means * mean_guide) / (square - mean_guide**2 + per_sample(epsilon))
    offset = means - slope * mean_guide
    local = enlarge(box(torch.cat((slope, offset), dim=1), radius), guide.shape[-2:])
    return local[:, :channels] * guide + local[:, channels:]


def _split(moments: Tensor, channels: int) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    mean, guide, products, square = moments.split((channels, 1, channels, 1), dim=1)
    return mean, (guide, products, square)


def bilateral(images: Tensor, guide: Tensor, sigma: Tensor, levels: int) -> Tensor:
    """Joint bilateral filter in a few passes of eight neighbours, at distances 1, 2, 4, ...

    Args:
        images: B C H W.
        guide: B 1 H W, whose differences weigh the neighbours.
        sigma: Length B, of the Gaussian over differences of the guide.
        levels: Number of passes; each doubles the distance.

    Source: Dammertz et al., "Edge-avoiding a-trous wavelet transform", HPG 2010.
    """
    rate = per_sample(-0.5 / sigma**2)
    stack = torch.cat((images, guide), dim=1)
    for level in range(levels):
        stack = _bilateral_pass(stack, rate, 2**level)
    return stack[:, :-1]


def _bilateral_pass(stack: Tensor, rate: Tensor, step: int) -> Tensor:
    height, width = stack.shape[-2:]
    total, weights = stack.clone(), torch.ones_like(stack[:, :1])
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        rows, other_rows = slice(0, height - down * step), slice(down * step, None)
        left, shift = slice(0, width - step), slice(step, None)
        columns, other_columns = {1: (left, shift), 0: (slice(None),) * 2, -1: (shift, left)}[right]
        here, there = (..., rows, columns), (..., other_rows, other_columns)
        share = 1.0 if 0 in (down, right) else 0.7
        weight = ((stack[here][:, -1:] - stack[there][:, -1:]).square_() * rate).exp_() * share
        total[here] += weight * stack[there]
        total[there] += weight * stack[here]
        weights[here] += weight
        weights[there] += weight
    return total / weights


def diffuse(images: Tensor, guide: Tensor, contrast: Tensor, steps: int) -> Tensor:
    """Anisotropic diffusion: heat flows where the guide's gradient is below `contrast`.

    Args:
        images: B C H W.
        guide: B 1 H W, diffused along with the images.
        contrast: Length B, gradient at which the conductance is one half.
        steps: Number of explicit steps of size 0.24.

    Source: Perona and Malik, TPAMI 1990, eq. 7 with conductance 1 / (1 + (g / contrast)^2).
    """
    rate = per_sample(1 / contrast**2)
    stack = torch.cat((images, guide), dim=1)
    for _ in range(steps):
        across = stack[..., 1:] - stack[..., :-1]
        along = stack[..., 1:, :] - stack[..., :-1, :]
        across *= 0.24 / (1 + across[:, -1:].square() * rate)
        along *= 0.24 / (1 + along[:, -1:].square() * rate)
        stack = stack.clone()
        stack[..., :-1] += across
        stack[..., 1:] -= across
        stack[..., :-1, :] += along
        stack[..., 1:, :] -= along
    return stack[:, :-1]


def soft_core(detail: Tensor, threshold: Tensor) -> Tensor:
    """Shrinks small values smoothly to zero and leaves large ones: d^3 / (d^2 + threshold^2)."""
    square = detail.square()
    return detail * square / (square + per_sample(threshold) ** 2)
