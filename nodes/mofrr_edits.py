"""What travels on a MOFRR_EDIT socket: what one expert would change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..pipelines.mofrr.edits import ExpertEdit
from ..pipelines.mofrr.request import Request
from ..pipelines.photos.arrays import to_signed, to_unit
from . import host
from .host import io
from .mofrr_model import MoFRRModel
from .mofrr_routing import Verdict

EditSocket = io.Custom("MOFRR_EDIT")


class Edits(NamedTuple):
    """One expert's edit of B pictures, on the CPU."""

    name: str  # of the operation, or "shared"
    edit: ExpertEdit | None  # its rows count B * samples; None where it ran on no picture
    samples: int

    def applied(self, pixels: Tensor) -> Tensor:
        """B 3 H W in [0, 1] as this expert alone restores it, the mean of its samples."""
        if self.edit is None:
            return pixels
        images = pixels.clone()
        for place in (self.edit.rows // self.samples).unique().tolist():
            samples = place * self.samples + torch.arange(self.samples)
            edit = self.edit.of(samples, pixels.device)
            assert edit is not None
            photo = to_signed(pixels[place : place + 1]).expand(self.samples, -1, -1, -1)
            images[place] = to_unit(edit.applied(photo, 1.0).image).mean(0)
        return images


def run_one(
    pipe: Any,
    name: str,
    pixels: Tensor,
    verdict: Verdict,
    noise: Request,
    generator: torch.Generator,
    room: host.HostRoom,
) -> ExpertEdit | None:
    """One expert of a pipeline on the pictures where the verdict has it; None where on none."""
    active = torch.zeros(len(pixels), len(pipe.expert_names), dtype=torch.bool)
    active[:, pipe.expert_names.index(name)] = verdict.running(name)
    if not active.any() or getattr(pipe, f"{name}_expert") is None:
        return None
    count, size = noise.num_samples, noise.working_size
    latents = pipe.prepare_latents(pixels, generator, None, count, size, noise.clip)
    photo, active, degrees = (
        planes.repeat_interleave(count, 0)
        for planes in (to_signed(pixels), active, verdict.routing.degrees)
    )
    options = {"working_size": size, "clip": noise.clip, "room": room}
    steps = noise.num_inference_steps
    return pipe.run_experts(photo, active, degrees, latents, steps, **options)[0][name]


def check_routed(verdict: Verdict, model: MoFRRModel, pixels: Tensor) -> None:
    """Raises ValueError where a verdict is not on these pictures, or of another model."""
    own = tuple(model.pipeline.operations)
    judged = len(verdict.estimate.probabilities)
    if len(pixels) != judged or verdict.operations != own:
        raise ValueError(
            f"the routing is on {judged} picture(s) for {', '.join(verdict.operations)}; here are "
            f"{len(pixels)} picture(s) for {', '.join(own)}: route the same pictures with the same "
            "model"
        )


def same_samples(edits: Sequence[Edits]) -> int:
    """The number of samples that all edits have.

    Raises:
        ValueError: they differ, or an expert comes twice.
    """
    counts = {each.samples for each in edits}
    if len(counts) > 1 or len({each.name for each in edits}) < len(edits):
        raise ValueError(
            "edits of "
            + ", ".join(f"{each.name} ({each.samples} samples)" for each in edits)
            + " came; expected each expert once, all with the same number of samples"
        )
    return counts.pop() if counts else 1
