"""Stage `native_router`: presence, degree and place of each operation, at the photo's own size.

A batch holds neighbouring versions of some faces, each with one operation more than the one before,
so that neither who it is nor what else was done can answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ...models.mofrr.native_router import NativeRouter
from ...pipelines.operations import OPERATIONS
from ..data.material import Material
from ..data.native_batches import ChainBatch, ChainPools, presence
from ..data.native_chains import GEOMETRIC, VERSIONS
from ..settings import setting
from .native import NativeConfig, learning, survey_all

PARTS_SEEN = 8
"""Photos of a batch in which the parts of the face are learned."""


@dataclass(frozen=True, kw_only=True)
class NativeRouterConfig(NativeConfig):
    """Settings of stage `native_router`."""

    batch_size: int = setting(20, "faces of one step", least=1)
    versions: int = setting(
        2, "neighbouring versions of each face in a step", least=2, most=VERSIONS
    )

    strangers: float = setting(
        0.4, "largest share of another face mixed into each", least=0, most=0.5
    )

    def build(self, material: Material) -> NativeRouterStage:
        """The stage, its network and pools loaded."""
        chains = self.chains(material)
        router = self.network(NativeRouter, "native_router")
        if not self.start:
            survey_all(chains, router.standardizations)
        return NativeRouterStage(router, chains, self.batch_size, self.versions, self.strangers)


@dataclass
class NativeRouterStage:
    """Presence, degree and place of each operation, and the order of versions of one face.

    Attributes:
        model: the router.
        chains: what it learns from.
        count: chains of one step.
        versions: of each chain in a step, one operation apart.
        strangers: largest share of another face mixed into each.
    """

    model: NativeRouter
    chains: ChainPools
    count: int = 20
    versions: int = 2
    strangers: float = 0.4

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The loss terms of one batch."""
        parts = min(PARTS_SEEN, self.count) if self.model.config.parts_width else 0
        batch = self.chains.draw(rng, self.count, self.versions, self.strangers, parts)
        router = learning(self.model, *self.model.standardizations.values())
        verdict = router.judge(batch.view())
        shape = batch.effects.shape
        logits = verdict.presence_logits.view(shape)
        applied, weights = presence(batch)
        smooth = applied * 0.96 + 0.02
        present = F.binary_cross_entropy_with_logits(logits, smooth, reduction="none")

        counted = weights * applied
        degree = two_hot_loss(verdict.degree_logits.unflatten(0, shape[:2]), batch.effects)
        location = verdict.location_logits.unflatten(0, shape[:2])
        return {
            "presence": (present * weights).sum() / weights.sum(),
            "degree": 0.3 * (degree * counted).sum() / counted.sum().clamp_min(1),
            **_order_losses(logits, batch, weights),
            "place": 0.3 * _place_loss(location, batch),
            **({"parts": _parts_loss(router, batch)} if parts else {}),
        }


def two_hot_loss(logits: Tensor, effects: Tensor) -> Tensor:
    """Cross entropy of L degree levels against an effect between two of them.

    Args:
        logits: ... L, of levels spread evenly over (0, 1].
        effects: ... in [0, 1]; below the lowest level they count as that.

    Returns:
        ..., least where the two neighbouring levels share the probability by nearness.
    """
    count = logits.shape[-1]
    at = (effects.clamp(1 / count, 1) * count - 1).clamp(0, count - 1)
    low = at.floor().long().clamp_max(count - 2)
    share = at - low
    logs = logits.log_softmax(-1)
    left = logs.gather(-1, low[..., None])[..., 0]
    right = logs.gather(-1, low[..., None] + 1)[..., 0]
    return -(left * (1 - share) + right * share)


def _order_losses(logits: Tensor, batch: ChainBatch, weights: Tensor) -> dict[str, Tensor]:
    """What a version adds raises its logit, B V K, and leaves the others where they were."""
    rise = logits[:, 1:] - logits[:, :-1]
    order = batch.order.gather(1, batch.rows[:, 1:] - 1)
    added = F.one_hot(order, logits.shape[-1]).float()
    sure = added * (weights[:, 1:] > 0)
    ranking = (F.softplus(-rise) * sure).sum() / sure.sum().clamp_min(1)
    steady = (rise.square().clamp_max(16) * (1 - added)).mean()
    return {"ranking": 0.3 * ranking, "steady": 0.05 * steady}


def _place_loss(logits: Tensor, batch: ChainBatch) -> Tensor:
    """Where geometric operations moved pixels, B V K 16 16."""
    location = logits[:, :, [OPERATIONS.index(name) for name in GEOMETRIC]]
    motion = F.avg_pool2d(batch.flows.square().sum(3).sqrt().flatten(0, 1), 4)
    moved = (motion.view_as(location) / 1.5).clamp(0, 1)
    return F.binary_cross_entropy_with_logits(location, moved)


def _parts_loss(router: NativeRouter, batch: ChainBatch) -> Tensor:
    """Where the parts of the face are, in the first version of each chain for which it is known."""
    logits = router.parts.finder(batch.colour[: len(batch.parts), 0])
    return F.binary_cross_entropy_with_logits(logits, batch.parts)
