"""Stage `native_tone`: light and colour before whitening."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...models.mofrr.tone_expert import ToneExpert, slice_tone
from ...pipelines.operations import OPERATIONS
from ..data.material import Material
from ..data.native_batches import felt
from ..settings import setting
from .native import known_degree, log_left
from .native_coarse import CoarseExpertConfig, CoarseExpertStage

TONAL = ("whitening",)


@dataclass(frozen=True, kw_only=True)
class NativeToneConfig(CoarseExpertConfig):
    """Settings of stage `native_tone`."""

    operation: str = setting(
        TONAL[0], f"which one the expert undoes: {', '.join(TONAL)}", choices=TONAL
    )

    def build(self, material: Material) -> NativeToneStage:
        """The stage, its network and pools loaded."""
        expert, chains = self.surveyed(material, ToneExpert, "tone_expert", self.operation)
        return NativeToneStage(expert, chains, self.operation, self.batch_size, self.decibels)


class NativeToneStage(CoarseExpertStage):
    """A bilateral grid that brings a photo back to what it was before a tonal operation."""

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The loss terms of one batch."""
        place = OPERATIONS.index(self.operation)
        batch = self.chains.draw_versions(rng, self.count, place, later=False)
        counts = felt(batch.effects, self.operation)
        expert = self.learner()
        grid = expert(batch.view(), known_degree(rng, batch.effects))
        photo, truth = F.avg_pool2d(batch.small, 2), F.avg_pool2d(batch.before, 2)
        error = (photo + slice_tone(grid, photo) - truth).square().mean((1, 2, 3))
        before = (photo - truth).square().mean((1, 2, 3))
        rough = grid[..., 1:] - grid[..., :-1], grid[..., 1:, :] - grid[..., :-1, :]
        return {
            "pixels": 100 * (error * (0.1 + 0.9 * counts)).mean(),
            "decibels": self.decibels * log_left(error, before, 2e-4, counts),
            "smooth": 0.5 * torch.stack([each.square().mean() for each in rough]).sum(),
        }
