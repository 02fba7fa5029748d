"""Stages `warp` and `tone`: an expert's head on the coarse grid and its degree estimator.

Both see a photo on the grid of its traces only, so they train many times faster than the whole
expert, which is trained after them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...models.mofrr.expert import WaveFRRExpert
from ...models.retouching_traces import retouching_traces
from ...pipelines.simulate import bank
from ...pipelines.simulate.recipe import Recipe
from ..data.material import Material
from ..data.pools import Batches, PoolConfig, Simulate
from ..data.retouching import (
    RetouchConfig,
    RetouchSource,
    retouch_and_target,
    retouch_to_8_bits,
)
from ..losses import degree_classification, end_point_error, log_error
from ..settings import setting
from .base import StageConfig
from .expert import expert_part, recipes_for, told_degrees


class CoarseBatch(NamedTuple):
    """What n photos show of an operation.

    Attributes:
        traces: n 33 h w, `retouching_traces`.
        low: n 3 2h 2w, LL2 / 4.
        truth: what the head is to answer, which undoes the operation.
        degree: n in [0, 1], 0 = absent.
    """

    traces: Tensor
    low: Tensor
    truth: Tensor
    degree: Tensor


class CoarseTruth(NamedTuple):
    """Retouched photos n 3 H W, what undoes the operation, and the operation's degree n."""

    photos: Tensor
    truth: Tensor
    degree: Tensor


class Drawn(NamedTuple):
    """n faces, and what is to be done to them."""

    source: RetouchSource
    operation: str  # the one that is to be undone
    images: Tensor  # n 3 H W
    points: Tensor | None  # n 478 2
    recipes: Sequence[Recipe]

    @property
    def column(self) -> int:
        """The operation's place among the source's."""
        return self.source.operations.index(self.operation)


Retouch = Callable[[Drawn], CoarseTruth]


def simulate(
    source: RetouchSource,
    operation: str,
    retouch: Retouch,
    rng: np.random.Generator,
    count: int,
) -> CoarseBatch:
    """Draws `count` faces and retouches them, mostly by the operation alone."""
    images, points = source.draw(rng, count)
    recipes = recipes_for(operation, source, rng, count)
    photos, truth, degree = retouch(Drawn(source, operation, images, points, recipes))
    return CoarseBatch(retouching_traces(photos), low_band(photos), truth, degree)


def retouch_with_flow(drawn: Drawn) -> CoarseTruth:
    """Retouched photos, and the undoing flow, n 2 H/8 W/8 in pixels."""
    operations, index = drawn.source.operations, drawn.column
    photos = retouch_to_8_bits(drawn.images, drawn.recipes, drawn.points, operations)
    flow = F.avg_pool2d(photos.flows[:, index], 8)
    return CoarseTruth(photos.image, flow, photos.degrees[:, index])


def retouch_with_tone(drawn: Drawn) -> CoarseTruth:
    """Retouched photos, and the change of LL2 / 4, n 3 H/4 W/4."""
    _, operation, images, points, recipes = drawn
    operations, index = drawn.source.operations, drawn.column
    photos, clean = retouch_and_target(images, points, recipes, operation, operations)
    return CoarseTruth(photos.image, low_band(clean - photos.image), photos.degrees[:, index])


def low_band(images: Tensor) -> Tensor:
    """LL2 / 4 of the Haar transform, the mean over 4 x 4 pixels: n 3 H W -> n 3 H/4 W/4."""
    return F.avg_pool2d(images, 4)


@dataclass(frozen=True, kw_only=True)
class CoarseSimulation(RetouchConfig):
    """How the photos are made that a coarse head learns from."""

    operation: str = setting("", "which one the expert undoes")
    choices: ClassVar[Collection[str]] = ()
    retouch: ClassVar[Retouch]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_operation(self.operation, self.choices)
        if self.size % 8:
            raise ValueError(f"size must be a multiple of 8 (the grid of traces), got {self.size}")

    def simulator(self, material: Material) -> Simulate:
        """Makes `CoarseBatch`es."""
        source = self.source(material.load_faces(self))
        return partial(simulate, source, self.operation, type(self).retouch)


@dataclass(frozen=True, kw_only=True)
class WarpSimulation(CoarseSimulation):
    """Photos and the flows that undo an operation which moves pixels."""

    choices = bank.GEOMETRIC
    retouch = staticmethod(retouch_with_flow)


@dataclass(frozen=True, kw_only=True)
class ToneSimulation(CoarseSimulation):
    """Photos and the tone that undoes an operation which changes it."""

    choices = bank.TONAL
    retouch = staticmethod(retouch_with_tone)


@dataclass(frozen=True, kw_only=True)
class WarpPool(WarpSimulation, PoolConfig):
    """Settings of a pool for stage `warp` (80 kB an item at 256 px)."""


@dataclass(frozen=True, kw_only=True)
class TonePool(ToneSimulation, PoolConfig):
    """Settings of a pool for stage `tone` (120 kB an item at 256 px)."""


@dataclass(frozen=True, kw_only=True)
class CoarseConfig(CoarseSimulation, StageConfig):
    """Settings of both stages."""

    batch_size: int = setting(32, "photos of one step", least=1)

    stage: ClassVar["type[CoarseStage]"]

    def build(self, material: Material) -> "CoarseStage":
        """The stage, its network and data loaded."""
        expert = self.network(WaveFRRExpert, expert_part(self.operation))
        return self.stage(expert, self.batches(material, CoarseBatch), self.batch_size)


@dataclass
class CoarseStage(ABC):
    """Trains a head on the coarse grid and the degree estimator of a `WaveFRRExpert`.

    Attributes:
        model: an expert with that head, of the Haar wavelet.
        batches: where photos come from; stored ones are mirrored at random.
        batch_size: photos of one step.
        degree_weight: weight of the degree's loss.
    """

    model: WaveFRRExpert
    batches: Batches[CoarseBatch]
    batch_size: int = 32
    degree_weight: float = 0.1
    head: ClassVar[str]

    def __post_init__(self) -> None:
        if not self.model.config[f"has_{self.head}_head"]:
            raise ValueError(f"the expert has no {self.head} head to train")
        if self.model.config["wavelet"] != "haar":
            raise ValueError(f"got wavelet {self.model.config['wavelet']!r}; coarse bands are Haar")

    @abstractmethod
    def mirror(self, truth: Tensor) -> Tensor:
        """What undoes the operation on mirrored photos."""

    @abstractmethod
    def error(self, traces: Tensor, batch: CoarseBatch, degree: Tensor) -> Tensor:
        """The head's loss, from standardised traces and the degree it is told, B."""

    def draw(self, rng: np.random.Generator) -> CoarseBatch:
        """Photos of one step, stored ones mirrored at random."""
        batch = self.batches.draw(rng, self.batch_size)
        if not self.batches.stored:
            return batch
        mirrored = torch.as_tensor(rng.random(self.batch_size) < 0.5)
        mirrored = mirrored.to(batch.low.device)[:, None, None, None]
        position = batch.traces[:, -3:]
        traces = torch.cat((batch.traces[:, :-3].flip(-1), position), dim=1)
        return CoarseBatch(
            torch.where(mirrored, traces, batch.traces),
            torch.where(mirrored, batch.low.flip(-1), batch.low),
            torch.where(mirrored, self.mirror(batch.truth), batch.truth),
            batch.degree,
        )

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The head's error, and L_class of the degree."""
        batch = self.draw(rng)
        expert = self.model.train()
        traces = expert.trace_standardization(batch.traces)
        logits, guess = expert.estimate_degree_from(traces)
        told = told_degrees(rng, batch.degree, guess.detach())
        return {
            self.head: self.error(traces, batch, told),
            "degree": self.degree_weight * degree_classification(logits, batch.degree),
        }


class WarpStage(CoarseStage):
    """Trains a warp head by the end-point error of its flow, in pixels."""

    head = "warp"

    def mirror(self, truth: Tensor) -> Tensor:
        """X points the other way."""
        return truth.flip(-1) * truth.new_tensor([-1.0, 1.0])[:, None, None]

    def error(self, traces: Tensor, batch: CoarseBatch, degree: Tensor) -> Tensor:
        """End-point error."""
        flow = self.model.predict_flow(traces, batch.low, degree)
        return end_point_error(flow, batch.truth)


class ToneStage(CoarseStage):
    """Trains a tone head by the log error of its correction: each photo's decibels count alike.

    Photos without the operation teach it nothing: they would be worth so many decibels that it
    would rather change little where it is unsure, which is for the router and the merger to judge.
    """

    head = "tone"

    def mirror(self, truth: Tensor) -> Tensor:
        """Mirrored as the photo is."""
        return truth.flip(-1)

    def error(self, traces: Tensor, batch: CoarseBatch, degree: Tensor) -> Tensor:
        """Mean log of the squared error left, above a floor that grows with the edit."""
        tone, present = self.model.predict_tone(traces, batch.low, degree), batch.degree > 0
        if not present.any():
            return 0 * tone.sum()
        return 0.1 * log_error(tone[present], batch.truth[present])


@dataclass(frozen=True, kw_only=True)
class WarpConfig(WarpSimulation, CoarseConfig):
    """Settings of stage `warp`."""

    stage = WarpStage


@dataclass(frozen=True, kw_only=True)
class ToneConfig(ToneSimulation, CoarseConfig):
    """Settings of stage `tone`."""

    stage = ToneStage
