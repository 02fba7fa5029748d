"""MoFRRRestore taken apart: MoFRRRoute, MoFRREditRouting, MoFRRExpert, MoFRRMerge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..pipelines.arguments import check_fraction
from ..pipelines.mofrr.components import SHARED
from ..pipelines.mofrr.request import Request
from ..pipelines.operations import OPERATIONS
from ..pipelines.photos.arrays import to_signed
from . import host
from .face_choice import FAIL, IGNORE, PASS, FaceChoice, faceless, no_face_input
from .host import io
from .inputs import PICTURES, VIDEO, frames_input, mask_input, strength_input
from .mofrr_edits import Edits, EditSocket, check_routed, run_one, same_samples
from .mofrr_inputs import (
    LEAST,
    ONLY_HERE,
    MoFRRNode,
    read_size,
    say,
    size_inputs,
    sources,
    step_inputs,
    verdict_outputs,
    written,
)
from .mofrr_model import MoFRRModel
from .mofrr_routing import RoutingSocket, Verdict, decision_inputs, read_decisions
from .photos import read_image, read_mask, write_image

CATEGORY = "FRR/MoFRR/steps"
MOST_EXPERTS = 16


class MoFRRRoute(MoFRRNode):
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
                *sources("The pictures to judge, each filled by one face."),
                *size_inputs(samples=False),
                frames_input(),
                no_face_input((PASS, FAIL, IGNORE), advanced=True),
            ],
            outputs=verdict_outputs("The verdict on each picture"),
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        model: MoFRRModel,
        working_size: int = 0,
        frames: str = PICTURES,
        no_face: str = PASS,
    ) -> io.NodeOutput:
        """Judge the pictures."""
        pixels, clip = read_image(image).pixels, frames == VIDEO
        photo = to_signed(pixels)
        empty = faceless(pixels, FaceChoice(no_face=no_face), clip)
        size, room = read_size(working_size), host.HostRoom(model)
        routing = model.pipeline.route(photo, working_size=size, clip=clip, room=room)
        return say(Verdict.of(model.pipeline, routing, clip, faceless=empty))


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
            outputs=verdict_outputs("The corrected verdict"),
        )

    @classmethod
    def execute(cls, verdict: Verdict, **decisions: Any) -> io.NodeOutput:
        """Apply the decisions."""
        return say(verdict.edited(*read_decisions(decisions, verdict.operations)))


class MoFRRExpert(MoFRRNode):
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
                *sources("The same pictures that were routed."),
                RoutingSocket.Input("routing", tooltip="From MoFRR Route or MoFRR Edit Routing."),
                io.Combo.Input(
                    "operation",
                    options=[*OPERATIONS, SHARED],
                    default=OPERATIONS[0],
                    tooltip="Which expert; shared is the one that knows retouching in general.",
                ),
                *step_inputs(),
                *size_inputs(),
            ],
            outputs=[
                EditSocket.Output("edit", tooltip="What the expert would change, for MoFRR Merge."),
                io.Image.Output(
                    "alone", tooltip="The pictures as this expert alone restores them."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        model: MoFRRModel,
        routing: Verdict,
        operation: str,
        steps: int,
        seed: int,
        samples: int = 1,
        working_size: int = 0,
    ) -> io.NodeOutput:
        """Run the expert."""
        pixels, alpha = read_image(image)
        check_routed(routing, model, pixels)
        size = read_size(working_size)
        noise = Request(steps, num_samples=samples, working_size=size, clip=routing.clip)
        noise.check(LEAST)
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
                *sources("The same pictures that the experts saw."),
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
        check_fraction("strength", strength)
        pictures = read_image(image)
        pixels = pictures.pixels
        check_routed(routing, model, pixels)
        read_mask(mask, pixels)  # what is wrong with it shows before the work
        given = [edit for edit in edits.values() if edit is not None]
        samples = same_samples(given)
        present = {each.name: each.edit for each in given if each.edit is not None}
        gates = routing.routing.gates
        room = host.HostRoom(model)
        result = model.pipeline.join(pixels, present, gates, strength, samples, room=room)
        return io.NodeOutput(*written(pictures, result.images, result.uncertainty, mask))
