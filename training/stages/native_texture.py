"""Stage `native_texture`: detail before smoothing, on tiles of skin at the photo's own size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...models.mofrr.texture_expert import TextureExpert, without_light
from ...pipelines.operations import OPERATIONS
from ..data.material import Material
from ..data.native_batches import ChainPools, felt
from ..settings import setting
from .native import NativeExpertConfig, known_degree, learning, log_left

SMOOTHING = "smoothing"
MARGIN = 8  # pixels at a tile's border that see too little around them


@dataclass(frozen=True, kw_only=True)
class NativeTextureConfig(NativeExpertConfig):
    """Settings of stage `native_texture`."""

    batch_size: int = setting(16, "tiles of one step", least=1)

    def build(self, material: Material) -> NativeTextureStage:
        """The stage, its network and pools loaded."""
        expert = self.expert(TextureExpert, "texture_expert", SMOOTHING)
        return NativeTextureStage(expert, self.chains(material), self.batch_size, self.decibels)


@dataclass
class NativeTextureStage:
    """The detail that smoothing took, without the light that it left.

    Attributes:
        model: the expert.
        chains: what it learns from.
        count: tiles of one step.
        decibels: weight of the error's logarithm.
    """

    model: TextureExpert
    chains: ChainPools
    count: int = 16
    decibels: float = 0.3

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The loss terms of one batch."""
        batch = self.chains.draw_tiles(rng, self.count, OPERATIONS.index(SMOOTHING))
        counts = felt(batch.effects, SMOOTHING)
        degree = known_degree(rng, batch.effects)
        condition = torch.stack((degree.nan_to_num(0.0), 1 - degree.isnan().float()), dim=1)
        change = without_light(learning(self.model)(batch.smoothed, condition), batch.side)
        wanted = without_light(batch.before - batch.smoothed, batch.side)
        inside = (..., slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
        error = (change - wanted)[inside].square().mean((1, 2, 3))
        before = wanted[inside].square().mean((1, 2, 3))
        return {
            "pixels": 300 * (error * (0.2 + 0.8 * counts)).mean(),
            "decibels": self.decibels * log_left(error, before, 1e-5, counts),
        }
