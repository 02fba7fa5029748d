"""The world that MoFRR is judged in: photos of real size, retouched by an app, sent, cropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...pipelines.simulate.session import perform, sample_session
from ..data.faces import spread
from ..data.native_capture import Face, NativeFaces, crop, largest_side, send, take
from .conditions import MIXED, UNTOUCHED, face_seed

SIDES = (300, 420, 512, 700, 1000)
Choice = tuple[str, ...]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class World:
    """How photos are made to be judged.

    Attributes:
        seed: fixes cameras, apps, journeys and crops, with each face's name.
        splits: families of algorithms, "seen" or "unseen".
        sides: native sides in pixels, which the faces go through in turn.
        journeys: whether files travel after retouching.
    """

    seed: int = 0
    splits: Sequence[str] = ("seen", "unseen")
    sides: Sequence[int] = SIDES
    journeys: bool = True

    def shown(self, faces: NativeFaces, limit: int | None = None) -> Iterator[tuple[Face, int]]:
        """Faces, at most `limit` of them, each with the side at which it is shown."""
        for turn, place in enumerate(spread(len(faces), limit)):
            face = faces.read(place)
            yield face, min(self.sides[turn % len(self.sides)], largest_side(face))


class Photo(NamedTuple):
    """A photo as an analyst gets it.

    Attributes:
        condition: "untouched", an operation, or "mixed".
        image: 1 3 H W in [-1, 1], on whole levels.
        target: the same without what operations did: 1 3 H W.
        effects: by operation its effect size, 0 = not applied.
        native: side in pixels when it was retouched.
        quality: last JPEG quality, 0 for none.
        points: 1 478 2, where the face was before it was retouched, in shares of the sides.
    """

    condition: str
    image: Tensor
    target: Tensor
    effects: Mapping[str, float]
    native: int
    quality: int
    points: Tensor | None = None


@torch.no_grad()
def photos_of(
    face: Face, side: int, split: str, world: World, operations: Sequence[str]
) -> Iterator[Photo]:
    """One face under all conditions: one camera, one app, one journey, one crop.

    Args:
        face: a face crop.
        side: native side in pixels.
        split: family of the app's algorithms.
        world: the rest of it.
        operations: each alone, then two or more of them mixed.
    """
    kept = tuple(
        np.random.default_rng(face_seed(world.seed, "world", split, face.name, part))
        for part in ("app", "journey", "crop")
    )
    photo, points = take(kept[0], face, side)
    session = sample_session(kept[0], operations, split=split)
    choices: dict[str, Choice] = {UNTOUCHED: (), **{name: (name,) for name in operations}}
    if len(operations) > 1:
        count = int(kept[0].integers(2, len(operations) + 1))
        choices[MIXED] = tuple(
            operations[int(i)] for i in kept[0].permutation(len(operations))[:count]
        )
    versions = perform(session, photo, points, list(choices.values()))
    images, quality = send(kept[1], versions.image, side, world.journeys)
    images, points, _ = crop(kept[2], images, points)
    images = saved(images)
    names = list(session.steps)
    for row, condition in enumerate(choices):
        effects = {n: float(versions.effects[row, names.index(n)]) for n in operations}
        yield Photo(condition, images[row, None], images[:1], effects, side, quality, points)


def photos_of_all(
    faces: NativeFaces,
    world: World,
    operations: Sequence[str],
    limit: int | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[str, str, Photo]]:
    """Every face under all conditions, for every split: split, name of the face, photo.

    Args:
        faces: whom the photos show.
        world: how photos are made.
        operations: each alone, then two or more of them mixed.
        limit: how many faces at most, spread evenly.
        progress: called with faces done and faces in all.
    """
    total = len(spread(len(faces), limit)) * len(world.splits)
    shown = ((split, *each) for split in world.splits for each in world.shown(faces, limit))
    for done, (split, face, side) in enumerate(shown, 1):
        for photo in photos_of(face, side, split, world, operations):
            yield split, face.name, photo
        if progress is not None:
            progress(done, total)


def saved(image: Tensor) -> Tensor:
    """A photo in [-1, 1], clamped, on whole levels of 8 bits."""
    return (image.clamp(-1, 1) * 127.5 + 127.5).round() / 127.5 - 1
