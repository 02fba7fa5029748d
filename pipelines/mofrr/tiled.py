"""An expert on overlapping tiles of photos that do not fit."""

from collections.abc import Callable

import torch

from ...models.mofrr.contract import Expert, known_degrees
from ...models.sizes import LATENT_STRIDE
from ..photos.tiles import Window, blend_tiles, windows
from ..placement import dtype_of
from .edits import ExpertEdit
from .experts import Task

OVERLAP = 32  # pixels at working size


def run_in_tiles(
    run: Callable[[Task], ExpertEdit], expert: Expert, task: Task, tile: int, multiple: int
) -> ExpertEdit:
    """One expert on tiles, for when whole photos need too much memory.

    The degree is that of the whole photo; the rest of an expert's view ends at its tile, so the
    result is close to, but not the same as, the whole photo's.

    Args:
        run: the expert on a task.
        expert: the network.
        task: of this expert alone, active on all photos; photos at working size, padded.
        tile: side of the tiles, at least 64.
        multiple: of which the tiles' sides are.
    """
    degrees = task.degrees
    if expert.estimates_degrees:
        photo = task.photo.to(dtype_of(expert))
        degrees = known_degrees(expert, photo, degrees[:, 0].float(), None)[:, None]

    def run_one(place: Window) -> ExpertEdit:
        noise = place.reduced(LATENT_STRIDE).of(task.latents)
        return run(Task(place.of(task.photo), task.active, degrees, noise))

    size = max(tile, 2 * OVERLAP)
    places = windows(task.photo.shape[-2:], size, OVERLAP, multiple)
    edits = {place: run_one(place) for place in places}
    residual = blend_tiles(lambda some: [edits[each].residual for each in some], places)
    flows = {place: edit.flow for place, edit in edits.items() if edit.flow is not None}
    flow = blend_tiles(lambda some: [flows[each] for each in some], places) if flows else None
    rows = torch.arange(len(task.photo), device=task.photo.device)
    return ExpertEdit(rows, flow, residual, degrees[:, 0])
