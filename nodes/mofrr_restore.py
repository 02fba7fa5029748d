"""MoFRRRestore: everything in one node."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..pipelines.mofrr.request import Request
from .clip_frames import HostFrames
from .face_choice import FOUND, FRAMED, PASS, FaceChoice
from .face_choice import restored_faces_inputs as choice_of_faces
from .host import io
from .inputs import PICTURES, VIDEO, face_inputs, frames_input, mask_input, strength_input
from .mofrr_clips import ClipRestorer
from .mofrr_faces import Asked, restore_pictures
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
from .mofrr_presets import preset_input
from .mofrr_routing import (
    RoutingSocket,
    decision_inputs,
    leave_alone,
    read_decisions,
    report,
)
from .photos import read_image, read_mask


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
        *choice_of_faces(),
        preset_input(),
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
                "Pictures are filled by one upright face, or faces are looked for, or boxes or "
                "landmarks say where they are."
            ),
            search_aliases=[
                "face restore",
                "unretouch",
                "remove beauty filter",
                "undo retouching",
                "de-beautify",
                "undo",
                "unfilter",
                "whitening",
                "smoothing",
                "skin",
                "slim",
                "big eyes",
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
        faces: str = FRAMED,
        order: str = FOUND,
        number: int = 1,
        no_face: str = PASS,
        preset: str = "",
        **decisions: Any,
    ) -> io.NodeOutput:
        """Restore the pictures."""
        wishes = read_decisions(decisions, model.pipeline.operations)
        request = Request(
            steps,
            strength,
            {name: "auto" if wish is None else wish for name, wish in wishes[0].items()},
            wishes[1],
            samples,
            working_size=read_size(working_size),
            clip=frames == VIDEO,
        )
        request.check(LEAST)
        choice = FaceChoice(faces, order, number, no_face)
        asked, where = Asked(model, request, seed, wishes), (choice, boxes, landmarks)
        if request.clip:
            result = ClipRestorer(asked).restore(HostFrames(image, mask), *where)
            planes = result.planes
        else:
            pictures = read_image(image)
            chosen = read_mask(mask, pictures.pixels)  # what is wrong with it shows before the work
            result = restore_pictures(asked, pictures.pixels, *where)
            planes = written(pictures, result.images, result.uncertainty, chosen)
        _leave_alone(result.bars, strength, mask)
        shown = {"mofrr_verdict": result.bars, "frr_note": [result.told] if result.told else []}
        text = result.told + report(result.bars)
        return io.NodeOutput(*planes, result.verdict, text, ui=shown)


def _leave_alone(bars: list[dict[str, Any]], strength: float, mask: Tensor | None) -> None:
    """Say in the bars why nothing was undone of a picture where that is not for the verdict."""
    reasons = []
    for number, bar in enumerate(bars):
        place = bar.get("picture", number)  # None: of a clip, or a person in it
        part = mask
        if mask is not None and mask.ndim > 2 and len(mask) > 1 and place is not None:
            part = mask[place]
        empty = part is not None and not bool(part.any())
        reasons.append("strength is 0" if strength == 0 else "the mask is empty" if empty else None)
    leave_alone(bars, reasons)
