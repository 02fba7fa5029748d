"""Large photos a part at a time, so that memory beside the photo has a bound."""

from collections.abc import Callable

from torch import Tensor

AT_ONCE = 2**20
"""Pixels of photos that are worked on together, where that is done in bands of rows."""
TILE = 1280
"""Side in pixels of the tiles of photos that a network does not see whole."""
WHOLE = 2**21
"""Pixels that a network sees whole."""


def bands(planes: Tensor, multiple: int = 1) -> list[slice]:
    """The rows of B C H W that are worked on together; they begin at multiples of a number."""
    count, _, height, width = planes.shape
    step = max(1, AT_ONCE // max(1, count * width * multiple)) * multiple
    return [slice(top, min(top + step, height)) for top in range(0, height, step)]


def in_tiles(run: Callable[[Tensor], Tensor], photo: Tensor, margin: int) -> Tensor:
    """What a network makes of photos, in tiles where they are large.

    Args:
        run: B C h w -> planes of the same height and width, each pixel of which depends on pixels
            at most `margin` away.
        photo: B C H W.
        margin: in pixels, a multiple of all of the network's strides, as are `TILE`, H and W.

    Returns:
        What `run` gives for the whole photos, but for rounding.
    """
    height, width = photo.shape[-2:]
    if height * width <= WHOLE:
        return run(photo)
    whole = photo  # until the first tile says how many planes there are
    for top in range(0, height, TILE):
        rows = slice(max(0, top - margin), min(top + TILE + margin, height))
        for left in range(0, width, TILE):
            columns = slice(max(0, left - margin), min(left + TILE + margin, width))
            part = run(photo[..., rows, columns])
            part = part[..., top - rows.start :, left - columns.start :][..., :TILE, :TILE]
            if top == left == 0:
                whole = part.new_empty(*part.shape[:2], height, width)
            whole[..., top : top + TILE, left : left + TILE] = part
    return whole
