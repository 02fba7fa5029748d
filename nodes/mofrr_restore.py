"""MoFRRRestore: everything in one node."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import host, mofrr_work
from .face_crops import Frames, cut_faces, read_faces
from .host import io
from .inputs import (
    VIDEO,
    check_working_size,
    face_inputs,
    frames_input,
    mask_input,
    read_working_size,
    samples_input,
    seed_input,
    steps_input,
    strength_input,
    working_size_input,
)
from .mofrr_model import MoFRRModel, MoFRRModelSocket
from .mofrr_routing import RoutingSocket, decision_inputs, read_decisions, report
from .mofrr_work import SMALLEST, Noise, Restored
from .photos import blend, read_image, read_mask, write_image, write_mask

FEATHER = 0.1
CORRECTION = "the correction is brought back to full size."
SEED = "Seed of the experts' noise: the same seed gives the same result."
ONLY_HERE = "Restore only here; other pixels keep every bit."


def _inputs() -> list[Any]:
    """Inputs of MoFRRRestore."""
    return [
        io.Image.Input("image", tooltip="The retouched pictures; values beyond 0..1 are clamped."),
        MoFRRModelSocket.Input("model", tooltip="From Load MoFRR Model."),
        steps_input(),
        seed_input(SEED),
        strength_input("correction"),
        *decision_inputs(),
        samples_input(),
        working_size_input(SMALLEST, CORRECTION),
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


class MoFRRRestore(io.ComfyNode):
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
    def validate_inputs(cls, working_size: int | None) -> bool | str:
        """A size between 1 and 31 is too small for the networks."""
        return check_working_size(working_size, SMALLEST)

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
        pixels, alpha = read_image(image)
        chosen = read_mask(mask, pixels)
        noise = Noise(seed, samples, read_working_size(working_size, SMALLEST))
        clip = frames == VIDEO
        faces = read_faces(boxes, landmarks, len(pixels))
        if faces is None:
            work = _Work(model, pixels, noise, steps, strength, clip, decisions)
            result = work.result
        else:
            work, result = _restore_faces(
                pixels, faces, model, noise, steps, strength, clip, decisions
            )
        restored = blend(pixels, result.image, chosen)
        difference = (restored - pixels).abs().mean(1, keepdim=True)
        uncertainty = result.uncertainty if chosen is None else result.uncertainty * chosen
        return io.NodeOutput(
            write_image(restored, alpha),
            write_mask(difference),
            write_mask(uncertainty),
            work.verdict,
            report(work.bars) if work.bars else "no face was found, nothing was done",
            ui={"mofrr_verdict": work.bars},
        )


class _Work:
    """One restoration: route, the experts in turn, merge."""

    def __init__(
        self,
        model: MoFRRModel,
        pixels: Tensor,
        noise: Noise,
        steps: int,
        strength: float,
        clip: bool,
        decisions: dict[str, Any],
    ) -> None:
        found = mofrr_work.route(model, pixels, noise.working_size, clip)
        self.verdict = found.edited(*read_decisions(decisions))
        names = [name for name in model.pipeline.expert_names if self._runs(name, strength)]
        progress = host.Progress(len(names) * steps + 1)
        edits = [
            mofrr_work.run_expert(model, name, pixels, self.verdict, noise, steps, progress.step)
            for name in names
        ]
        self.result = mofrr_work.merge(model, pixels, self.verdict, edits, strength)
        progress.step()
        self.bars = self.verdict.bars(mofrr_work.worked_degrees(edits, len(pixels)))

    def _runs(self, name: str, strength: float) -> bool:
        return strength > 0 and bool(self.verdict.running(name).any())


def _restore_faces(
    pixels: Tensor,
    frames: Frames,
    model: MoFRRModel,
    noise: Noise,
    steps: int,
    strength: float,
    clip: bool,
    decisions: dict[str, Any],
) -> tuple[Any, Restored]:
    """Restore every face of every picture as one batch of crops, and paste the changes back."""
    faces = cut_faces(pixels, frames)
    if not len(faces.crops):
        nothing = torch.zeros_like(pixels[:, :1])
        return _Nothing(), Restored(pixels, nothing, nothing)
    work = _Work(model, faces.crops, noise, steps, strength, clip, decisions)
    restored, _ = faces.paste(pixels, work.result.image, FEATHER, match_colour=True)
    spread, _ = faces.lay(work.result.uncertainty, pixels, FEATHER)
    difference = (restored - pixels).abs().mean(1, keepdim=True)
    return work, Restored(restored, difference, spread)


class _Nothing:
    """What a restoration without any face leaves."""

    verdict = None
    bars: list[dict[str, Any]] = []  # noqa: RUF012
