"""The experts' edits, applied to photos and joined into one residual."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ...models.mofrr.contract import Merger
from ..photos.arrays import add_residual, reduce_to, to_shape, to_signed
from ..photos.tiles import Window, blend_tiles, windows
from ..placement import awake, dtype_of
from ..room import Room, Share, Work
from .components import SHARED
from .direct import DirectEdit, compose
from .edits import AppliedEdit, ExpertEdit, put, take
from .output import repeat, summarise_samples

OVERLAP = 64  # pixels of the photo by which tiles overlap
Applied = dict[str, AppliedEdit]


def merge(
    photo: Tensor,
    edits: Mapping[str, AppliedEdit],
    gates: Tensor,
    merger: Merger | None,
    names: Sequence[str],
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

    Returns:
        B 3 H W on the [-1, 1] scale; exactly zero where no expert ran.
    """
    merged = torch.zeros_like(photo)
    if not edits:
        return merged
    if merger is None:
        return added(photo, edits)
    changes = {name: edit.change(take(photo, edit.rows)) for name, edit in edits.items()}
    gains = found_gains(merger, names, photo, edits, changes, gates)
    for name, edit in edits.items():
        sums = take(merged, edit.rows)
        put(merged, edit.rows, sums.addcmul_(changes[name], gains[name]))
    return merged


def added(photo: Tensor, edits: Mapping[str, AppliedEdit]) -> Tensor:
    """What the edits do without a merger: direct ones together, those of denoisers added to that.

    Args:
        photo: B 3 H W in [-1, 1].
        edits: of the experts that ran.

    Returns:
        B 3 H W on the [-1, 1] scale; exactly zero where no expert ran.
    """
    direct = {name: edit for name, edit in edits.items() if edit.direct}
    summed = compose(photo, direct) if direct else torch.zeros_like(photo)
    gains = plain_gains(photo, edits)
    for name, edit in edits.items():
        if not edit.direct:
            change = edit.change(take(photo, edit.rows))
            put(summed, edit.rows, take(summed, edit.rows).addcmul(change, gains[name]))
    return summed


def plain_gains(photo: Tensor, edits: Mapping[str, AppliedEdit]) -> dict[str, Tensor]:
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
    edits: Mapping[str, AppliedEdit],
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
    merger = awake(merger)
    inputs = (each.to(dtype_of(merger)) for each in (small, residuals, take(gates, rows)))
    found = merger.gains(*inputs).float()
    return {
        name: to_shape(take(found[:, i : i + 1], places[name]), photo.shape[-2:])
        for i, name in present
    }


def _size_of_work(photo: Tensor, edits: Mapping[str, AppliedEdit]) -> tuple[int, int]:
    """Height and width at which the experts worked, the larger ones where they differ."""
    scales = [edit.scale for edit in edits.values()]
    sides = zip(photo.shape[-2:], *scales, strict=True)
    height, width = (max(1, round(side / min(each))) for side, *each in sides)
    return height, width


class Joined(NamedTuple):
    """B photos with the edits of all experts applied."""

    images: Tensor  # B 3 H W in [0, 1]
    uncertainty: Tensor | None  # B 1 H W, spread of the samples; None with one sample
    edits: dict[str, AppliedEdit]  # at the photos' size, where they were to be kept


@dataclass
class Joining:
    """How edits are applied and merged, whatever the photos.

    Attributes:
        merger: None adds the edits.
        names: of all experts, in the merger's order.
        strength: what part of the edits is applied.
        keep_edits: whether the edits come back as they were applied.
        room: the memory to do it in.
    """

    merger: Merger | None
    names: Sequence[str]
    strength: float
    keep_edits: bool
    room: Room

    def run(
        self,
        pixels: Tensor,
        edits: Mapping[str, ExpertEdit | DirectEdit],
        gates: Tensor,
        num_samples: int,
    ) -> Joined:
        """Photos B 3 H W in [0, 1], the edits of their samples, and gates B K."""
        original, gates = repeat(pixels, num_samples), repeat(gates, num_samples)
        restored = original.clone()  # `pixels` may be the caller's own
        rows = [edit.rows for edit in edits.values()] if self.strength > 0 else []
        touched = torch.cat(rows).unique() if rows else torch.zeros(0, dtype=torch.long)

        def act(share: Share) -> list[Applied]:
            kept = []
            for rows in touched.split(share.photos):
                self.room.check()
                part = take(original, rows).to(share.device or original.device)
                some = {name: edit.of(rows) for name, edit in edits.items()}
                applied, residual = self._act(part, some, take(gates, rows), share.tile)
                put(restored, rows, add_residual(part, residual).to(restored.device))
                if self.keep_edits:
                    kept.append({n: e._replace(rows=rows[e.rows]) for n, e in applied.items()})
            return kept

        network = None if self.merger is None else "merger"
        height, width = pixels.shape[-2:]
        work = Work(network, len(touched), height, width)
        kept = self.room.split(work, act) if len(touched) else []
        acts = torch.zeros(len(original), dtype=torch.bool, device=pixels.device)
        acts[touched] = True
        acts = acts.unflatten(0, (len(pixels), num_samples)).any(1)
        images, spread = summarise_samples(restored, pixels, acts, num_samples)
        return Joined(images, spread, _averaged(kept, num_samples))

    def _act(
        self,
        pixels: Tensor,
        edits: Mapping[str, ExpertEdit | DirectEdit | None],
        gates: Tensor,
        tile: int | None,
    ) -> tuple[Applied, Tensor]:
        """The edits at the size of n photos, and the residual that they join to."""
        photo, gates = to_signed(pixels), gates.to(pixels.device)
        applied = {
            name: edit.each(lambda x: x.to(photo.device)).applied(photo, self.strength)
            for name, edit in edits.items()
            if edit is not None
        }
        if tile is None or self.merger is None:
            return applied, merge(photo, applied, gates, self.merger, self.names)

        def run(place: Window) -> Tensor:
            parts = {name: edit.cut(place) for name, edit in applied.items()}
            return merge(place.of(photo), parts, gates, self.merger, self.names)

        places = windows(photo.shape[-2:], tile, OVERLAP)
        return applied, blend_tiles(lambda some: [run(place) for place in some], places)


def _averaged(kept: Sequence[Applied], num_samples: int) -> dict[str, AppliedEdit]:
    """The edits of all shares, each the mean over the samples of a photo."""
    names = dict.fromkeys(name for share in kept for name in share)
    joined = {
        name: AppliedEdit.joined([share[name] for share in kept if name in share]) for name in names
    }
    return {name: edit.averaged(num_samples) for name, edit in joined.items()}
