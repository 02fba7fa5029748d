"""Stages `warp` and `tone`: an expert's head on the coarse grid and its degree estimator.

Both see a photo on the grid of its traces only, so they train many times faster than the whole
expert, which is trained after them.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...models.mofrr.expert import WaveFRRExpert, retouching_traces
from ...pipelines.simulate.recipe import Recipe
from ...pipelines.simulate.simulator import Retouched
from ..data.retouching import RetouchSource, retouch_and_target, retouch_to_8_bits
from ..losses import degree_classification, end_point_error, log_error
from ..data.pools import Pool
from .expert import recipes_for, told_degrees


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


@dataclass
class CoarseStage(ABC):
    """Trains a head on the coarse grid and the degree estimator of a `WaveFRRExpert`.

    Attributes:
        model: an expert with that head.
        source: where faces and recipes come from.
        operation: which operation it undoes.
        batch_size: photos of one step.
        pool: photos simulated once for all steps (80 to 120 kB each, mirrored at random); 0
            simulates new ones for every step.
        degree_weight: weight of the degree's loss.
        seed: of the pool.
    """

    model: WaveFRRExpert
    source: RetouchSource
    operation: str
    batch_size: int = 32
    pool: int = 0
    degree_weight: float = 0.1
    seed: int = 0
    head: ClassVar[str]

    def __post_init__(self) -> None:
        if not self.model.config[f"has_{self.head}_head"]:
            raise ValueError(f"the expert for {self.operation} has no {self.head} head to train")
        self.batches = Pool(self.simulate, self.pool, self.seed)

    @abstractmethod
    def retouch(
        self, images: Tensor, points: Tensor | None, recipes: Sequence[Recipe]
    ) -> tuple[Retouched, Tensor]:
        """Retouched photos, and what undoes the operation."""

    @abstractmethod
    def mirror(self, truth: Tensor) -> Tensor:
        """The same for mirrored photos."""

    @abstractmethod
    def error(self, traces: Tensor, batch: CoarseBatch, degree: Tensor) -> Tensor:
        """The head's loss, from standardised traces and the degree it is told, B."""

    def simulate(self, rng: np.random.Generator, count: int) -> CoarseBatch:
        """Draws faces and retouches them."""
        images, points = self.source.draw(rng, count)
        recipes = recipes_for(self.operation, self.source, rng, count)
        photos, truth = self.retouch(images, points, recipes)
        low, _ = self.model.bands(photos.image)
        degree = photos.degrees[:, self.source.operations.index(self.operation)]
        return CoarseBatch(retouching_traces(photos.image), low, truth, degree)

    def draw(self, rng: np.random.Generator) -> CoarseBatch:
        """Photos of one step, those of a pool mirrored at random."""
        batch = self.batches.draw(rng, self.batch_size)
        if not self.pool:
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

    def retouch(
        self, images: Tensor, points: Tensor | None, recipes: Sequence[Recipe]
    ) -> tuple[Retouched, Tensor]:
        """Retouched photos and the undoing flow, B 2 H/8 W/8 in pixels."""
        operations = self.source.operations
        photos = retouch_to_8_bits(images, recipes, points, operations)
        return photos, F.avg_pool2d(photos.flows[:, operations.index(self.operation)], 8)

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

    def retouch(
        self, images: Tensor, points: Tensor | None, recipes: Sequence[Recipe]
    ) -> tuple[Retouched, Tensor]:
        """Retouched photos and the change of LL2 / 4, B 3 H/4 W/4."""
        operations = self.source.operations
        photos, clean = retouch_and_target(images, points, recipes, self.operation, operations)
        return photos, self.model.bands(clean - photos.image)[0]

    def mirror(self, truth: Tensor) -> Tensor:
        """Mirrored as the photo is."""
        return truth.flip(-1)

    def error(self, traces: Tensor, batch: CoarseBatch, degree: Tensor) -> Tensor:
        """Mean log of the squared error left, above a floor that grows with the edit."""
        tone, present = self.model.predict_tone(traces, batch.low, degree), batch.degree > 0
        if not present.any():
            return 0 * tone.sum()
        return 0.1 * log_error(tone[present], batch.truth[present])
