"""Work on a picture in overlapping tiles, blended where they overlap."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Span = tuple[int, int]  # first row (or column) and the one after the last


def spans(size: int, tile: int, overlap: int, multiple: int = 1) -> list[Span]:
    """Cover 0 .. size by spans of `tile` that overlap by at least `overlap`.

    Starts and lengths are multiples of `multiple`, as `size` must be too.

    Raises:
        ValueError: tiles that do not advance, or a size that is no such multiple.
    """
    tile, overlap = (-(-length // multiple) * multiple for length in (tile, overlap))
    if size % multiple or tile <= overlap:
        raise ValueError(
            f"tiles of {tile} with an overlap of {overlap} over {size} pixels came; expected a "
            f"tile larger than its overlap, and a size that is a multiple of {multiple}"
        )
    found = [(0, min(tile, size))]
    while found[-1][1] < size:
        start = min(found[-1][0] + tile - overlap, size - tile)
        found.append((start, start + tile))
    return found


def blend_tiles(
    run: Callable[[Span, Span], Tensor], rows: Sequence[Span], columns: Sequence[Span]
) -> Tensor:
    """Compute each tile, B C h w, and blend them with weights that fall towards the tiles' edges.

    Args:
        run: (rows, columns) -> the tile B C h w.
        rows: spans that cover the height.
        columns: spans that cover the width.

    Returns:
        B C H W, on the tiles' device.
    """
    height, width = rows[-1][1], columns[-1][1]
    total = weights = None
    for top, bottom in rows:
        for left, right in columns:
            tile = run((top, bottom), (left, right))
            weight = _ramp(bottom - top)[:, None] * _ramp(right - left)
            weight = weight.to(tile)
            if total is None or weights is None:
                total = tile.new_zeros(*tile.shape[:2], height, width)
                weights = tile.new_zeros(height, width)
            total[..., top:bottom, left:right] += tile * weight
            weights[top:bottom, left:right] += weight
    assert total is not None and weights is not None
    return total / weights


def _ramp(length: int) -> Tensor:
    place = torch.arange(length) + 0.5
    return torch.minimum(place, length - place)
