"""The experts' edits, applied to photos and joined into one residual."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ...models.mofrr.contract import Merger
from ..photos.arrays import reduce_to, to_shape
from ..photos.tiles import Window, blend_tiles, windows
from ..placement import dtype_of, onloaded
from .components import SHARED
from .composing import compose
from .direct import AnyApplied, AppliedAtOnce
from .edits import AppliedEdit, put, take

OVERLAP = 64  # pixels of the photo by which tiles overlap
Applied = Mapping[str, AnyApplied]


def merge(
    photo: Tensor,
    edits: Applied,
    gates: Tensor,
    merger: Merger | None,
    names: Sequence[str],
    tile: int | None = None,
) -> Tensor:
    """Fuses the experts' images into one residual.

    The merger sees everything at the size that the experts worked at, and the gains it finds there
    are brought to the photos' size.

    Args:
        photo: B 3 H W in [-1, 1].
        edits: of the experts that ran.
        gates: B K, from `route`.
        merger: None adds the edits of the specialised experts.
        names: of all experts, in the merger's order.
        tile: side of the tiles in which to do it, where whole photos need too much memory.

    Returns:
        B 3 H W on the [-1, 1] scale; exactly zero where no expert ran.
    """
    if merger is None:
        return added(photo, edits)
    if tile is not None:
        made = {name: edit.whole() for name, edit in edits.items()}

        def run(place: Window) -> Tensor:
            parts = {name: edit.cut(place) for name, edit in made.items()}
            return merge(place.of(photo), parts, gates, merger, names)

        places = windows(photo.shape[-2:], tile, OVERLAP)
        return blend_tiles(lambda some: [run(place) for place in some], places)
    merged = torch.zeros_like(photo)
    if not edits:
        return merged
    changes = {name: edit.change(take(photo, edit.rows)) for name, edit in edits.items()}
    gains = found_gains(merger, names, photo, edits, changes, gates)
    for name, edit in edits.items():
        sums = take(merged, edit.rows)
        put(merged, edit.rows, sums.addcmul_(changes[name], gains[name]))
    return merged


def added(photo: Tensor, edits: Applied) -> Tensor:
    """What the edits do without a merger: direct ones together, those of denoisers added to that.

    Args:
        photo: B 3 H W in [-1, 1].
        edits: of the experts that ran.

    Returns:
        B 3 H W on the [-1, 1] scale; exactly zero where no expert ran.
    """
    direct = {n: edit for n, edit in edits.items() if isinstance(edit, AppliedAtOnce)}
    summed = compose(photo, direct) if direct else torch.zeros_like(photo)
    gains = plain_gains(photo, edits)
    for name, edit in edits.items():
        if name not in direct:
            change = edit.change(take(photo, edit.rows))
            put(summed, edit.rows, take(summed, edit.rows).addcmul(change, gains[name]))
    return summed


def plain_gains(photo: Tensor, edits: Applied) -> dict[str, Tensor]:
    """One for the specialised experts; for the shared one only where it is alone."""
    gains = {name: photo.new_ones(len(edit.rows), 1, 1, 1) for name, edit in edits.items()}
    special = [edit.rows for name, edit in edits.items() if name != SHARED]
    if SHARED in edits and special:
        accompanied = torch.isin(edits[SHARED].rows, torch.cat(special))
        gains[SHARED][accompanied] = 0
    return gains


def found_gains(
    merger: Merger,
    names: Sequence[str],
    photo: Tensor,
    edits: Applied,
    changes: Mapping[str, Tensor],
    gates: Tensor,
) -> dict[str, Tensor]:
    """How much of each change the merger lets through, n 1 H W, found at the experts' size."""
    rows = torch.cat([edit.rows for edit in edits.values()]).unique()
    places = {name: torch.searchsorted(rows, edit.rows) for name, edit in edits.items()}
    small = reduce_to(take(photo, rows), _size_of_work(photo, edits))
    residuals = small.new_zeros(len(small), len(names), *small.shape[1:])
    present = [(i, name) for i, name in enumerate(names) if name in edits]
    for index, name in present:
        change = edits[name].small_change(changes[name], take(small, places[name]))
        put(residuals[:, index], places[name], change)
    merger = onloaded(merger)
    inputs = (each.to(dtype_of(merger)) for each in (small, residuals, take(gates, rows)))
    found = merger.gains(*inputs).float()
    return {
        name: to_shape(take(found[:, i : i + 1], places[name]), photo.shape[-2:])
        for i, name in present
    }


def _size_of_work(photo: Tensor, edits: Applied) -> tuple[int, int]:
    """Height and width at which the experts worked, the larger ones where they differ."""
    scales = [edit.scale for edit in edits.values()]
    sides = zip(photo.shape[-2:], *scales, strict=True)
    height, width = (max(1, round(side / min(each))) for side, *each in sides)
    return height, width


def averaged(kept: Sequence[Applied], num_samples: int) -> Applied:
    """The edits of all shares, each the mean over the samples of a photo."""
    names = dict.fromkeys(name for share in kept for name in share)
    found = {name: [share[name] for share in kept if name in share] for name in names}
    return {name: _joined(parts).averaged(num_samples) for name, parts in found.items()}


def _joined(parts: Sequence[AnyApplied]) -> AnyApplied:
    """The edits of one expert as one, in their order."""
    if len(parts) == 1:
        return parts[0]
    return AppliedEdit.joined([part.whole() for part in parts])
