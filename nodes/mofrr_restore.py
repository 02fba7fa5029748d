"""MoFRRRestore: everything in one node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..pipelines.mofrr.request import Request
from . import host
from .face_crops import Frames, cut_faces, read_faces
from .host import io
from .inputs import VIDEO, face_inputs, frames_input, mask_input, strength_input
from .mofrr_inputs import (
    ONLY_HERE,
    MoFRRNode,
    read_size,
    size_inputs,
    sources,
    step_inputs,
    written,
)
from .mofrr_model import MoFRRModel
from .mofrr_routing import RoutingSocket, Verdict, decision_inputs, judge, read_decisions, report
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
            "uncertainty", tooltip="Spread of the samples at each pixel; 0 with one sample."
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
        working_size: int,
        frames: str,
        mask: Tensor | None = None,
        boxes: Any = None,
        landmarks: Any = None,
        **decisions: Any,
    ) -> io.NodeOutput:
        """Restore the pictures."""
        pictures = read_image(image)
        read_mask(mask, pictures.pixels)  # what is wrong with it shows before the work
        request = Request(
            num_inference_steps=steps,
            strength=strength,
            num_samples=samples,
            working_size=read_size(working_size),
            clip=frames == VIDEO,
        )
        faces = read_faces(boxes, landmarks, len(pictures.pixels))
        if faces is None:
            found = _restore(model, pictures.pixels, request, seed, decisions)
        else:
            found = _restore_faces(model, pictures.pixels, faces, request, seed, decisions)
        return io.NodeOutput(
            *written(pictures, found.image, found.uncertainty, mask),
            found.verdict,
            report(found.bars) if found.bars else "no face was found, nothing was done",
            ui={"mofrr_verdict": found.bars},
        )


class _Restored(NamedTuple):
    """Restored pictures."""

    image: Tensor  # B 3 H W in [0, 1]
    uncertainty: Tensor | None  # B 1 H W, spread of the samples; None with one sample
    verdict: Verdict | None  # None: there was nothing to judge
    bars: list[dict[str, Any]]  # what the frontend draws of it


def _restore(
    model: MoFRRModel, pixels: Tensor, request: Request, seed: int, decisions: Mapping[str, Any]
) -> _Restored:
    """Pictures B 3 H W in [0, 1], each filled by one face."""
    room = host.HostRoom(model)
    found = judge(model, room, pixels, request.working_size, request.clip)
    verdict = found.edited(*read_decisions(decisions))
    generator = torch.Generator().manual_seed(seed)
    result = model.pipeline.restore(pixels, request, generator, routing=verdict.routing, room=room)
    bars = verdict.bars(result.degrees, result.active)
    return _Restored(result.images, result.uncertainty, verdict, bars)


def _restore_faces(
    model: MoFRRModel,
    pixels: Tensor,
    frames: Frames,
    request: Request,
    seed: int,
    decisions: Mapping[str, Any],
) -> _Restored:
    """Every face of every picture as one batch of crops, and the changes pasted back."""
    faces = cut_faces(pixels, frames)
    if not len(faces.crops):
        return _Restored(pixels, None, None, [])
    found = _restore(model, faces.crops, request, seed, decisions)
    restored, _ = faces.paste(pixels, found.image, FEATHER, match_colour=True)
    spread = found.uncertainty
    spread = None if spread is None else faces.lay(spread, pixels, FEATHER)[0]
    return found._replace(image=restored, uncertainty=spread)
