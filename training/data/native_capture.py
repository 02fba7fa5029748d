"""From a stored face to what an analyst gets: taken, retouched by an app, sent and cropped.

Pools and evaluation share it: what a photo goes through before and after the app.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...pipelines.simulate.byproducts import phone_camera
from ...pipelines.simulate.capture import Framing, sample_framing, shoot
from ...pipelines.simulate.focus import out_of_focus, sample_focus
from ...pipelines.simulate.journey import Journey, sample_journey, travel
from ...pipelines.simulate.landmarks import FaceRegions
from .faces import list_images, load_landmarks, open_rgb

MARGIN = 1.12
"""A face may be a little larger in the photo than it is stored."""
FOCUSED = 0.4
"""Share of the photos that are out of focus around the face."""
SMALLEST = 160
"""Side in pixels to which smaller faces are enlarged."""


class Face(NamedTuple):
    """A face crop.

    Attributes:
        pixels: 3 S S uint8.
        points: 478 2, mesh points in shares of the side.
        name: of its file.
    """

    pixels: Tensor
    points: Tensor
    name: str


@dataclass(frozen=True)
class NativeFaces:
    """Faces of one or more folders, read at their own size as they are drawn.

    Attributes:
        files: all of them.
        points: N 478 2, mesh points in pixels of each file.
        shares: N, how often each is drawn; they add up to one.
    """

    files: tuple[Path, ...]
    points: Tensor
    shares: np.ndarray

    def __len__(self) -> int:
        return len(self.files)

    def read(self, number: int) -> Face:
        """One face.

        Raises:
            ValueError: the file cannot be read, or is not square.
        """
        path = self.files[number]
        picture = np.array(open_rgb(path))
        if picture.shape[0] != picture.shape[1]:
            raise ValueError(f"{path} is not square: crop or align it.")
        pixels = torch.from_numpy(picture).permute(2, 0, 1).contiguous()
        return Face(pixels, self.points[number] / pixels.shape[-1], path.name)

    def draw(self, rng: np.random.Generator) -> int:
        """The number of one, by its share."""
        return int(rng.choice(len(self), p=self.shares))


def open_faces(root: Path, sources: Sequence[str] = (), without: Sequence[str] = ()) -> NativeFaces:
    """Faces by source.

    Args:
        root: the folder of faces, or the folder of those folders.
        sources: `folder`, `folder/pattern`, with `:share` behind it when they are not drawn
            alike often; none = the files in `root`.
        without: patterns of names that are left out.

    Raises:
        ValueError: a source that holds no face, without landmarks, or with a share that is none.
    """
    files, points, shares = [], [], []
    for source in sources or ("",):
        place, _, share = source.partition(":")
        folder, _, pattern = place.partition("/")
        found = [
            path
            for path in list_images(root / folder)
            if fnmatch(path.name, pattern or "*")
            and not any(fnmatch(path.name, w) for w in without)
        ]
        if not found:
            raise ValueError(f"{root / place} holds no face; name folders or folder/pattern")
        files += found
        points.append(_mesh(root / folder, found))
        shares.append(np.full(len(found), _share(source, share) / len(found)))
    joined = np.concatenate(shares)
    return NativeFaces(tuple(files), torch.cat(points), joined / joined.sum())


def _share(source: str, text: str) -> float:
    try:
        share = float(text or 1)
    except ValueError:
        share = 0.0
    if not 0 < share < float("inf"):
        raise ValueError(f"source {source!r}: expected folder:share with a share above 0")
    return share


def _mesh(folder: Path, files: Sequence[Path]) -> Tensor:
    names = tuple(path.name for path in files)
    points = load_landmarks(folder, names, [1] * len(names))
    if points is None:
        raise ValueError(f"{folder} has no landmarks; photos at their own size need them")
    return points


def native_side(rng: np.random.Generator, stored: int, longest: int = 1024) -> int:
    """How large the face is in the photo: from 200 pixels to a little above what is stored."""
    most = max(min(longest, stored * MARGIN), 200)
    return round(float(np.exp(rng.uniform(np.log(200), np.log(most)))))


def largest_side(face: Face) -> int:
    """The side up to which a stored face may be shown."""
    return max(SMALLEST, round(face.pixels.shape[-1] * MARGIN))


def take(rng: np.random.Generator, face: Face, side: int) -> tuple[Tensor, Tensor]:
    """The photo before any app: framed, taken by some camera or phone, half of them saved once.

    Returns:
        1 3 side side in [-1, 1] on whole levels, and 1 478 2 mesh points in shares of the side.
    """
    framing = sample_framing(rng, side)
    photo = framing.image(face.pixels[None].float() / 127.5 - 1)
    points = framing.points(face.points)[None]
    if rng.random() < FOCUSED:
        photo = out_of_focus(photo, points[0], sample_focus(rng), rng)
    photo = shoot(photo, rng)
    if rng.random() < 0.3:
        photo = _through_phone(rng, photo, points)
    photo = (photo * 127.5 + 127.5).round().div_(127.5).sub_(1)
    if rng.random() < 0.5:
        first = Journey(sample_journey(rng, side).saves[:1])
        photo = travel(photo, [first])
    return photo, points


def _through_phone(rng: np.random.Generator, photo: Tensor, points: Tensor) -> Tensor:
    """The photo as a phone's own processing leaves it."""
    side = photo.shape[-1]
    amounts, variations = (torch.as_tensor(rng.random(n), dtype=photo.dtype) for n in (1, 4))
    face = FaceRegions(points, side, side)
    return phone_camera(photo, amounts, variations[None], face)


def send(
    rng: np.random.Generator, images: Tensor, side: int, journeys: bool = True
) -> tuple[Tensor, int]:
    """All versions on one journey; in a third of the cases each with its own JPEG qualities.

    Args:
        rng: source of all randomness.
        images: V 3 H W in [-1, 1].
        side: the side that journeys are drawn for.
        journeys: whether they travel at all.

    Returns:
        V 3 h w, and the last JPEG quality, 0 for none.
    """
    if not journeys:
        return travel(images, [Journey()] * len(images)), 0
    journey = sample_journey(rng, side)
    changes = np.zeros(len(images), int)
    if rng.random() < 0.33:
        changes = rng.integers(-12, 13, size=len(images))
    sent = travel(images, [journey.recompressed(int(change)) for change in changes])
    return sent, (journey.saves[-1].quality if journey.saves else None) or 0


def crop(
    rng: np.random.Generator, images: Tensor, points: Tensor
) -> tuple[Tensor, Tensor, Framing]:
    """As a detector crops: by whole pixels, or (in a third of the cases) turned and resampled.

    Args:
        rng: source of all randomness.
        images: V 3 H H in [-1, 1].
        points: ... 2, shares of the side.

    Returns:
        V 3 h h, the points in its frame, and the framing between the two.
    """
    side = images.shape[-1]
    if rng.random() < 0.33:
        size = max(160, round(side * float(rng.uniform(0.75, 1.1))))
        turn, zoom = float(rng.normal(0, 0.03)), float(rng.uniform(0.93, 1.0))
        framing = Framing(size, zoom, turn)
        images = (framing.image(images) * 127.5).round() / 127.5
        return images, framing.points(points), framing
    left, top, right, bottom = (int(n) for n in rng.integers(0, max(1, side // 20), size=4))
    left = min(left, top + 2)
    size = side - max(left + right, top + bottom)
    images = images[..., top : top + size, left : left + size].contiguous()
    middle = ((left + size / 2) / side * 2 - 1, (top + size / 2) / side * 2 - 1)
    framing = Framing(size, size / side, 0.0, (middle[0] / 2, middle[1] / 2))
    return images, framing.points(points), framing
