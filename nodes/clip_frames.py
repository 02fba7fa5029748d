"""Frames of a clip, read from the host's pictures and written to them a few at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..pipelines.photos.faces import Alignment, crop_side
from .face_crops import Faces, cut_faces
from .mofrr_inputs import written
from .photos import Pictures, read_image, read_mask


class HostFrames:
    """The host's pictures F H W C as F 3 H W in [0, 1], of which a slice is made when asked for.

    Args:
        image: the host's.
        mask: the host's; outside of it frames are to stay as they came.

    Raises:
        ValueError: pictures or a mask of another shape.
    """

    def __init__(self, image: Tensor, mask: Tensor | None = None) -> None:
        self._image, self._mask = image, mask
        first = read_image(image[:1]).pixels
        self.height, self.width = first.shape[-2:]
        if mask is not None and mask.ndim > 2 and len(mask) > 1 and len(mask) != len(image):
            read_mask(mask, first.expand(len(image), -1, -1, -1))  # says what is wrong with it
        read_mask(self.mask(slice(0, 1)), first)  # so does this, before the work

    def __len__(self) -> int:
        """F."""
        return len(self._image)

    def __getitem__(self, rows: slice) -> Tensor:
        """Some frames, n 3 H W."""
        return self.pictures(rows).pixels

    def pictures(self, rows: slice) -> Pictures:
        """Some frames with their alpha."""
        return read_image(self._image[rows])

    def mask(self, rows: slice) -> Tensor | None:
        """The host's mask of some frames."""
        mask = self._mask
        return mask if mask is None or mask.ndim <= 2 or len(mask) == 1 else mask[rows]

    def written(self, rows: slice, restored: Tensor, spread: Tensor | None) -> tuple[Tensor, ...]:
        """Image, difference and uncertainty of some restored frames n 3 H W, as the host's."""
        return written(self.pictures(rows), restored, spread, self.mask(rows))


class Person:
    """The face of one person as frames: crops of one size, for as long as it is seen.

    Args:
        frames: whole ones.
        track: of each whole frame the face's place; None before it is seen and after.
    """

    def __init__(self, frames: HostFrames, track: Sequence[Alignment | None]) -> None:
        seen = [place for place, face in enumerate(track) if face is not None]
        self._frames, self._track = frames, track
        self._start, self._stop = seen[0], seen[-1] + 1
        self.side = crop_side([face for face in track if face is not None])

    def __len__(self) -> int:
        """In how many frames it is."""
        return self._stop - self._start

    def __getitem__(self, rows: slice) -> Tensor:
        """Some of its crops, n 3 s s."""
        whole = slice(self._start + rows.start, self._start + rows.stop)
        return self.cut(self._frames[whole], whole).crops

    def cut(self, pixels: Tensor, rows: slice) -> Faces:
        """The crops of whole frames that are at hand; frames without the face have none."""
        faces = [[] if face is None else [face] for face in self._track[rows]]
        return cut_faces(pixels, faces, self.side)

    def rows(self, rows: slice) -> slice:
        """Which of its own frames whole ones are; empty where it is not seen."""
        start, stop = (
            min(max(end, self._start), self._stop) - self._start for end in (rows.start, rows.stop)
        )
        return slice(start, stop)

    @property
    def visible(self) -> bool:
        """Whether the face lies inside the picture at any time."""
        faces = Faces([[face] for face in self._track if face is not None], torch.empty(0))
        return any(faces.inside(self._frames.width, self._frames.height))


class Filled:
    """A clip as the host has it, filled a few frames at a time.

    Attributes:
        planes: image, difference and uncertainty; made with the first frames.
    """

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self.planes: tuple[Tensor, ...] = ()

    def put(self, rows: slice, parts: Sequence[Tensor]) -> None:
        """Some frames of each plane."""
        if not self.planes:
            self.planes = tuple(part.new_zeros(self._frames, *part.shape[1:]) for part in parts)
        for plane, part in zip(self.planes, parts, strict=True):
            plane[rows] = part
