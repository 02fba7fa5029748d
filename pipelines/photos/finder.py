"""Finding faces without a model file: dlib's detector of histograms (Dalal and Triggs 2005).

It is part of dlib's wheel, which needs no other package. With the `identity` extra five points of
each face turn its crop upright as well; see `detector.py`.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .detector import FaceDetector, import_dlib
from .faces import Alignment

LONGEST, GLANCE = 1280, 384  # pixels: larger photos are searched reduced; for a glance
SMALLEST = 256  # pixels: smaller ones enlarged
SURE, LENIENT = 0.3, -0.3  # dlib's scores: to cut a face out; to say that there may be one
# Where FFHQ's crop lies around dlib's square, in sides of the square: its centre's way to the right
# and down, and its side. Medians over 120 portraits of real people with landmarks.
RIGHT, DOWN, WIDE = -0.028, -0.145, 1.739


class FaceFinder:
    """Finds upright faces, turned as well where five points can be found.

    Attributes:
        name: how faces are found, for reports.

    Raises:
        ImportError: when dlib is not installed.
    """

    def __init__(self) -> None:
        dlib = import_dlib()
        self._points: FaceDetector | None = None
        try:
            self._points = FaceDetector(upsample=1, threshold=SURE)
        except ImportError:  # crops are not turned
            self._boxes, self.name = dlib.get_frontal_face_detector(), "dlib"
        else:
            self._boxes, self.name = self._points.boxes, "dlib with five points"

    def find(self, photo: Tensor, margin: float = 1.0) -> list[Alignment]:
        """Align a crop to every face of a photo 3 H W in [0, 1], the largest face first.

        Sides of crops are enlarged by `margin`. Faces from about 1/30 of the longer side on, or
        from 40 pixels in small photos, are found.
        """
        small, scale = _searched(photo, LONGEST)
        if self._points is not None:
            found = self._points.find(small, margin)
        else:
            boxes, *_ = self._boxes.run(_levels(small), 1, SURE)
            found = [_framed(box.left(), box.top(), box.width(), margin) for box in boxes]
        ordered = sorted(found, key=lambda face: -face.side)
        return [Alignment(*(number * scale for number in face)) for face in ordered]

    def sees(self, photo: Tensor) -> bool:
        """Whether a photo 3 H W in [0, 1] may show a face that fills a good part of it."""
        small, _ = _searched(photo, GLANCE)
        rim = [side // 6 for side in small.shape[:0:-1] for _ in range(2)]
        padded = F.pad(small[None], rim, mode="replicate")[0]
        boxes, *_ = self._boxes.run(_levels(padded), 0, LENIENT)
        return len(boxes) > 0


def _framed(left: float, top: float, side: float, margin: float) -> Alignment:
    """The crop around a detector's square."""
    crop = WIDE * side * margin
    x, y = left + side * (0.5 + RIGHT), top + side * (0.5 + DOWN)
    return Alignment(x - crop / 2, y - crop / 2, crop, 0.0)


def _searched(photo: Tensor, longest: int) -> tuple[Tensor, float]:
    """A photo at a size that is searched, and how many of its own pixels one of that size is."""
    scale = max(photo.shape[-2:]) / longest
    if scale <= 1:
        scale = min(1.0, max(min(photo.shape[-2:]) / SMALLEST, 1 / 8))
    if scale == 1:
        return photo, 1.0
    size = [max(8, round(side / scale)) for side in photo.shape[-2:]]
    resized = F.interpolate(photo[None].float(), size, mode="bilinear", antialias=True)
    return resized[0].clamp(0, 1), scale


def _levels(photo: Tensor) -> np.ndarray:
    levels = (photo.float().clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())
