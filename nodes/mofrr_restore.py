"""MoFRRRestore: everything in one node."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..pipelines.faces import Alignment, crop, crop_side, paste
from . import host, mofrr_work
from .host import io
from .mofrr_load import MoFRRModelSocket
from .mofrr_model import MoFRRModel
from .mofrr_routing import decision_inputs, read_decisions, report
from .mofrr_work import Noise, Restored
from .photos import (
    blend,
    read_boxes,
    read_image,
    read_landmarks,
    read_mask,
    write_image,
    write_mask,
)

RoutingSocket = io.Custom("MOFRR_ROUTING")
FaceLandmarksSocket = io.Custom("FACE_LANDMARKS")
PICTURES, VIDEO = "pictures", "video"
FEATHER = 0.1
LARGEST = 8192


def steps_input() -> Any:
    """Denoising steps."""
    return io.Int.Input(
        "steps",
        default=2,
        min=1,
        max=50,
        tooltip="Denoising steps of each expert: 1 or 2 give the mean estimate, more add detail.",
    )


def seed_input() -> Any:
    """Seed of the noise."""
    return io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=0xFFFFFFFFFFFFFFFF,
        control_after_generate=True,
        tooltip="Seed of the experts' noise: the same seed gives the same result.",
    )


def strength_input() -> Any:
    """Share of the correction."""
    return io.Float.Input(
        "strength",
        default=1.0,
        min=0.0,
        max=1.0,
        step=0.05,
        tooltip="How much of the correction is applied: 0 leaves the picture as it is.",
    )


def working_size_input() -> Any:
    """Side at which the networks work."""
    return io.Int.Input(
        "working_size",
        default=0,
        min=0,
        max=LARGEST,
        step=32,
        advanced=True,
        tooltip=(
            "Shorter side in pixels at which the networks see a larger picture; the correction is "
            "brought back to full size. 0 takes the model's own (256 for the embedded model); from "
            "32 on. Nothing is ever enlarged."
        ),
    )


def samples_input() -> Any:
    """Estimates to average."""
    return io.Int.Input(
        "samples",
        default=1,
        min=1,
        max=16,
        advanced=True,
        tooltip="Estimates from different noise to average; uncertainty shows their spread.",
    )


def frames_input() -> Any:
    """Pictures or a clip."""
    return io.Combo.Input(
        "frames",
        options=[PICTURES, VIDEO],
        default=PICTURES,
        advanced=True,
        tooltip=(
            "pictures: each has its own verdict and noise. video: the batch is one clip, with one "
            "verdict, one set of degrees and the same noise for every frame, so that it does not "
            "flicker."
        ),
    )


def _inputs() -> list[Any]:
    """Inputs of MoFRRRestore."""
    return [
        io.Image.Input("image", tooltip="The retouched pictures; values beyond 0..1 are clamped."),
        MoFRRModelSocket.Input("model", tooltip="From Load MoFRR Model."),
        steps_input(),
        seed_input(),
        strength_input(),
        *decision_inputs(),
        samples_input(),
        working_size_input(),
        frames_input(),
        io.Mask.Input(
            "mask", optional=True, tooltip="Restore only here; other pixels keep every bit."
        ),
        io.BoundingBox.Input(
            "boxes",
            optional=True,
            socketless=False,
            force_input=True,
            tooltip="Face boxes of any detector: each face is restored by itself and pasted back.",
        ),
        FaceLandmarksSocket.Input(
            "landmarks",
            optional=True,
            tooltip="Landmarks of the MediaPipe nodes, instead of boxes: also turned upright.",
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
        return check_working_size(working_size)

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
        noise = Noise(seed, samples, mofrr_work.read_working_size(working_size))
        clip = frames == VIDEO
        faces = _read_faces(boxes, landmarks, len(pixels))
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


def check_working_size(working_size: int | None) -> bool | str:
    """True, or what is wrong with a working size; None is one that another node will give."""
    if working_size is None or working_size == 0 or 32 <= working_size <= LARGEST:
        return True
    return f"working_size is {working_size}; expected 0 (the model's own) or 32 to {LARGEST} pixels"


def _read_faces(boxes: Any, landmarks: Any, batch: int) -> list[list[Alignment]] | None:
    if boxes is not None and landmarks is not None:
        raise ValueError("boxes and landmarks are both connected; disconnect one of them")
    if landmarks is not None:
        return read_landmarks(landmarks, batch, 1.0)
    return None if boxes is None else read_boxes(boxes, batch, 1.0)


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
    faces: list[list[Alignment]],
    model: MoFRRModel,
    noise: Noise,
    steps: int,
    strength: float,
    clip: bool,
    decisions: dict[str, Any],
) -> tuple[Any, Restored]:
    """Restore every face of every picture as one batch of crops, and paste the changes back."""
    side = crop_side([face for frame in faces for face in frame])
    crops = [crop(photo, frame, side) for photo, frame in zip(pixels, faces, strict=True)]
    batch = torch.cat(crops)
    if not len(batch):
        nothing = torch.zeros_like(pixels[:, :1])
        return _Nothing(), Restored(pixels, nothing, nothing)
    work = _Work(model, batch, noise, steps, strength, clip, decisions)
    counts = [len(frame) for frame in faces]
    parts = zip(
        pixels,
        faces,
        crops,
        work.result.image.split(counts),
        work.result.uncertainty.split(counts),
        strict=True,
    )
    images, spreads = [], []
    for photo, frame, before, after, spread in parts:
        images.append(paste(photo, frame, before, after, FEATHER)[0])
        empty = torch.zeros_like(photo[:1])
        zeros = torch.zeros_like(spread)
        spreads.append(paste(empty, frame, zeros, spread, FEATHER, match_colour=False)[0])
    restored = torch.stack(images)
    difference = (restored - pixels).abs().mean(1, keepdim=True)
    return work, Restored(restored, difference, torch.stack(spreads))


class _Nothing:
    """What a restoration without any face leaves."""

    verdict = None
    bars: list[dict[str, Any]] = []  # noqa: RUF012
