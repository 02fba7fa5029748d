"""The steps of a restoration after the experts: apply their edits, merge them, join all of it.

Photos are B 3 H W in [-1, 1] of any size; edits are applied to the photo's own pixels.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ...models.mofrr.contract import Merger
from ..photos.arrays import add_residual, to_signed
from ..room import OPEN, Room, Share, Work
from .components import MoFRRParts
from .composing import undo
from .direct import AnyApplied, AppliedAtOnce, DirectEdit
from .edits import ExpertEdit, put, take
from .merging import Applied, averaged, merge
from .output import Joined, repeat, summarise_samples


class MoFRRJoining(MoFRRParts):
    """The steps that follow the experts, as methods of a pipeline that may have a merger."""

    merger: Merger | None

    @torch.no_grad()
    def apply(
        self, photo: Tensor, edit: ExpertEdit | DirectEdit, strength: float = 1.0
    ) -> AnyApplied:
        """Brings an edit to the photos' size and applies a part of it; B 3 H W in [-1, 1]."""
        return edit.applied(photo, strength)

    @torch.no_grad()
    def merge(
        self,
        photo: Tensor,
        edits: Applied,
        gates: Tensor,
        tile: int | None = None,
    ) -> Tensor:
        """Fuses the experts' images into one residual, B 3 H W; see `merging.merge`."""
        return merge(photo, edits, gates, self.merger, self.expert_names, tile)

    @torch.no_grad()
    def join(
        self,
        pixels: Tensor,
        edits: Mapping[str, ExpertEdit | DirectEdit],
        gates: Tensor,
        strength: float = 1.0,
        num_samples: int = 1,
        keep_edits: bool = False,
        room: Room = OPEN,
    ) -> Joined:
        """Applies and merges the experts' edits; photos that none touches keep every bit.

        Args:
            pixels: B 3 H W in [0, 1].
            edits: of the experts that ran on B * num_samples photos, at working size.
            gates: B K, from `route`.
            strength: what part of the edits is applied.
            num_samples: estimates of each photo, of which the mean is taken.
            keep_edits: whether the edits come back as they were applied.
            room: the memory to do it in.
        """
        original, gates = repeat(pixels, num_samples), repeat(gates, num_samples)
        restored = original.clone()  # `pixels` may be the caller's own
        rows = [edit.rows for edit in edits.values()] if strength > 0 else []
        touched = torch.cat(rows).unique() if rows else torch.zeros(0, dtype=torch.long)

        def act(share: Share) -> list[Applied]:
            kept = []
            for rows in touched.split(share.photos):
                room.check()
                part = take(original, rows).to(share.device or original.device)
                mine = {name: edit.of(rows, part.device) for name, edit in edits.items()}
                mine = {name: edit for name, edit in mine.items() if edit is not None}
                applied = self._undo(part, mine, strength, restored, rows, gates, share.tile)
                if keep_edits:
                    kept.append({n: e._replace(rows=rows[e.rows]) for n, e in applied.items()})
            return kept

        network = None if self.merger is None else "merger"
        height, width = pixels.shape[-2:]
        work = Work(network, len(touched), height, width)
        kept = room.split(work, act) if len(touched) else []
        acts = torch.zeros(len(original), dtype=torch.bool, device=pixels.device)
        acts[touched] = True
        acts = acts.unflatten(0, (len(pixels), num_samples)).any(1)
        images, spread = summarise_samples(restored, pixels, acts, num_samples)
        return Joined(images, spread, averaged(kept, num_samples))

    def _undo(
        self,
        pixels: Tensor,
        edits: Mapping[str, ExpertEdit | DirectEdit],
        strength: float,
        restored: Tensor,
        rows: Tensor,
        gates: Tensor,
        tile: int | None,
    ) -> Applied:
        """Applies edits to photos B 3 H W in [0, 1], and writes them into some rows of others."""
        direct = {name: edit for name, edit in edits.items() if isinstance(edit, DirectEdit)}
        if self.merger is None and len(direct) == len(edits):
            undo(pixels, list(direct.values()), strength, restored, rows)
            return {
                name: AppliedAtOnce(edit.rows, take(pixels, edit.rows), edit, strength, unit=True)
                for name, edit in direct.items()
            }
        photo, gates = to_signed(pixels), take(gates, rows).to(pixels.device)
        applied = {name: self.apply(photo, edit, strength) for name, edit in edits.items()}
        residual = self.merge(photo, applied, gates, tile)
        put(restored, rows, add_residual(pixels, residual).to(restored.device))
        return applied
