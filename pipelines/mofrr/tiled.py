"""MoFRR on clips and on pictures that do not fit: one verdict for all frames, experts in tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..photos.arrays import MULTIPLE, pad_to_multiple, to_working_size, working_shape
from ..photos.tiles import blend_tiles, spans
from .edits import ExpertEdit
from .restoration import MoFRRSteps
from .routing import Routing

OVERLAP = 32  # pixels at working size
PATCH = 4  # photo pixels per position of the latents


def one_verdict(routing: Routing, thresholds: Sequence[float]) -> Routing:
    """The verdict on a clip: the mean probability and degree of its frames, for every frame.

    Args:
        routing: of the frames, as `route` gives it without any wishes.
        thresholds: K numbers, as the router's.
    """
    probabilities = routing.probabilities.mean(0, keepdim=True)
    limit = probabilities.new_tensor(list(thresholds))
    active = (probabilities >= limit) & routing.active.any(0)  # never one that has no expert
    fields = (probabilities, routing.degrees.mean(0, keepdim=True), active, probabilities)
    return Routing(*(field.expand_as(routing.active).clone() for field in fields))


@torch.no_grad()
def estimate_degree(pipe: MoFRRSteps, name: str, photo: Tensor, working_size: Any) -> Tensor:
    """The degree, B in [0, 1], that an expert sees in photos B 3 H W in [-1, 1]."""
    expert = getattr(pipe, f"{name}_expert")
    small = pad_to_multiple(to_working_size(photo, read_size(pipe, working_size)))
    return expert.estimate_degree(small.to(expert.dtype))[1].float()


def read_size(pipe: MoFRRSteps, working_size: Any) -> int | None:
    """The working size in pixels that "config" stands for; anything else as it is."""
    return pipe.config["working_size"] if working_size == "config" else working_size


@torch.no_grad()
def run_expert_in_tiles(
    pipe: MoFRRSteps,
    name: str,
    photo: Tensor,
    degree: Tensor | None,
    latents: Tensor,
    tile: int,
    working_size: Any = "config",
    **options: Any,
) -> ExpertEdit:
    """`run_expert` on overlapping tiles of the photos, for when whole ones need too much memory.

    The degree is that of the whole photo; the rest of an expert's view ends at its tile, so the
    result is close to, but not the same as, the whole photo's.

    Args:
        pipe: the pipeline.
        name: an operation, or "shared".
        photo: B 3 H W in [-1, 1].
        degree: B in [0, 1], NaN or None where the expert is to estimate it.
        latents: of all experts, from `prepare_latents` with the same working size.
        tile: side of the tiles at working size, at least 64.
        working_size: as for the pipeline's call.
        options: as for `run_experts`.
    """
    size = read_size(pipe, working_size)
    small, shape = to_working_size(photo, size), working_shape(photo, size)
    padded = pad_to_multiple(small)
    if name != "shared":
        degree = photo.new_full((len(photo),), torch.nan) if degree is None else degree
        own = estimate_degree(pipe, name, padded, None)
        degree = torch.where(degree.isnan(), own, degree)

    def run(rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        part = padded[..., rows[0] : rows[1], columns[0] : columns[1]]
        noise = latents[
            ...,
            rows[0] // PATCH : rows[1] // PATCH,
            columns[0] // PATCH : columns[1] // PATCH,
        ]
        edit = pipe.run_expert(name, part, degree, noise, working_size=None, **options)
        return edit.residual if edit.flow is None else torch.cat((edit.flow, edit.residual), dim=1)

    tile = max(tile, 2 * OVERLAP)
    rows, columns = (spans(side, tile, OVERLAP, MULTIPLE) for side in padded.shape[-2:])
    planes = blend_tiles(run, rows, columns)[..., : shape[0], : shape[1]]
    places = torch.arange(len(photo), device=photo.device)
    worked = photo.new_full((len(photo),), torch.nan) if degree is None else degree
    flow = planes[:, :-3] if planes.shape[1] > 3 else None
    return ExpertEdit(places, flow, planes[:, -3:], worked)
