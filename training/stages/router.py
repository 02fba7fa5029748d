"""Stage `router`: presence and degree of each operation.

A batch holds the same faces untouched, under each operation, and under a mixture, so that who it is
cannot answer what was done.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...models.mofrr.router import RetouchRouter
from ..data.faces import to_bytes, to_signed
from ..data.material import Material
from ..data.pools import Batches, PoolConfig, Simulate
from ..data.retouching import RetouchConfig, RetouchSource, random_subset, retouch_to_8_bits
from ..losses import (
    degree_classification,
    location_classification,
    presence_classification,
)
from ..settings import setting
from .base import StageConfig


class RouterBatch(NamedTuple):
    """What the router learns from, for n faces in all their versions (rows of one face together).

    Attributes:
        photos: n V 3 H W, uint8.
        degrees: n V K in [0, 1], 0 = absent.
        masks: n V K H/8 W/8 in [0, 1], where each operation acted.
    """

    photos: Tensor
    degrees: Tensor
    masks: Tensor


def simulate(source: RetouchSource, rng: np.random.Generator, count: int) -> RouterBatch:
    """Draws `count` faces and retouches them in all versions."""
    images, points = source.draw(rng, count)
    recipes, operations = [], source.operations
    for _ in range(count):
        versions = [[], *([name] for name in operations), random_subset(rng, operations)]
        recipes += [source.recipe(rng, version) for version in versions]
    rows = torch.arange(count, device=images.device).repeat_interleave(len(operations) + 2)
    points = None if points is None else points[rows]
    photos = retouch_to_8_bits(images[rows], recipes, points, operations)
    masks = F.avg_pool2d(photos.masks, 8, ceil_mode=True)
    parts = (to_bytes(photos.image), photos.degrees, masks)
    return RouterBatch(*(part.unflatten(0, (count, -1)) for part in parts))


@dataclass(frozen=True, kw_only=True)
class RouterSimulation(RetouchConfig):
    """How the photos are made that the router learns from."""

    def simulator(self, material: Material) -> Simulate:
        """Makes `RouterBatch`es."""
        return partial(simulate, self.source(material.load_faces(self)))


@dataclass(frozen=True, kw_only=True)
class RouterPool(RouterSimulation, PoolConfig):
    """Settings of a pool: an item is a face in all versions (0.2 MB a photo at 256 px)."""


@dataclass(frozen=True, kw_only=True)
class RouterConfig(RouterSimulation, StageConfig):
    """Settings of stage `router`."""

    batch_size: int = setting(6, "faces of one step, each in all its versions", least=1)
    frozen_statistics: bool = setting(
        False, "batch normalisation as `start` left it: runs end with it"
    )

    def build(self, material: Material) -> "RouterStage":
        """The stage, its network and data loaded."""
        return RouterStage(
            self.network(RetouchRouter, "router"),
            self.batches(material, RouterBatch),
            faces_per_batch=self.batch_size,
            frozen_statistics=self.frozen_statistics,
        )


def freeze_statistics(network: nn.Module) -> None:
    """Lets batch normalisation use the statistics it has, and keep them, while training."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


@dataclass
class RouterStage:
    """Trains a `RetouchRouter` on `faces_per_batch` faces, each in all its versions.

    Attributes:
        model: the router.
        batches: where faces come from, in all versions; stored ones are mirrored at random.
        faces_per_batch: faces drawn for one step.
        frozen_statistics: whether batch normalisation uses, and keeps, the statistics it came with.
            Those of a batch that holds a face in all versions tell something of the answer, so a
            run ends with them frozen.
        degree_weight: weight of the degree's loss.
        location_weight: weight of the location's loss.
    """

    model: RetouchRouter
    batches: Batches[RouterBatch]
    faces_per_batch: int = 6
    frozen_statistics: bool = False
    degree_weight: float = 0.3
    location_weight: float = 0.2

    def draw(self, rng: np.random.Generator) -> RouterBatch:
        """Faces of one step, stored ones mirrored at random."""
        batch = self.batches.draw(rng, self.faces_per_batch)
        if not self.batches.stored:
            return batch
        mirrored = torch.as_tensor(rng.random(self.faces_per_batch) < 0.5)
        mirrored = mirrored.to(batch.photos.device)[:, None, None, None, None]
        photos, masks = (
            torch.where(mirrored, part.flip(-1), part) for part in (batch.photos, batch.masks)
        )
        return RouterBatch(photos, batch.degrees, masks)

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """L_class of the paper, presence and degree, and where each operation acted."""
        photos, degrees, masks = (tensor.flatten(0, 1) for tensor in self.draw(rng))
        router = self.model.train()
        if self.frozen_statistics:
            freeze_statistics(router)
        verdict = router.judge(to_signed(photos))
        return {
            "presence": presence_classification(verdict.presence_logits, degrees),
            "degree": self.degree_weight * degree_classification(verdict.degree_logits, degrees),
            "location": self.location_weight
            * location_classification(verdict.location_logits, masks),
        }
