"""Stage `bpfre_healer`: skin, spots and lines as a classical retoucher finds them with landmarks.

The condition is learnt: how evident a spot must be depends on the amount that is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...models.bpfre.healer import SkinHealer
from ...models.bpfre.kinds import KINDS
from ...pipelines.bpfre.marks import SOFTNESS
from ..data.material import Material
from ..data.natural import NaturalSkinItem
from ..data.pools import Batches
from ..data.skin_variation import varied
from ..losses import edit_weight
from ..settings import setting
from .base import StageConfig


@dataclass(frozen=True, kw_only=True)
class HealerConfig(StageConfig):
    """Settings of stage `bpfre_healer`."""

    batch_size: int = setting(4, "faces of one step", least=1)
    warmup: int = setting(10, "steps of linear warm-up", least=0)
    ema_decay: float = setting(0.98, "limit of the average of weights", least=0, most=1)
    skin_weight: float = setting(1.0, "weight of the skin's map beside the spots'", least=0)

    def build(self, material: Material) -> HealerStage:
        """The stage, its network and pools loaded.

        Raises:
            ValueError: there are no pools.
        """
        if not material.pools:
            raise ValueError(
                "this learns from pools: make one with `frr pool natural`, name it with --pool"
            )
        network = self.network(SkinHealer, "healer")
        source = self.batches(material, NaturalSkinItem)
        return HealerStage(network, source, self.batch_size, self.skin_weight)


@dataclass
class HealerStage:
    """Trains a `SkinHealer` on a retoucher's maps.

    Attributes:
        model: the network.
        source: faces and their maps.
        batch_size: faces of one step.
        skin_weight: weight of the skin's map.
        lines_weight: weight of the lines' map.
    """

    model: SkinHealer
    source: Batches[NaturalSkinItem]
    batch_size: int = 4
    skin_weight: float = 1.0
    lines_weight: float = 0.5

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Cross-entropy of the three maps, much of the weight on what is rare."""
        with torch.no_grad():
            batch = varied(self.source.draw(rng, self.batch_size), rng)
            amounts = draw_amounts(rng, len(batch.photo)).to(batch.photo.device)
            spots = wanted_spots(batch.spots, batch.salience, amounts[:, 0])
        found = self.model.train().logits(batch.photo, amounts)
        size = found.skin.shape[-2:]
        skin = F.interpolate(batch.skin, size, mode="bilinear", align_corners=False)
        return {
            "skin": self.skin_weight * F.binary_cross_entropy_with_logits(found.skin, skin),
            "spots": entropy(found.spots, spots),
            "lines": self.lines_weight * entropy(found.lines, batch.lines),
        }


def entropy(logits: Tensor, truth: Tensor) -> Tensor:
    """Cross-entropy of a map B 1 h w, a third of the weight on what is marked in it."""
    weight = edit_weight(truth[:, 0], share=0.3)
    return F.binary_cross_entropy_with_logits(logits, truth, weight)


def draw_amounts(rng: np.random.Generator, count: int) -> Tensor:
    """Amounts of all kinds, count 5 in [0, 1]; of spots often all, and sometimes none."""
    amounts = rng.random((count, len(KINDS)))
    amounts[:, 0] = (1.5 * amounts[:, 0] - 0.05).clip(0, 1)
    return torch.as_tensor(amounts, dtype=torch.float32)


def wanted_spots(spots: Tensor, salience: Tensor, amount: Tensor) -> Tensor:
    """The share of spots B 1 h w that is to be filled at an amount B: faint ones need more."""
    amount = amount[:, None, None, None]
    wanted = ((salience - (1 - amount)) / SOFTNESS + 0.5).clamp(0, 1)
    return spots * wanted * (amount > 0)
