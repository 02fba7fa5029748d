"""Inputs that several nodes declare alike, and their checks."""

from __future__ import annotations

from typing import Any, ClassVar

from .host import io

FaceLandmarksSocket = io.Custom("FACE_LANDMARKS")
LARGEST_SIZE = 8192
LARGEST_SEED = 0xFFFFFFFFFFFFFFFF
PICTURES, VIDEO = "pictures", "video"


def seed_input(tooltip: str) -> Any:
    """A seed, drawn anew after each run unless the user fixes it."""
    return io.Int.Input(
        "seed", default=0, min=0, max=LARGEST_SEED, control_after_generate=True, tooltip=tooltip
    )


def share_input(name: str, default: float, tooltip: str, advanced: bool = False) -> Any:
    """A number from 0 to 1."""
    options = {"advanced": True} if advanced else {}
    return number_input(name, default, (0.0, 1.0), 0.05, tooltip, **options)


def number_input(
    name: str, default: float, limits: tuple[float, float], step: float, tooltip: str, **more: Any
) -> Any:
    """A number between two limits."""
    low, high = limits
    return io.Float.Input(
        name, default=default, min=low, max=high, step=step, tooltip=tooltip, **more
    )


def strength_input(what: str) -> Any:
    """How much of a correction or an edit is applied."""
    tooltip = f"How much of the {what} is applied: 0 leaves the picture as it is."
    return share_input("strength", 1.0, tooltip)


def working_size_input(least: int, how: str) -> Any:
    """Side at which the networks work."""
    return io.Int.Input(
        "working_size",
        default=0,
        min=0,
        max=LARGEST_SIZE,
        step=32,
        advanced=True,
        tooltip=(
            f"Shorter side in pixels at which the networks see a larger picture; {how} 0 takes the "
            f"model's own (256 for the embedded model); from {least} on. Nothing is ever enlarged."
        ),
    )


def check_working_size(size: int | None, least: int) -> bool | str:
    """True, or what is wrong with a working size; None is one that another node will give."""
    if size is None or size == 0 or least <= size <= LARGEST_SIZE:
        return True
    return (
        f"working_size is {size}; expected 0 (the model's own) or {least} to {LARGEST_SIZE} pixels"
    )


def read_working_size(size: int, least: int) -> Any:
    """The nodes' working size as the pipelines take it; 0 is the model's own.

    Raises:
        ValueError: a size that is too small or too large.
    """
    fits = check_working_size(size, least)
    if isinstance(fits, str):
        raise ValueError(fits)
    return size or "config"


class SizedNode(io.ComfyNode):
    """A node with a working size, at which its networks work."""

    least: ClassVar[int]  # pixels

    @classmethod
    def validate_inputs(cls, working_size: int | None = None) -> bool | str:
        """A size that is not 0 and below the least is too small for the networks."""
        return check_working_size(working_size, cls.least)


def mask_input(tooltip: str, name: str = "mask") -> Any:
    """A mask that may be left unconnected."""
    return io.Mask.Input(name, optional=True, tooltip=tooltip)


def face_inputs(boxes: str, landmarks: str) -> list[Any]:
    """Where the faces of whole photos are; the arguments are the tooltips."""
    return [
        io.BoundingBox.Input(
            "boxes", optional=True, socketless=False, force_input=True, tooltip=boxes
        ),
        FaceLandmarksSocket.Input("landmarks", optional=True, tooltip=landmarks),
    ]


def steps_input() -> Any:
    """Denoising steps."""
    return io.Int.Input(
        "steps",
        default=1,
        min=1,
        max=50,
        tooltip="Denoising steps of each expert: one is enough with the embedded model, more cost "
        "as many times the time.",
    )


def samples_input() -> Any:
    """Estimates to average."""
    return io.Int.Input(
        "samples",
        default=1,
        min=1,
        max=16,
        advanced=True,
        tooltip="More than 1: uncertainty shows the error to be expected, from as many draws of "
        "what is unknown.",
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
