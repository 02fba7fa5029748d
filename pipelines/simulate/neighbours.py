"""Filters that look at single neighbours: sparse weighted means, and medians.

Images are B C H W. Distances differ from photo to photo, so `each_photo` runs them one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Offset = tuple[int, int]
"""Rows down and columns to the right."""
_STRIP = 128  # rows or columns of one strip


def each_photo(apply: Callable[..., Tensor], images: Tensor, *settings: Sequence) -> Tensor:
    """`apply(image, *its settings)` for every photo of the batch (1 C H W), joined again."""
    rows = zip(images.split(1), *settings, strict=True)
    return torch.cat([apply(image, *own) for image, *own in rows])


def weighted_mean(
    images: Tensor,
    taps: Sequence[tuple[Offset, float]],
    weigh: Callable[[Tensor], Tensor],
) -> Tensor:
    """Each pixel with its neighbours, weighted by how far apart their colours are.

    Args:
        images: B C H W.
        taps: offsets with their weights in relation to the centre's 1; each stands for its
            mirror image too, so only one of the two is listed.
        weigh: differences (B C h w) -> weights of the same shape or B 1 h w, a new tensor.
    """
    total, weights = torch.zeros_like(images), torch.zeros(())
    for (down, right), share in taps:
        here, there = _pair(images.shape, down, right)
        difference = images[there] - images[here]
        weight = weigh(difference).mul_(share)
        if weights.ndim == 0:
            weights = images.new_ones(*images.shape[:1], weight.shape[1], *images.shape[2:])
        difference.mul_(weight)
        total[here].add_(difference)
        total[there].sub_(difference)
        weights[here].add_(weight)
        weights[there].add_(weight)
    return total.div_(weights).add_(images)


def weighted_mean_along(
    images: Tensor, steps: Sequence[tuple[int, float]], weigh: Callable[[Tensor], Tensor]
) -> Tensor:
    """`weighted_mean` along the width, then along the height; strips stay in the cache.

    Args:
        images: B C H W.
        steps: distances in pixels with their weights.
        weigh: as in `weighted_mean`.
    """
    across = [((0, step), share) for step, share in steps]
    along = [((step, 0), share) for step, share in steps]
    rows = [weighted_mean(strip, across, weigh) for strip in images.split(_STRIP, dim=2)]
    columns = torch.cat(rows, dim=2).split(_STRIP, dim=3)
    return torch.cat([weighted_mean(strip, along, weigh) for strip in columns], dim=3)


def _pair(shape: Sequence[int], down: int, right: int) -> tuple[tuple, tuple]:
    """Index of all pixels that have a neighbour at the offset, and index of those neighbours."""
    height, width = shape[-2:]
    rows = slice(0, max(height - down, 0)), slice(min(down, height), height)
    if right >= 0:
        columns = slice(0, max(width - right, 0)), slice(min(right, width), width)
    else:
        columns = slice(min(-right, width), width), slice(0, max(width + right, 0))
    return (..., rows[0], columns[0]), (..., rows[1], columns[1])


def sparse_mean(images: Tensor, taps: Sequence[tuple[Offset, float]]) -> Tensor:
    """Plain weighted mean over neighbours on both sides of each offset, the border repeated.

    Weights are in relation to the centre's 1, as in `weighted_mean`.
    """
    height, width = images.shape[-2:]
    reach = max(max(abs(down), abs(right)) for (down, right), _ in taps)
    padded = _repeat_border(images, reach)
    total = images.clone()
    for (down, right), share in taps:
        for sign in (1, -1):
            top, left = reach + sign * down, reach + sign * right
            total.add_(padded[..., top : top + height, left : left + width], alpha=share)
    return total / (1 + 2 * sum(share for _, share in taps))


def _repeat_border(images: Tensor, reach: int) -> Tensor:
    """Repeats the border on all four sides; unlike `F.pad`, of bytes too."""
    sides = (images[..., :1], images[..., -1:])
    left, right = (side.expand(*images.shape[:-1], reach) for side in sides)
    wide = torch.cat((left, images, right), dim=-1)
    sides = (wide[..., :1, :], wide[..., -1:, :])
    top, bottom = (side.expand(*wide.shape[:-2], reach, -1) for side in sides)
    return torch.cat((top, wide, bottom), dim=-2)


_SORT_COLUMNS = ((0, 1), (1, 2), (0, 1))


def median_of_nine(images: Tensor, step: int) -> Tensor:
    """Median of 3 x 3 pixels that lie `step` apart, the border repeated; any dtype that orders.

    Columns of three are sorted once and shared by the three windows that hold them. Source:
    the median is the middle one of the largest minimum, the median middle, the least maximum.
    """
    height, width = images.shape[-2:]
    padded = _repeat_border(images, step)
    columns = [padded[..., row * step : row * step + height, :] for row in range(3)]
    for one, other in _SORT_COLUMNS:
        low = torch.minimum(columns[one], columns[other])
        columns[other] = torch.maximum(columns[one], columns[other])
        columns[one] = low
    low, middle, high = (
        [column[..., place * step : place * step + width] for place in range(3)]
        for column in columns
    )
    largest_low = torch.maximum(torch.maximum(low[0], low[1]), low[2])
    least_high = torch.minimum(torch.minimum(high[0], high[1]), high[2])
    return _median_of_three(largest_low, _median_of_three(*middle), least_high)


def _median_of_three(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return torch.maximum(torch.minimum(a, b), torch.minimum(torch.maximum(a, b), c))
