"""What was planned at a working size, done to a photo's own pixels: in windows, where there is any.

Grain that is borrowed is the photo's own from a clean place near by, so that a filled spot is as
fine as the skin around it at any size. Memory beyond the photo's is that of one window.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .healing import Healing, SkinMaps, plan
from .planes import Window, blur, part_of

WINDOW = 256
"""Side in pixels of the windows."""
REACH = 0.05
"""How far away grain is borrowed, as a share of the face crop's shorter side."""
_CLONES = ((0, 1), (1, 0), (0, -1), (-1, 0))  # directions in which it is
_OPEN = 0.006  # sigma over which a place is judged to be clean


def heal(photo: Tensor, maps: SkinMaps, amounts: Tensor, side: float) -> Tensor:
    """Retouches photos B 3 h w in [-1, 1] at one size; see `plan` and `at_own_size`."""
    return at_own_size(photo, plan(photo, maps, amounts, side), side)


def at_own_size(photo: Tensor, healing: Healing, side: float) -> Tensor:
    """Does what was planned to photos of any size, B 3 H W in [-1, 1].

    Args:
        photo: B 3 H W; where nothing is to be done it keeps every bit.
        healing: of the same photos, at a working size.
        side: shorter side of the whole face crop at the photo's size, in pixels.
    """
    healed = photo.clone()

    def read(rows: Tensor, columns: Tensor) -> Tensor:
        return photo.index_select(2, rows).index_select(3, columns)

    for window, change in changes(read, photo.shape[-2:], healing, side):
        top, bottom, left, right = window
        healed[..., top:bottom, left:right] += change
    return healed


def changes(
    read: Callable[[Tensor, Tensor], Tensor],
    size: tuple[int, int] | torch.Size,
    healing: Healing,
    side: float,
) -> Iterator[tuple[Window, Tensor]]:
    """The windows of photos in which something is to be done, and what is to be added there.

    Args:
        read: rows and columns, as indices -> that part of the photos, B 3 n m in [-1, 1].
        size: height and width of the photos.
        healing: of the same photos, at a working size.
        side: shorter side of the whole face crop at the photos' size, in pixels.
    """
    device = healing.change.device
    acts = ((healing.change != 0).any(1) | (healing.borrowed[:, 0] > 0)).any(0)
    marks = (healing.taken > 0).any(1).any(0)
    source = _sources(healing.clean, side * acts.shape[-1] / size[1])
    for window in _windows(size):
        if not _any(acts, window, size):
            continue
        rows = torch.arange(window.top, window.bottom, device=device)
        columns = torch.arange(window.left, window.right, device=device)
        change = part_of(healing.change, size, rows, columns)
        if _any(marks, window, size):
            own = read(rows, columns)
            detail = own - part_of(healing.fine, size, rows, columns)
            change = change - part_of(healing.taken, size, rows, columns) * detail
            share = part_of(healing.borrowed, size, rows, columns)
            grain = _borrow(read, size, healing.low, source, (rows, columns), side)
            patch = part_of(healing.patch, size, rows, columns)
            change = change + share * (patch + grain - own - change)
        yield window, change


def _windows(size: tuple[int, int] | torch.Size) -> Iterator[Window]:
    for top in range(0, size[0], WINDOW):
        for left in range(0, size[1], WINDOW):
            yield Window(top, min(top + WINDOW, size[0]), left, min(left + WINDOW, size[1]))


def _any(where: Tensor, window: Window, size: tuple[int, int] | torch.Size) -> bool:
    """Whether h w, enlarged to a size, is true anywhere in a window of it."""
    down, right = (small / large for small, large in zip(where.shape, size, strict=True))
    rows = slice(max(0, int(window.top * down) - 1), int(window.bottom * down) + 2)
    columns = slice(max(0, int(window.left * right) - 1), int(window.right * right) + 2)
    return bool(where[rows, columns].any())


def _sources(clean: Tensor, side: float) -> Tensor:
    """The number of the direction in `_CLONES` where B 1 h w is cleanest, for each place."""
    step = max(1, round(REACH * side))
    smooth = blur(clean, _OPEN * side)
    scores = [torch.roll(smooth, (-down * step, -right * step), (2, 3)) for down, right in _CLONES]
    return torch.stack(scores).argmax(0)


def _borrow(
    read: Callable[[Tensor, Tensor], Tensor],
    size: tuple[int, int] | torch.Size,
    low: Tensor,
    source: Tensor,
    places: tuple[Tensor, Tensor],
    side: float,
) -> Tensor:
    """Grain for rows and columns from where `source` says, B 3 n m: detail above `low`."""
    step = max(1, round(REACH * side))
    rows, columns = places
    nearest = [
        (place * length // full).clamp_max(length - 1)
        for place, length, full in zip(places, source.shape[-2:], size, strict=True)
    ]
    chosen = source.index_select(2, nearest[0]).index_select(3, nearest[1])
    found: Tensor | None = None
    for number, (down, right) in enumerate(_CLONES):
        here = chosen == number
        if not bool(here.any()):
            continue
        there = (rows + down * step).clamp(0, size[0] - 1)
        beside = (columns + right * step).clamp(0, size[1] - 1)
        grain = read(there, beside) - part_of(low, size, there, beside)
        found = grain if found is None else torch.where(here, grain, found)
    assert found is not None
    return found
