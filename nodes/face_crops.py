"""The faces of whole photos as one batch of crops, and what comes of them back in the photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..pipelines.photos.faces import Alignment, crop, crop_side, paste
from .photos import read_boxes, read_landmarks

Frames = Sequence[Sequence[Alignment]]  # for each picture its faces


class Faces(NamedTuple):
    """Crops of faces; what travels on an FRR_FACES socket."""

    frames: Frames
    crops: Tensor  # n C s s in [0, 1], picture after picture

    @property
    def pictures(self) -> list[int]:
        """Of which picture each crop is."""
        return [place for place, frame in enumerate(self.frames) for _ in frame]

    def places(self) -> list[tuple[str, str]]:
        """For each crop what to call its face, and where it is: x, y and the crop's side."""
        told = []
        for picture, frame in enumerate(self.frames, 1):
            which = f"picture {picture}, " if len(self.frames) > 1 else ""
            for number, face in enumerate(frame, 1):
                x, y = face.corners().mean(0).tolist()
                place = f"around {x:.0f}, {y:.0f}, {face.side:.0f} px"
                told.append((f"{which}face {number}", place))
        return told

    def inside(self, width: int, height: int) -> list[bool]:
        """Whether each face lies at least partly inside pictures of this size."""
        corners = [face.corners() for frame in self.frames for face in frame]
        limit = torch.tensor([width, height])
        return [bool((c.amax(0) > 0).all() and (c.amin(0) < limit).all()) for c in corners]

    def paste(
        self, photos: Tensor, edited: Tensor, feather: float, match_colour: bool
    ) -> tuple[Tensor, Tensor]:
        """Bring the changes of n edited crops back into photos B C H W.

        Returns:
            The photos, and how much of the crops each pixel received, B 1 H W.
        """
        counts = [len(frame) for frame in self.frames]
        parts = zip(
            photos, self.frames, self.crops.split(counts), edited.split(counts), strict=True
        )
        pasted = [paste(*part, feather, match_colour) for part in parts]
        return torch.stack([photo for photo, _ in pasted]), torch.stack(
            [seen for _, seen in pasted]
        )

    def lay(self, planes: Tensor, photos: Tensor, feather: float) -> tuple[Tensor, Tensor]:
        """Put planes of the crops, n P s s in [0, 1], where the faces are; zeros elsewhere.

        Returns:
            B P H W like photos B C H W, and how much of the crops each pixel received, B 1 H W.
        """
        empty = photos.new_zeros(len(photos), planes.shape[1], *photos.shape[-2:])
        nothing = Faces(self.frames, torch.zeros_like(planes))
        return nothing.paste(empty, planes, feather, match_colour=False)


def cut_faces(photos: Tensor, frames: Frames, side: int = 0) -> Faces:
    """Cut the crops of all faces out of photos B C H W.

    Args:
        photos: the photos.
        frames: for each photo its faces.
        side: of the crops in pixels; 0 takes one that loses no detail of any face.
    """
    side = side or crop_side([face for frame in frames for face in frame])
    cut = [crop(photo, frame, side) for photo, frame in zip(photos, frames, strict=True)]
    return Faces(frames, torch.cat(cut))


def read_faces(boxes: Any, landmarks: Any, batch: int, margin: float = 1.0) -> Frames | None:
    """The faces that `face_inputs` name, for each picture; None where neither is connected.

    Raises:
        ValueError: both are connected, or one is not what it should be.
    """
    if boxes is not None and landmarks is not None:
        raise ValueError("boxes and landmarks are both connected; disconnect one of them")
    if landmarks is not None:
        return read_landmarks(landmarks, batch, margin)
    return None if boxes is None else read_boxes(boxes, batch, margin)
