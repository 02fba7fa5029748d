"""The host's pictures and face boxes, and what pipelines/ takes: B H W C there, B C H W here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..pipelines.photos.faces import Alignment, FaceBox, align_box, align_mesh
from . import host


class Pictures(NamedTuple):
    """A batch of the host's pictures, taken apart."""

    pixels: Tensor  # B 3 H W float32 in [0, 1]
    alpha: Tensor | None  # B 1 H W


def read_image(image: Tensor, name: str = "image") -> Pictures:
    """The host's IMAGE, B H W C, on the CPU; values outside [0, 1] are clamped, as in its savers.

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise ValueError(
            f"{name} has the shape {tuple(image.shape)}; expected batch, height, width and 1, 3 or "
            "4 channels, none of them 0"
        )
    planes = image.detach().movedim(-1, 1).to("cpu", torch.float32)
    if not bool(planes.isfinite().all()):
        raise ValueError(f"{name} holds NaN or infinite values; expected colours in 0..1")
    planes = planes.clamp(0, 1)
    colours = planes[:, :3] if planes.shape[1] > 1 else planes.expand(-1, 3, -1, -1)
    return Pictures(colours.contiguous(), planes[:, 3:] if planes.shape[1] == 4 else None)


def write_image(pixels: Tensor, alpha: Tensor | None = None) -> Tensor:
    """B 3 H W in [0, 1], and the alpha it came with -> the host's IMAGE."""
    planes = pixels if alpha is None else torch.cat((pixels, alpha.to(pixels)), dim=1)
    return planes.movedim(1, -1).to(host.output_device(), host.output_dtype()).contiguous()


def read_mask(mask: Tensor | None, like: Tensor, name: str = "mask") -> Tensor | None:
    """The host's MASK, B H W or H W, as B 1 H W for pictures B C H W.

    Raises:
        ValueError: a mask of another size, or another number of masks than one or one a picture.
    """
    if mask is None:
        return None
    planes = mask[None] if mask.ndim == 2 else mask
    if planes.ndim == 4 and 1 in (planes.shape[1], planes.shape[-1]):
        planes = planes.squeeze(1) if planes.shape[1] == 1 else planes.squeeze(-1)
    fits = planes.ndim == 3 and planes.shape[-2:] == like.shape[-2:]
    if not fits or len(planes) not in (1, len(like)):
        unpainted = " (Load Image gives an empty one of 64 x 64 where none was painted)"
        raise ValueError(
            f"{name} has the shape {tuple(mask.shape)} for {len(like)} picture(s) of "
            f"{like.shape[-1]} x {like.shape[-2]}; expected one mask, or one for each picture, of "
            f"the pictures' size: resize it first{'' if mask.any() else unpainted}"
        )
    if not bool(planes.isfinite().all()):
        raise ValueError(f"{name} holds NaN or infinite values; expected numbers in 0..1")
    return planes[:, None].to(like).clamp(0, 1).expand(len(like), -1, -1, -1)


def write_mask(planes: Tensor) -> Tensor:
    """B 1 H W in [0, 1] -> the host's MASK."""
    return planes[:, 0].to(host.output_device(), torch.float32).contiguous()


def blend(pixels: Tensor, restored: Tensor, mask: Tensor | None) -> Tensor:
    """`restored` where the mask is 1, `pixels` to the bit where it is 0, a mixture between."""
    if mask is None:
        return restored
    mixed = torch.where(mask < 1, pixels + mask * (restored - pixels), restored)
    return torch.where(mask > 0, mixed, pixels)


def read_boxes(boxes: Any, batch: int, margin: float) -> list[list[Alignment]]:
    """The crops around the host's BOUNDING_BOX; see `read_rectangles`."""
    return [[align_box(box, margin) for box in frame] for frame in read_rectangles(boxes, batch)]


def read_rectangles(boxes: Any, batch: int) -> list[list[FaceBox]]:
    """The host's BOUNDING_BOX: one box, a list for all pictures, or a list for each picture.

    Raises:
        ValueError: something else, or lists for another number of pictures.
    """
    if isinstance(boxes, Mapping):
        boxes = [boxes]
    if not isinstance(boxes, Sequence):
        raise ValueError(
            f"boxes is a {type(boxes).__name__}; expected the output of a detector or a bounding "
            "box node"
        )
    if all(isinstance(box, Mapping) for box in boxes):
        boxes = [boxes] * batch
    if len(boxes) != batch:
        raise ValueError(
            f"boxes for {len(boxes)} picture(s) came with {batch} picture(s); run the detector on "
            "the same batch"
        )
    return [[_read_box(box) for box in frame] for frame in boxes]


def _read_box(box: Any) -> FaceBox:
    try:
        return FaceBox(*(float(box[key]) for key in ("x", "y", "width", "height")))
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"a box {box!r} came; expected x, y, width and height in pixels"
        ) from error


def read_landmarks(landmarks: Any, batch: int, margin: float) -> list[list[Alignment]]:
    """The host's FACE_LANDMARKS (its MediaPipe nodes' output).

    Raises:
        ValueError: something else, or landmarks of another number of pictures.
    """
    frames = landmarks.get("frames") if isinstance(landmarks, Mapping) else None
    if frames is None or any("landmarks_xy" not in face for frame in frames for face in frame):
        raise ValueError("landmarks are not those of the host's MediaPipe face landmarker")
    if len(frames) != batch:
        raise ValueError(
            f"landmarks of {len(frames)} picture(s) came with {batch} picture(s); run the "
            "landmarker on the same batch"
        )
    return [
        [align_mesh(torch.as_tensor(face["landmarks_xy"]).float(), margin) for face in frame]
        for frame in frames
    ]
