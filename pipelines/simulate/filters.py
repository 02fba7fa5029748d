"""Batched image filters whose width and threshold differ from sample to sample.

Linear filters are separable, and each axis is a product with a banded matrix, tile by tile.
Images are B C H W; per-sample parameters are tensors of length B; lengths are in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from .neighbours import weighted_mean

_TILE = 64  # rows or columns that one product makes
_RING = (((0, 1), 1.0), ((1, 0), 1.0), ((1, 1), 0.7), ((1, -1), 0.7))  # half of the neighbours
_CUT = 4.3  # standard deviations at which a Gaussian is cut off; 1e-4 of its peak


def per_sample(values: Tensor) -> Tensor:
    """Views a tensor of length B as B 1 1 1, to be combined with images."""
    return values.view(-1, 1, 1, 1)


def _tiles(
    outputs: int, inputs: int, reach: float, weigh: Callable[[Tensor], Tensor], like: Tensor
) -> Iterator[tuple[slice, Tensor]]:
    """Tiles of a banded matrix along one axis: the inputs used, and their weights.

    Args:
        outputs: samples that are made, spread evenly over the inputs (whose border is repeated).
        inputs: samples there are.
        reach: distance in inputs beyond which weights are zero.
        weigh: distances (o i) -> weights (B or 1, o, i), normalised here to a sum of one.
        like: gives dtype and device.
    """
    ratio, tile = inputs / outputs, max(_TILE, math.ceil(reach))
    place = torch.arange(outputs, device=like.device, dtype=like.dtype)
    place = ((place + 0.5) * ratio - 0.5).clamp(0, inputs - 1)
    at = torch.arange(inputs, device=like.device, dtype=like.dtype)
    for start in range(0, outputs, tile):
        made = place[start : start + tile]
        low = math.floor((start + 0.5) * ratio - 0.5 - reach)
        high = math.ceil((start + len(made) - 0.5) * ratio - 0.5 + reach) + 1
        used = slice(max(low, 0), min(high, inputs))
        weights = weigh((made[:, None] - at[used]).abs())
        yield used, weights / weights.sum(-1, keepdim=True)


def _separable(
    images: Tensor, size: Sequence[int], reach: float, weigh: Callable[[Tensor], Tensor]
) -> Tensor:
    """Brings images to `size` = (height, width) by weights of the distance along each axis."""
    height, width = images.shape[-2:]
    tiles = _tiles(size[1], width, reach, weigh, images)
    across = torch.cat([_times(images[..., used], weights) for used, weights in tiles], dim=-1)
    tiles = _tiles(size[0], height, reach, weigh, images)
    return torch.cat([weights[:, None] @ across[:, :, used] for used, weights in tiles], dim=-2)


def _times(images: Tensor, weights: Tensor) -> Tensor:
    """One matrix (B or 1, outputs, W) for all rows and channels of a sample: B C H outputs."""
    batch, channels, height, _ = images.shape
    product = torch.bmm(images.flatten(1, 2), weights.expand(batch, -1, -1).mT)
    return product.view(batch, channels, height, -1)


def gaussian(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with one `sigma` (length B, > 0) per sample; renormalised at the borders."""
    rate = -0.5 / sigma.view(-1, 1, 1) ** 2
    reach = _CUT * float(sigma.max())
    return _separable(images, images.shape[-2:], reach, lambda away: _bell(away**2 * rate))


def _bell(exponent: Tensor) -> Tensor:
    """The exponential, cut off smoothly at 1e-4 (denormal weights would slow the products)."""
    return (exponent.exp() - 1e-4).clamp_min(0)


def box(images: Tensor, radius: Tensor) -> Tensor:
    """Mean over squares of side 2 `radius` + 1 (length B, >= 0, may be fractional)."""
    reach = radius.view(-1, 1, 1) + 1
    size, farthest = images.shape[-2:], float(reach.max())
    return _separable(images, size, farthest, lambda away: (reach - away).clamp(0, 1))


def reduce(images: Tensor, factor: int) -> Tensor:
    """Area mean over `factor` x `factor` blocks; a ragged border gives smaller blocks."""
    return F.avg_pool2d(images, factor, ceil_mode=True, count_include_pad=False)


def enlarge(images: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resize to a larger `size` = (height, width), as banded matrix products."""
    return _separable(images, size, 1.0, lambda away: (1 - away).clamp_min(0)[None])


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
    """The power of two that brings `sigma` into [1.5, 3) pixels, at least 1."""
    return 2 ** max(0, math.floor(math.log2(max(sigma, 1e-6) / 1.5)))


def _blur_reduced(images: Tensor, sigma: Tensor, factor: int) -> Tensor:
    if factor == 1:
        return gaussian(images, sigma)
    variance = (sigma / factor) ** 2 - 1 / 4  # what the area mean and the enlarging blur already
    return enlarge(gaussian(reduce(images, factor), variance.sqrt()), images.shape[-2:])


def guided(images: Tensor, guide: Tensor, radius: Tensor, epsilon: Tensor, factor: int) -> Tensor:
    """Fast guided filter: images as local affine functions of a one-channel guide.

    Args:
        images: B C H W, what is filtered.
        guide: B 1 H W, whose edges are kept.
        radius: Length B, of the box means, in pixels of the full picture.
        epsilon: Length B, variance of the guide below which an area counts as flat.
        factor: The local coefficients are computed on a grid this much coarser.

    Source: He, Sun, Tang, TPAMI 2013, eq. 5, 6 and 8, on the coarser grid of arXiv 1505.00996.
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
        taps = [((down << level, right << level), share) for (down, right), share in _RING]
        stack = weighted_mean(stack, taps, lambda d: d[:, -1:].square().mul_(rate).exp_())
    return stack[:, :-1]


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
        stack[..., :-1].add_(across)
        stack[..., 1:].sub_(across)
        stack[..., :-1, :].add_(along)
        stack[..., 1:, :].sub_(along)
    return stack[:, :-1]


def soft_core(detail: Tensor, threshold: Tensor) -> Tensor:
    """Shrinks small values smoothly to zero and leaves large ones: d^3 / (d^2 + threshold^2)."""
    square = detail.square()
    return detail * square / (square + per_sample(threshold) ** 2)


def faint_part(detail: Tensor, threshold: Tensor) -> Tensor:
    """What `soft_core` takes away, for a `detail` that is not needed any more."""
    square = per_sample(threshold) ** 2
    return detail.div_(detail.square().add_(square)).mul_(square)
