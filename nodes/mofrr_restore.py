"""MoFRRRestore: everything in one node."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..pipelines.mofrr.request import Request
from . import host
from .face_crops import Faces, cut_faces, read_faces
from .host import io
from .inputs import PICTURES, VIDEO, face_inputs, frames_input, mask_input, strength_input
from .mofrr_inputs import (
    LEAST,
    ONLY_HERE,
    MoFRRNode,
    read_size,
    size_inputs,
    sources,
    step_inputs,
    written,
)
from .mofrr_model import MoFRRModel
from .mofrr_routing import (
    RoutingSocket,
    Verdict,
    decision_inputs,
    leave_alone,
    read_decisions,
    report,
)
from .photos import read_image, read_mask

FEATHER = 0.1


def _inputs() -> list[Any]:
    """Inputs of MoFRRRestore."""
    return [
        *sources("The retouched pictures; values beyond 0..1 are clamped."),
        *step_inputs(),
        strength_input("correction"),
        *decision_inputs(),
        *size_inputs(),
        frames_input(),
        mask_input(ONLY_HERE),
        *face_inputs(
            "Face boxes of any detector: each face is restored by itself and pasted back.",
            "Landmarks of the MediaPipe nodes, instead of boxes: also turned upright.",
        ),
    ]


def _outputs() -> list[Any]:
    """Outputs of MoFRRRestore."""
    return [
        io.Image.Output("restored", display_name="image", tooltip="The restored pictures."),
        io.Mask.Output(
            "difference", tooltip="How much each pixel changed: mean over the colours, 0..1."
        ),
        io.Mask.Output(
            "uncertainty",
            tooltip="The error to be expected at each pixel, as samples say; 0 with one sample.",
        ),
        RoutingSocket.Output("routing", tooltip="The verdict, for the nodes that take it."),
        io.String.Output("report", tooltip="What was found and undone, as text."),
    ]


class MoFRRRestore(MoFRRNode):
    """Finds which retouching a face got, and undoes it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows of the node."""
        return io.Schema(
            node_id="MoFRRRestore",
            display_name="MoFRR Restore",
            category="FRR/MoFRR",
            description=(
                "Estimates what a face looked like before it was retouched: a router finds "
                "whitening, smoothing, face slimming and eye enlarging, an expert undoes each. "
                "Expects pictures filled by one upright face, or boxes or landmarks that say "
                "where the faces are."
            ),
            search_aliases=[
                "face restore",
                "unretouch",
                "remove beauty filter",
                "undo retouching",
                "de-beautify",
            ],
            has_intermediate_output=True,
            inputs=_inputs(),
            outputs=_outputs(),
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        model: MoFRRModel,
        steps: int,
        seed: int,
        strength: float,
        samples: int,
        working_size: int = 0,
        frames: str = PICTURES,
        mask: Tensor | None = None,
        boxes: Any = None,
        landmarks: Any = None,
        **decisions: Any,
    ) -> io.NodeOutput:
        """Restore the pictures."""
        pictures = read_image(image)
        pixels = pictures.pixels
        chosen = read_mask(mask, pixels)  # what is wrong with it shows before the work
        wishes, degrees = read_decisions(decisions, model.pipeline.operations)
        request = Request(
            steps,
            strength,
            {name: "auto" if wish is None else wish for name, wish in wishes.items()},
            degrees,
            samples,
            working_size=read_size(working_size),
            clip=frames == VIDEO,
        )
        request.check(LEAST)
        found = read_faces(boxes, landmarks, len(pixels))
        faces = None if found is None else cut_faces(pixels, found)
        if faces is not None and not len(faces.crops):
            nothing = "no face was found, nothing was done"
            return io.NodeOutput(
                *written(pictures, pixels, None, mask), None, nothing, ui={"mofrr_verdict": []}
            )
        generator = torch.Generator().manual_seed(seed)
        result = model.pipeline.restore(
            pixels if faces is None else faces.crops, request, generator, room=host.HostRoom(model)
        )
        verdict = Verdict.of(model.pipeline, result.routing, request.clip, (wishes, degrees))
        bars = verdict.bars(result.degrees, result.active)
        leave_alone(bars, _reasons(pixels, strength, chosen, faces))
        images, spread = result.images, result.uncertainty
        if faces is not None:
            images, _ = faces.paste(pixels, images, FEATHER, match_colour=True)
            spread = None if spread is None else faces.lay(spread, pixels, FEATHER)[0]
        return io.NodeOutput(
            *written(pictures, images, spread, mask),
            verdict,
            report(bars),
            ui={"mofrr_verdict": bars},
        )


def _reasons(
    pixels: Tensor, strength: float, mask: Tensor | None, faces: Faces | None
) -> list[str | None]:
    """Why nothing was undone of a picture, or of a face, where that is not for the verdict."""
    empty = [mask is not None and not bool(mask[place].any()) for place in range(len(pixels))]
    places = range(len(pixels)) if faces is None else faces.pictures
    reasons: list[str | None] = [
        "strength is 0" if strength == 0 else "the mask is empty" if empty[place] else None
        for place in places
    ]
    if faces is not None:
        inside = faces.inside(pixels.shape[-1], pixels.shape[-2])
        for place, fits in enumerate(inside):
            if not fits:
                reasons[place] = "its box lies outside the picture"
    return reasons
