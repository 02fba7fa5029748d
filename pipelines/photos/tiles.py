"""Work on a picture in overlapping tiles, blended where they overlap."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

Span = tuple[int, int]  # first row (or column) and the one after the last


class Window(NamedTuple):
    """The place of a tile in a picture."""

    rows: Span
    columns: Span

    def reduced(self, times: int) -> "Window":
        """The same place in a picture that is reduced `times` times."""
        (top, bottom), (left, right) = self
        return Window((top // times, bottom // times), (left // times, right // times))

    def of(self, planes: Tensor) -> Tensor:
        """What planes ... H W show there."""
        return planes[..., slice(*self.rows), slice(*self.columns)]


def spans(size: int, tile: int, overlap: int, multiple: int = 1) -> list[Span]:
    """Covers 0 .. size by spans of `tile`, evenly spread, that overlap by at least `overlap`.

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
    if size <= tile:
        return [(0, size)]
    steps = -(-(size - tile) // (tile - overlap))
    starts = (round(i * (size - tile) / steps / multiple) * multiple for i in range(steps + 1))
    return [(start, start + tile) for start in starts]


def windows(shape: Sequence[int], tile: int, overlap: int, multiple: int = 1) -> list[Window]:
    """Tiles that cover a picture of shape (height, width); arguments and errors as `spans`."""
    rows, columns = (spans(side, tile, overlap, multiple) for side in shape)
    return [Window(*place) for place in product(rows, columns)]


def blend_tiles(
    run: Callable[[Sequence[Window]], Sequence[Tensor]],
    places: Sequence[Window],
    at_once: int = 1,
) -> Tensor:
    """Computes tiles and blends them: each fades over a quarter of its sides.

    Args:
        run: some windows -> the tile B C h w of each.
        places: windows that cover the picture, in any order.
        at_once: how many windows are passed to `run` at once.

    Returns:
        B C H W, on the tiles' device.
    """
    height, width = (max(stop for _, stop in sides) for sides in zip(*places, strict=True))
    total = weights = None
    for first in range(0, len(places), at_once):
        some = places[first : first + at_once]
        for window, tile in zip(some, run(some), strict=True):
            if total is None or weights is None:
                total = tile.new_zeros(*tile.shape[:2], height, width)
                weights = tile.new_zeros(height, width)
            weight = _fade(tile.shape[-2], tile)[:, None] * _fade(tile.shape[-1], tile)
            window.of(total).add_(tile * weight)
            window.of(weights).add_(weight)
    assert total is not None and weights is not None
    return total / weights


def _fade(length: int, like: Tensor) -> Tensor:
    """Weights that rise from both ends of a tile over a quarter of it."""
    place = torch.arange(length, device=like.device, dtype=like.dtype) + 0.5
    return (torch.minimum(place, length - place) / (length / 4)).clamp(max=1)
