"""Face folders: square aligned crops held as bytes in memory, with their face-mesh points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ...pipelines.photos.files import open_picture
from ..settings import Settings, setting

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
MESH_POINTS = 478


@dataclass(frozen=True, kw_only=True)
class FacesConfig(Settings):
    """How a folder of faces is read."""

    size: int = setting(256, "side of the faces in pixels", least=32)
    limit: int = setting(0, "faces at most, evenly over the names; 0 = all", least=0)


@dataclass(frozen=True)
class FaceSet:
    """Faces of one size, as bytes: four times smaller than floats, and moved to a device at once.

    Attributes:
        images: N 3 S S uint8, RGB.
        landmarks: N 478 2 float32, (x, y) as fractions of width and height, or None.
        names: the N file names, in the order of `images`.
    """

    images: Tensor
    landmarks: Tensor | None
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device | str) -> FaceSet:
        """The same faces with both tensors on `device`."""
        landmarks = None if self.landmarks is None else self.landmarks.to(device)
        return FaceSet(self.images.to(device), landmarks, self.names)

    def select(self, indices: Sequence[int]) -> FaceSet:
        """The faces at `indices`, in that order."""
        picked = torch.as_tensor(indices, dtype=torch.long, device=self.images.device)
        landmarks = None if self.landmarks is None else self.landmarks[picked]
        return FaceSet(self.images[picked], landmarks, tuple(self.names[i] for i in indices))

    def batches(self, batch_size: int) -> Iterator[FaceSet]:
        """Consecutive groups of at most `batch_size` faces; the last may be smaller."""
        for start in range(0, len(self), batch_size):
            yield self.select(range(start, min(start + batch_size, len(self))))

    def pixels(self) -> Tensor:
        """The images as B 3 S S float32 in [-1, 1]."""
        return to_signed(self.images)


def to_signed(images: Tensor) -> Tensor:
    """Bytes 0..255 to float32 in [-1, 1]."""
    return images.to(torch.float32) / 127.5 - 1.0


def to_bytes(images: Tensor) -> Tensor:
    """[-1, 1] to the nearest of the bytes 0..255."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def list_images(folder: Path | str) -> list[Path]:
    """The image files directly inside `folder`, sorted by name.

    Raises:
        ValueError: if it is no folder or holds no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: name a folder of images.")
    paths = sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES
    )
    if not paths:
        raise ValueError(f"{folder} holds no image; expected {', '.join(IMAGE_SUFFIXES)} files.")
    return paths


def open_rgb(path: Path) -> Image.Image:
    """The picture in `path`, upright, as RGB (an alpha channel is dropped).

    Raises:
        ValueError: if the file cannot be read as an image.
    """
    try:
        with open_picture(path) as picture:
            return ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(
            f"{path} cannot be read as an image: {error}; mend or remove it."
        ) from error


def spread(total: int, limit: int | None = None) -> list[int]:
    """At most `limit` of the numbers below `total`, spread evenly; None or 0 = all."""
    count = min(limit or total, total)
    return [turn * total // count for turn in range(count)]


def load_faces(folder: Path | str, size: int = 256, limit: int | None = None) -> FaceSet:
    """Read a folder of square face crops, sorted by name, resized to `size` x `size`.

    Pictures of another size are resized by Pillow's LANCZOS, which averages over the area when it
    reduces. Landmarks are taken from `landmarks_<folder name>.npz` beside the folder or from
    `landmarks.npz` inside it: arrays `names` (n file names) and `points` (n 478 2, pixels of each
    file).

    Args:
        folder: folder of images; subfolders are not entered.
        size: side in pixels.
        limit: how many faces at most, spread evenly over the sorted names; None means all.

    Raises:
        ValueError: for a folder without images, an unreadable or non-square file, or landmarks
            that do not fit the folder.
    """
    if size < 1 or (limit is not None and limit < 1):
        raise ValueError(f"size and limit must be at least 1, got size={size}, limit={limit}.")
    paths = list_images(folder)
    paths = [paths[place] for place in spread(len(paths), limit)]

    images = torch.empty(len(paths), 3, size, size, dtype=torch.uint8)
    sides = []
    for index, path in enumerate(paths):
        image, side = _load_square(path, size)
        images[index] = image
        sides.append(side)

    names = tuple(path.name for path in paths)
    return FaceSet(images, load_landmarks(Path(folder), names, sides), names)


def _load_square(path: Path, size: int) -> tuple[Tensor, int]:
    """One picture as 3 S S uint8, and the side of its file in pixels."""
    picture = open_rgb(path)
    width, height = picture.size
    if width != height:
        raise ValueError(
            f"{path} is {width} x {height} pixels; face crops must be square: crop or align it."
        )
    if width != size:
        picture = picture.resize((size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1), width


def load_landmarks(folder: Path, names: tuple[str, ...], sides: list[int]) -> Tensor | None:
    """N 478 2 points as fractions of the sides, or None when the folder has no landmark file.

    Args:
        folder: of the images.
        names: N file names.
        sides: N sides in pixels; ones give points in pixels.

    Raises:
        ValueError: landmarks that do not fit the folder.
    """
    folder = folder.resolve()
    for path in (folder.parent / f"landmarks_{folder.name}.npz", folder / "landmarks.npz"):
        if path.is_file():
            break
    else:
        return None

    with np.load(path, allow_pickle=False) as file:
        if missing := {"names", "points"} - set(file.files):
            raise ValueError(f"{path} lacks the arrays {sorted(missing)}; it has {file.files}.")
        rows = {str(name): row for row, name in enumerate(file["names"])}
        points = file["points"]
    if points.shape != (len(rows), MESH_POINTS, 2):
        raise ValueError(
            f"{path}: points must be {len(rows)} x {MESH_POINTS} x 2 (one face mesh per distinct "
            f"name), got {' x '.join(map(str, points.shape))}."
        )
    if absent := [name for name in names if name not in rows]:
        raise ValueError(
            f"{path} has no landmarks for {len(absent)} of {len(names)} images, the first is "
            f"{absent[0]}: add them, or move the landmark file away to do without."
        )
    picked = points[[rows[name] for name in names]].astype(np.float32)
    return torch.from_numpy(picked / np.array(sides, dtype=np.float32)[:, None, None])
