"""How far a face drifts from its person: distances of 128-d face embeddings, for evaluation only.

The embedding (dlib's ResNet, CC0) and its 5-point aligner come with the `identity` extra; its
68-point model, trained on non-commercial data, is never loaded. dlib's authors call two photos the
same person below a distance of 0.6; read every number beside the baselines, never alone.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...pipelines.photos.detector import POINTS_FILE, import_dlib, model_file
from ..data.faces import list_images

EMBEDDING_FILE = "dlib_face_recognition_resnet_model_v1.dat"


class Baseline(NamedTuple):
    """Mean embedding distance between photos of a set.

    Attributes:
        same_person: over pairs of photos of one person; None when the set has no such pair.
        same_pairs: how many.
        different_person: over pairs of photos of two persons; None when there is no such pair.
        different_pairs: how many.
    """

    same_person: float | None
    same_pairs: int
    different_person: float | None
    different_pairs: int


class FaceEmbedder:
    """Finds a face and embeds it as a point in 128 dimensions (dlib).

    Raises:
        ImportError: when the `identity` extra is not installed.
    """

    def __init__(self) -> None:
        points, network = model_file(POINTS_FILE), model_file(EMBEDDING_FILE)
        dlib = import_dlib()
        self._detector = dlib.get_frontal_face_detector()
        self._aligner = dlib.shape_predictor(str(points))
        self._network = dlib.face_recognition_model_v1(str(network))

    def find(self, image: Tensor) -> Any | None:
        """The box of the largest face in a 3 H W uint8 RGB photo, or None."""
        boxes = list(self._detector(_as_array(image), 1))
        return max(boxes, key=lambda box: box.area()) if boxes else None

    def embed(self, image: Tensor, box: Any) -> NDArray[np.float64]:
        """128 numbers for the face inside `box` of a 3 H W uint8 RGB photo.

        Use the box found in the original for every version of a photo, so that the detector's
        jitter does not count as drift.
        """
        array = _as_array(image)
        points = self._aligner(array, box)
        return np.array(self._network.compute_face_descriptor(array, points))


class DriftMeter:
    """Distances between the originals of a set of faces and other versions of them.

    Args:
        embedder: finds and embeds faces.
        originals: N 3 H W uint8. Those in which no face is found are left out of every number.
    """

    def __init__(self, embedder: FaceEmbedder, originals: Tensor) -> None:
        self._embedder = embedder
        self._boxes = [embedder.find(image) for image in originals]
        self._embeddings = [
            None if box is None else embedder.embed(image, box)
            for image, box in zip(originals, self._boxes, strict=True)
        ]

    def drift(self, index: int, image: Tensor) -> float | None:
        """Distance of another version, 3 H W uint8, of the face at `index`; None without a face."""
        original = self._embeddings[index]
        if original is None:
            return None
        return distance(original, self._embedder.embed(image, self._boxes[index]))

    def baseline(self, persons: Sequence[str]) -> Baseline:
        """Distances between the originals themselves; `persons` says who each of the N shows."""
        pairs = zip(self._embeddings, persons, strict=True)
        found = [(embedding, who) for embedding, who in pairs if embedding is not None]
        if not found:
            return Baseline(None, 0, None, 0)
        embeddings, labels = zip(*found, strict=True)
        return baseline(np.stack(embeddings), labels)


def distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Euclidean distance of two embeddings."""
    return float(np.linalg.norm(a - b))


def baseline(embeddings: NDArray[np.float64], persons: Sequence[str]) -> Baseline:
    """Mean distances between all pairs of photos of one person and of two persons.

    Args:
        embeddings: n D, one row per photo.
        persons: n labels; photos with equal labels show one person.
    """
    first, second = np.triu_indices(len(embeddings), k=1)
    distances = np.linalg.norm(embeddings[first] - embeddings[second], axis=1)
    labels = np.asarray(persons)
    same = labels[first] == labels[second]
    return Baseline(
        float(distances[same].mean()) if same.any() else None,
        int(same.sum()),
        float(distances[~same].mean()) if (~same).any() else None,
        int((~same).sum()),
    )


def load_persons(folder: Path | str) -> Mapping[str, str] | None:
    """Who is on each photo, from the `manifest.csv` beside or inside a folder of faces.

    The manifest has the columns `file` (its last part is the photo's name, the part before it the
    folder's name, when there is one) and `identity`.

    Returns:
        File name -> identity for the photos of this folder, or None without a manifest.

    Raises:
        ValueError: when the manifest lacks a column or a photo.
    """
    folder = Path(folder).resolve()
    for path in (folder / "manifest.csv", folder.parent / "manifest.csv"):
        if path.is_file():
            break
    else:
        return None

    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if missing := {"file", "identity"} - set(reader.fieldnames or ()):
            raise ValueError(f"{path} lacks the columns {sorted(missing)}.")
        rows = [(Path(row["file"]), row["identity"]) for row in reader]
    persons = {file.name: who for file, who in rows if file.parent.name in ("", folder.name)}
    if absent := [photo.name for photo in list_images(folder) if photo.name not in persons]:
        raise ValueError(f"{path} lacks {len(absent)} photos of {folder}, first {absent[0]}.")
    return persons


def _as_array(image: Tensor) -> NDArray[np.uint8]:
    """3 H W to a contiguous H W 3 array."""
    return np.ascontiguousarray(image.permute(1, 2, 0).cpu().numpy())
