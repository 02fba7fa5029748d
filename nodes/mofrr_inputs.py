"""Inputs and outputs that the nodes of MoFRR declare alike."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..pipelines.mofrr.pipeline import MoFRRPipeline
from .host import io
from .inputs import (
    SizedNode,
    read_working_size,
    samples_input,
    seed_input,
    steps_input,
    working_size_input,
)
from .mofrr_model import MoFRRModelSocket
from .mofrr_routing import RoutingSocket, Verdict, report
from .photos import Pictures, blend, read_mask, write_image, write_mask

LEAST = MoFRRPipeline.size_requirements.minimum
ONLY_HERE = "Restore only here; other pixels keep every bit."


class MoFRRNode(SizedNode):
    """A node of MoFRR with a working size."""

    least = LEAST


def sources(image: str) -> list[Any]:
    """Pictures, with a tooltip, and the model."""
    return [
        io.Image.Input("image", tooltip=image),
        MoFRRModelSocket.Input("model", tooltip="From Load MoFRR Model."),
    ]


def step_inputs() -> list[Any]:
    """Denoising steps and their seed."""
    tooltip = "Seed of the experts' noise: the same seed gives the same result."
    return [steps_input(), seed_input(tooltip)]


def size_inputs(samples: bool = True) -> list[Any]:
    """Samples, where there are any, and the working size."""
    size = working_size_input(LEAST, "the correction is brought back to full size.")
    return [samples_input(), size] if samples else [size]


def read_size(working_size: int) -> Any:
    """The working size as the pipeline takes it."""
    return read_working_size(working_size, LEAST)


def verdict_outputs(which: str) -> list[Any]:
    """A verdict and its text, with tooltips that say which."""
    return [
        RoutingSocket.Output("routing", tooltip=f"{which}."),
        io.String.Output("report", tooltip=f"{which.removesuffix(' on each picture')} as text."),
    ]


def say(verdict: Verdict) -> io.NodeOutput:
    """What a node answers with a verdict, which the frontend draws."""
    bars = verdict.bars()
    return io.NodeOutput(verdict, report(bars), ui={"mofrr_verdict": bars})


def written(
    pictures: Pictures, restored: Tensor, uncertainty: Tensor | None, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Restored pictures, how much each pixel changed, and the samples' spread, as the host's.

    Args:
        pictures: as they came.
        restored: B 3 H W in [0, 1].
        uncertainty: B 1 H W; None: there is none.
        mask: the host's; outside of it pictures stay as they came.
    """
    pixels, alpha = pictures
    chosen = read_mask(mask, pixels)
    result = blend(pixels, restored, chosen)
    change = (result - pixels).abs().mean(1, keepdim=True)
    spread = change * 0 if uncertainty is None else uncertainty
    spread = spread if chosen is None else spread * chosen
    return write_image(result, alpha), write_mask(change), write_mask(spread)
