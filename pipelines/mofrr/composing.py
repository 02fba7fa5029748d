"""Direct edits composed: what all of them do to a photo together, in bands of its rows."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from ...models.mofrr.bands import bands
from ...models.mofrr.warping import warp_smoothly
from ..photos.arrays import add_residual, to_signed
from .direct import AppliedAtOnce, DirectEdit, spread_down, spread_rows
from .edits import put, take


def compose(photo: Tensor, edits: Mapping[str, AppliedAtOnce]) -> Tensor:
    """What direct edits do together: residuals first, then one warp by the sum of the flows.

    Args:
        photo: B 3 H W in [-1, 1].
        edits: of the experts that ran.

    Returns:
        B 3 H W, the change on the [-1, 1] scale; exactly zero where no expert ran.
    """
    change = torch.empty_like(photo)
    parts = [(each.rows, each.edit, each.strength) for each in edits.values()]
    for band, edited in undone(photo.clone(), parts):
        change[:, :, band] = edited - photo[:, :, band]
    return change


def undo(
    pixels: Tensor,
    edits: Sequence[DirectEdit],
    strength: float,
    into: Tensor,
    rows: Tensor,
) -> None:
    """Applies direct edits to photos, with no more memory than one copy of them.

    Args:
        pixels: B 3 H W in [0, 1].
        edits: their rows counting these photos.
        strength: what part of them is applied.
        into: N 3 H W, which the result is written to.
        rows: B, the places there.
    """
    whole = len(rows) == len(into)
    for band, edited in undone(to_signed(pixels), [(e.rows, e, strength) for e in edits]):
        part = pixels[:, :, band]
        change = edited - to_signed(part)
        result = add_residual(part, change).to(into.device)
        if whole:
            into[:, :, band] = result
        else:
            into[rows, :, band] = result


def undone(
    photo: Tensor, edits: Sequence[tuple[Tensor, DirectEdit, float]]
) -> Iterator[tuple[slice, Tensor]]:
    """Photos with direct edits, in bands of rows.

    Args:
        photo: B 3 H W in [-1, 1]; written to.
        edits: the places of their photos in the batch, the edits, and their strengths.

    Yields:
        Rows, and what the photos are there, B 3 h W.
    """
    height, width = photo.shape[-2:]
    for rows, edit, strength in edits:
        if edit.residual is not None:
            photo.index_add_(0, rows, edit.residual, alpha=strength)
    flows = [
        (rows, spread_down(edit.flow * strength, height, width))
        for rows, edit, strength in edits
        if edit.flow is not None
    ]
    moves = torch.zeros(len(photo), dtype=torch.bool, device=photo.device)
    for rows, flow in flows:
        moves[rows] |= flow.flatten(1).any(1)
    moved = moves.nonzero()[:, 0]
    source = take(photo, moved)
    for band in bands(photo):
        part = photo[:, :, band]
        if len(moved):
            flow = photo.new_zeros(len(photo), 2, *part.shape[-2:])
            for rows, tall in flows:
                flow.index_add_(0, rows, spread_rows(tall[:, :, band], width))
            part = part.clone()
            put(part, moved, warp_smoothly(source, take(flow, moved), band.start))
        yield band, part
