"""Finding faces and their five points with dlib, which comes with the `identity` extra.

Its model files are loaded by path: the package that carries them asks for pkg_resources when it is
imported. Its 68-point model, trained on non-commercial data, is never loaded.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .faces import FIVE, Alignment, align_points

POINTS_FILE = "shape_predictor_5_face_landmarks.dat"
ADVICE = "install the `identity` extra: pip install 'frr[identity]'."


def model_file(name: str) -> Path:
    """The path of one of the extra's model files.

    Raises:
        ImportError: when the extra is not installed.
    """
    found = importlib.util.find_spec("face_recognition_models")
    if found is None or not found.submodule_search_locations:
        raise ImportError(f"face_recognition_models is not installed; {ADVICE}")
    return Path(found.submodule_search_locations[0]) / "models" / name


def import_dlib() -> Any:
    """The dlib module; ImportError says what to install."""
    try:
        return importlib.import_module("dlib")
    except ImportError as error:
        raise ImportError(f"dlib is not installed; {ADVICE}") from error


class FaceDetector:
    """Finds upright faces and aligns a crop to each.

    Attributes:
        boxes: dlib's detector, which finds squares.

    Args:
        upsample: how often the photo is doubled before the search; 1 finds faces from 40 px.
        threshold: how sure dlib has to be; 0 is its own default, at which patterns pass for faces.

    Raises:
        ImportError: when the `identity` extra is not installed.
    """

    def __init__(self, upsample: int = 1, threshold: float = 0.3) -> None:
        points_file = model_file(POINTS_FILE)
        dlib = import_dlib()
        self._upsample, self._threshold = upsample, threshold
        self.boxes = dlib.get_frontal_face_detector()
        self._points = dlib.shape_predictor(str(points_file))

    def find(self, photo: Tensor, margin: float = 1.0) -> list[Alignment]:
        """Align a crop to every face of a photo 3 H W in [0, 1], the largest face first."""
        levels = (photo.float().clamp(0, 1) * 255).round().byte()
        array = np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy())
        boxes, *_ = self.boxes.run(array, self._upsample, self._threshold)
        ordered = sorted(boxes, key=lambda box: -box.area())
        return [self._align(array, box, margin) for box in ordered]

    def _align(self, array: np.ndarray, box: Any, margin: float) -> Alignment:
        found = self._points(array, box)
        points = torch.tensor([(point.x, point.y) for point in found.parts()])
        return align_points(points, FIVE, margin)
