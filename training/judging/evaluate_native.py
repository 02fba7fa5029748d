"""Evaluation as the world is: photos of real size, retouched by an app, sent, cropped, restored.

Each photo is looked at once: the experts' answers are computed once and joined for every choice of
operations, so that one pass tells what comes of operations given, of each one alone, and of those
that the router finds.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from ...pipelines.mofrr.composing import compose
from ...pipelines.mofrr.direct import answer_at_once, answers_at_once
from ...pipelines.mofrr.experts import Task
from ...pipelines.mofrr.routing import Routing
from ...pipelines.photos.arrays import to_working_size
from ...pipelines.simulate.journey import Journey, Save, travel
from ..data.faces import to_bytes
from ..data.native_capture import NativeFaces
from .identity import DriftMeter, FaceEmbedder
from .metrics import psnr
from .native_photos import JudgedPhoto
from .native_world import Choice, Photo, Progress, World, photos_of_all, saved

PSNR_CAP = 100.0
"""Stands in for the infinite PSNR in dB of photos that are equal to the bit."""
DRIFTING = ("face_slimming", "eye_enlarging")
"""Conditions on which identity is measured."""
EMBEDDED_AT = 512
"""Shorter side in pixels to which larger photos are reduced for that."""


class Judge:
    """A pipeline that says what it would make of a photo for every choice of operations.

    Args:
        pipe: a MoFRRPipeline with a router.
        embedder: measures how far faces drift from their people; None: not measured.

    Raises:
        ValueError: it has no router, or its experts do not all answer at once.
    """

    def __init__(self, pipe: Any, embedder: FaceEmbedder | None = None) -> None:
        self.pipe, self.operations, self.embedder = pipe, tuple(pipe.operations), embedder
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
        routing = self.pipe.route(image)
        judged = self._judged(photo, face, split, routing)
        choices = {(), *((n,) for n in self.operations), judged.applied}
        choices.add(found := judged.found(self.thresholds))
        if all_choices:
            choices |= set(subsets(self.operations))
        images = self._undone(image, routing, sorted(choices))
        target = photo.target.to(image)
        keyed = {judged.key(choice): decibels(each, target) for choice, each in images.items()}
        distances: dict[str, float] = {}
        if self.embedder is not None and photo.condition in DRIFTING:
            shown = {"retouched": image, "given": images[judged.applied], "router": images[found]}
            distances = drifts(self.embedder, target, shown)
        return replace(judged, decibels=keyed, distances=distances)

    def _judged(self, photo: Photo, face: str, split: str, routing: Routing) -> JudgedPhoto:
        """All but what comes of undoing operations."""
        estimate, count = routing.estimate, len(self.operations)
        told = [True] * count if estimate.told is None else estimate.told[0].tolist()
        quality = None if estimate.quality is None else estimate.quality[0].item()
        expected = estimate.degrees if estimate.expected is None else estimate.expected
        return JudgedPhoto(
            photo.condition,
            split,
            face,
            photo.native,
            photo.image.shape[-1],
            photo.quality,
            {name: round(value, 4) for name, value in photo.effects.items()},
            self._named(routing.probabilities[0]),
            self._named(expected[0]),
            {},
            None if quality is None or math.isnan(quality) else round(quality),
            tuple(name for name, tells in zip(self.operations, told, strict=True) if not tells),
            {name: self._probabilities(form) for name, form in other_forms(photo.image).items()},
        )

    def _probabilities(self, image: Tensor) -> dict[str, float]:
        return self._named(self.pipe.route(image.to(self.pipe.device)).probabilities[0])

    def _named(self, values: Tensor) -> dict[str, float]:
        return {n: round(v, 6) for n, v in zip(self.operations, values.tolist(), strict=True)}

    def _undone(
        self, image: Tensor, routing: Routing, choices: Collection[Choice]
    ) -> dict[Choice, Tensor]:
        """The photo for each choice of operations, in 8 bits: the experts answer once."""
        count = len(self.operations)
        active = torch.ones(1, count, dtype=torch.bool)
        latents = image.new_zeros(1, count, 3, 1, 1)
        task = Task(image, active, routing.estimate.degrees, latents, routing.sight)
        edits = answer_at_once(self.experts, task)
        applied = {self.operations[i]: edit.applied(image, 1.0) for i, edit in edits.items()}
        return {
            choice: saved(image + compose(image, {name: applied[name] for name in choice}))
            for choice in choices
        }


def other_forms(image: Tensor) -> dict[str, Tensor]:
    """The same photo 1 3 H W in [-1, 1] saved once more, and made smaller."""
    side = round(0.8 * image.shape[-1])
    return {
        "JPEG 90": travel(image, [Journey((Save(quality=90),))]),
        "resized by 0.8": travel(image, [Journey((Save(side=side),))]),
    }


def drifts(embedder: FaceEmbedder, target: Tensor, shown: Mapping[str, Tensor]) -> dict[str, float]:
    """Distances of face embeddings from the true photo; none where no face is found in it.

    Args:
        embedder: finds and embeds faces.
        target: 1 3 H W in [-1, 1].
        shown: photos of the same size, by name.
    """

    def small(photo: Tensor) -> Tensor:
        return to_bytes(to_working_size(photo, EMBEDDED_AT))[0]

    meter = DriftMeter(embedder, small(target)[None])
    found = {name: meter.drift(0, small(photo)) for name, photo in shown.items()}
    return {name: round(value, 4) for name, value in found.items() if value is not None}


def decibels(image: Tensor, target: Tensor) -> float:
    """PSNR of a photo 1 3 H W in [-1, 1], saved in 8 bits."""
    return round(min(float(psnr(saved(image), target)[0]), PSNR_CAP), 4)


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
    embedder: FaceEmbedder | None = None,
) -> Iterator[JudgedPhoto]:
    """Judges a pipeline on every face, in every condition, for every split.

    Args:
        pipe: a MoFRRPipeline with a router and experts that answer at once.
        faces: whom the photos show; people that training has not seen.
        world: how photos are made.
        limit: how many faces at most, spread evenly.
        all_choices: whether every set of operations is undone (see `Judge`).
        progress: called with faces done and faces in all.
        embedder: measures identity, see `Judge`.

    Raises:
        ValueError: the pipeline is of another kind.
    """
    world = world or World()
    judged = Judge(pipe, embedder)
    for split, face, photo in photos_of_all(faces, world, judged.operations, limit, progress):
        yield judged(photo, face, split, all_choices)
