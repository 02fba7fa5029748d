"""Evaluation as the world is: photos of real size, retouched by an app, sent, cropped, restored.

Each photo is looked at once: the experts' answers are computed once and joined for every choice of
operations, so that one pass tells what comes of operations given, of each one alone, and of those
that the router finds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...pipelines.mofrr.direct import answer_at_once, answers_at_once, compose
from ...pipelines.mofrr.experts import Task
from ...pipelines.photos.arrays import to_working_size
from ...pipelines.simulate.session import perform, sample_session
from ..data.native_capture import Face, NativeFaces, crop, largest_side, send, take
from .conditions import MIXED, UNTOUCHED, face_seed
from .metrics import psnr
from .native_photos import JudgedPhoto

PSNR_CAP = 100.0
"""Stands in for the infinite PSNR in dB of photos that are equal to the bit."""
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


class Photo(NamedTuple):
    """A photo as an analyst gets it.

    Attributes:
        condition: "untouched", an operation, or "mixed".
        image: 1 3 H W in [-1, 1], on whole levels.
        target: the same without what operations did: 1 3 H W.
        effects: by operation its effect size, 0 = not applied.
        native: side in pixels when it was retouched.
        quality: last JPEG quality, 0 for none.
    """

    condition: str
    image: Tensor
    target: Tensor
    effects: Mapping[str, float]
    native: int
    quality: int


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
    images, _, _ = crop(kept[2], images, points)
    images = (images.clamp(-1, 1) * 127.5 + 127.5).round() / 127.5 - 1
    names = list(session.steps)
    for row, condition in enumerate(choices):
        effects = {n: float(versions.effects[row, names.index(n)]) for n in operations}
        yield Photo(condition, images[row, None], images[:1], effects, side, quality)


class Judge:
    """A pipeline that says what it would make of a photo for every choice of operations.

    Args:
        pipe: a MoFRRPipeline with a router.

    Raises:
        ValueError: it has no router, or its experts do not all answer at once.
    """

    def __init__(self, pipe: Any) -> None:
        self.pipe, self.operations = pipe, tuple(pipe.operations)
        experts = {name: getattr(pipe, f"{name}_expert") for name in self.operations}
        if pipe.router is None or not all(map(answers_at_once, experts.values())):
            raise ValueError(
                "photos at their own size are judged with a router and experts that answer at "
                "once; this model has others: evaluate it without --world real"
            )
        self.experts = dict(enumerate(experts.values()))
        self.thresholds = dict(zip(self.operations, pipe.router.config.thresholds, strict=True))

    @torch.no_grad()
    def __call__(self, photo: Photo, face: str, split: str, all_choices: bool) -> JudgedPhoto:
        """The verdict, and the PSNR of each choice of operations.

        Args:
            photo: one.
            face: name of its file.
            split: family of its algorithms.
            all_choices: every set of operations, rather than each alone, those that were applied
                and those that are found.
        """
        image = photo.image.to(self.pipe.device)
        verdict = self.pipe.router(
            to_working_size(image, self.pipe.router.size_requirements.working)
        )
        probabilities, degrees = verdict.probabilities[0], verdict.degrees
        judged = JudgedPhoto(
            photo.condition,
            split,
            face,
            photo.native,
            photo.image.shape[-1],
            photo.quality,
            {name: round(value, 4) for name, value in photo.effects.items()},
            self._named(probabilities),
            self._named(degrees[0]),
            {},
        )
        choices = {(), *((n,) for n in self.operations), judged.applied}
        choices.add(judged.found(self.thresholds))
        if all_choices:
            choices |= set(subsets(self.operations))
        decibels = self._decibels(image, degrees, photo.target.to(image), sorted(choices))
        keyed = {judged.key(choice): value for choice, value in decibels.items()}
        return JudgedPhoto(**{**judged.__dict__, "decibels": keyed})

    def _named(self, values: Tensor) -> dict[str, float]:
        return {n: round(v, 6) for n, v in zip(self.operations, values.tolist(), strict=True)}

    def _decibels(
        self, image: Tensor, degrees: Tensor, target: Tensor, choices: Collection[Choice]
    ) -> dict[Choice, float]:
        """PSNR of each choice: the experts answer once."""
        if self.pipe.config.degree_source != "router":
            degrees = torch.full_like(degrees, torch.nan)
        count = len(self.operations)
        active = torch.ones(1, count, dtype=torch.bool)
        task = Task(image, active, degrees, image.new_zeros(1, count, 3, 1, 1))
        edits = answer_at_once(self.experts, task)
        applied = {self.operations[i]: edit.applied(image, 1.0) for i, edit in edits.items()}
        return {
            choice: decibels(image + compose(image, {n: applied[n] for n in choice}), target)
            for choice in choices
        }


def decibels(image: Tensor, target: Tensor) -> float:
    """PSNR of a photo 1 3 H W in [-1, 1], saved in 8 bits."""
    saved = (image.clamp(-1, 1) * 127.5 + 127.5).round() / 127.5 - 1
    return round(min(float(psnr(saved, target)[0]), PSNR_CAP), 4)


def subsets(operations: Sequence[str]) -> Iterator[Choice]:
    """All sets of operations, in their order."""
    for count in range(len(operations) + 1):
        yield from combinations(operations, count)


def judge(
    pipe: Any,
    faces: NativeFaces,
    world: World | None = None,
    *,
    limit: int | None = None,
    all_choices: bool = False,
    progress: Progress | None = None,
) -> Iterator[JudgedPhoto]:
    """Judges a pipeline on every face, in every condition, for every split.

    Args:
        pipe: a MoFRRPipeline with a router and experts that answer at once.
        faces: whom the photos show; people that training has not seen.
        world: how photos are made.
        limit: how many faces at most, spread evenly.
        all_choices: whether every set of operations is undone (see `Judge`).
        progress: called with faces done and faces in all.

    Raises:
        ValueError: the pipeline is of another kind.
    """
    world = world or World()
    judged = Judge(pipe)
    count = min(limit or len(faces), len(faces))
    numbers = [n * len(faces) // count for n in range(count)]
    total = count * len(world.splits)
    for done, (split, place) in enumerate(
        ((split, place) for split in world.splits for place in range(count)), 1
    ):
        face = faces.read(numbers[place])
        side = min(world.sides[place % len(world.sides)], largest_side(face))
        for photo in photos_of(face, side, split, world, judged.operations):
            yield judged(photo, face.name, split, all_choices)
        if progress is not None:
            progress(done, total)
