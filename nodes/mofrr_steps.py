"""MoFRRRestore taken apart: MoFRRRoute, MoFRREditRouting, MoFRRExpert, MoFRRMerge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..pipelines.mofrr.components import SHARED
from ..pipelines.mofrr.request import Request
from ..pipelines.operations import OPERATIONS
from . import host
from .host import io
from .inputs import (
    VIDEO,
    check_working_size,
    frames_input,
    mask_input,
    read_working_size,
    samples_input,
    seed_input,
    steps_input,
    strength_input,
    working_size_input,
)
from .mofrr_edits import Edits, EditSocket, check_routed, run_one, same_samples
from .mofrr_model import MoFRRModel, MoFRRModelSocket
from .mofrr_restore import CORRECTION, LEAST, ONLY_HERE, SEED
from .mofrr_routing import (
    RoutingSocket,
    Verdict,
    decision_inputs,
    judge,
    read_decisions,
    report,
)
from .photos import blend, changed, or_zeros, read_image, read_mask, write_image, write_mask

CATEGORY = "FRR/MoFRR/steps"
MOST_EXPERTS = 16


class MoFRRRoute(io.ComfyNode):
    """The router by itself."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows of the node."""
        return io.Schema(
            node_id="MoFRRRoute",
            display_name="MoFRR Route",
            category=CATEGORY,
            description="Says which retouching operations a face got, and how likely each is.",
            search_aliases=["detect retouching", "retouching detection", "beauty filter detector"],
            has_intermediate_output=True,
            inputs=[
                io.Image.Input("image", tooltip="The pictures to judge, each filled by one face."),
                MoFRRModelSocket.Input("model", tooltip="From Load MoFRR Model."),
                working_size_input(LEAST, CORRECTION),
                frames_input(),
            ],
            outputs=[
                RoutingSocket.Output("routing", tooltip="The verdict on each picture."),
                io.String.Output("report", tooltip="The verdict as text."),
            ],
        )

    @classmethod
    def validate_inputs(cls, working_size: int | None) -> bool | str:
        """A size between 1 and 31 is too small for the networks."""
        return check_working_size(working_size, LEAST)

    @classmethod
    def execute(
        cls, image: Tensor, model: MoFRRModel, working_size: int, frames: str
    ) -> io.NodeOutput:
        """Judge the pictures."""
        pixels = read_image(image).pixels
        size = read_working_size(working_size, LEAST)
        return _say(judge(model, host.HostRoom(model), pixels, size, frames == VIDEO))


def _say(verdict: Verdict) -> io.NodeOutput:
    bars = verdict.bars()
    return io.NodeOutput(verdict, report(bars), ui={"mofrr_verdict": bars})


class MoFRREditRouting(io.ComfyNode):
    """Corrects the router's verdict by hand."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows of the node."""
        return io.Schema(
            node_id="MoFRREditRouting",
            display_name="MoFRR Edit Routing",
            category=CATEGORY,
            description="Forces operations on or off and sets their degrees, for every picture.",
            search_aliases=["force operation", "retouching degree", "override routing"],
            has_intermediate_output=True,
            inputs=[
                RoutingSocket.Input("verdict", display_name="routing", tooltip="From MoFRR Route."),
                *decision_inputs(),
            ],
            outputs=[
                RoutingSocket.Output("routing", tooltip="The corrected verdict."),
                io.String.Output("report", tooltip="The corrected verdict as text."),
            ],
        )

    @classmethod
    def execute(cls, verdict: Verdict, **decisions: Any) -> io.NodeOutput:
        """Apply the decisions."""
        return _say(verdict.edited(*read_decisions(decisions)))


class MoFRRExpert(io.ComfyNode):
    """One expert on the pictures where its operation is active."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows of the node."""
        return io.Schema(
            node_id="MoFRRExpert",
            display_name="MoFRR Expert",
            category=CATEGORY,
            description=(
                "Undoes one operation where the routing says so; an expert that is not needed is "
                "not even loaded. The shared expert runs wherever any other does."
            ),
            search_aliases=["undo whitening", "undo smoothing", "undo slimming", "undo big eyes"],
            inputs=[
                io.Image.Input("image", tooltip="The same pictures that were routed."),
                MoFRRModelSocket.Input("model", tooltip="From Load MoFRR Model."),
                RoutingSocket.Input("routing", tooltip="From MoFRR Route or MoFRR Edit Routing."),
                io.Combo.Input(
                    "operation",
                    options=[*OPERATIONS, SHARED],
                    default=OPERATIONS[0],
                    tooltip="Which expert; shared is the one that knows retouching in general.",
                ),
                steps_input(),
                seed_input(SEED),
                samples_input(),
                working_size_input(LEAST, CORRECTION),
            ],
            outputs=[
                EditSocket.Output("edit", tooltip="What the expert would change, for MoFRR Merge."),
                io.Image.Output(
                    "alone", tooltip="The pictures as this expert alone restores them."
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, working_size: int | None) -> bool | str:
        """A size between 1 and 31 is too small for the networks."""
        return check_working_size(working_size, LEAST)

    @classmethod
    def execute(
        cls,
        image: Tensor,
        model: MoFRRModel,
        routing: Verdict,
        operation: str,
        steps: int,
        seed: int,
        samples: int,
        working_size: int,
    ) -> io.NodeOutput:
        """Run the expert."""
        pixels, alpha = read_image(image)
        check_routed(routing, model, pixels)
        size = read_working_size(working_size, LEAST)
        noise = Request(steps, num_samples=samples, working_size=size, clip=routing.clip)
        generator = torch.Generator().manual_seed(seed)
        room = host.HostRoom(model)
        edit = run_one(model.pipeline, operation, pixels, routing, noise, generator, room)
        edits = Edits(operation, edit, samples)
        return io.NodeOutput(edits, write_image(edits.applied(pixels), alpha))


class MoFRRMerge(io.ComfyNode):
    """Joins what the experts would change."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows of the node."""
        edits = io.Autogrow.TemplatePrefix(
            EditSocket.Input("edit", tooltip="From MoFRR Expert; each expert once."),
            prefix="edit",
            min=1,
            max=MOST_EXPERTS,
        )
        return io.Schema(
            node_id="MoFRRMerge",
            display_name="MoFRR Merge",
            category=CATEGORY,
            description="Joins the experts' edits into the restored picture.",
            search_aliases=["merge experts", "combine edits"],
            inputs=[
                io.Image.Input("image", tooltip="The same pictures that the experts saw."),
                MoFRRModelSocket.Input("model", tooltip="From Load MoFRR Model."),
                RoutingSocket.Input("routing", tooltip="The routing that the experts followed."),
                strength_input("correction"),
                io.Autogrow.Input("edits", template=edits, tooltip="One edit of each expert."),
                mask_input(ONLY_HERE),
            ],
            outputs=[
                io.Image.Output("restored", display_name="image", tooltip="The restored pictures."),
                io.Mask.Output("difference", tooltip="How much each pixel changed, 0..1."),
                io.Mask.Output("uncertainty", tooltip="Spread of the samples at each pixel."),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        model: MoFRRModel,
        routing: Verdict,
        strength: float,
        edits: Mapping[str, Edits],
        mask: Tensor | None = None,
    ) -> io.NodeOutput:
        """Join the edits."""
        pixels, alpha = read_image(image)
        check_routed(routing, model, pixels)
        given = [edit for edit in edits.values() if edit is not None]
        samples = same_samples(given)
        present = {each.name: each.edit for each in given if each.edit is not None}
        result = model.pipeline.join(
            pixels, present, routing.routing.gates, strength, samples, room=host.HostRoom(model)
        )
        chosen = read_mask(mask, pixels)
        restored = blend(pixels, result.images, chosen)
        uncertainty = or_zeros(result.uncertainty, pixels)
        uncertainty = uncertainty if chosen is None else uncertainty * chosen
        return io.NodeOutput(
            write_image(restored, alpha),
            write_mask(changed(pixels, restored)),
            write_mask(uncertainty),
        )
