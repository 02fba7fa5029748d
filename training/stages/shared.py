"""Stage `shared`: the always-active expert, on mixtures of all operations, undoing them all."""

from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from ...models.mofrr.shared import SharedExpert
from ..data.material import Material
from ..data.retouching import RetouchConfig, RetouchSource, random_subset, retouch_and_target
from ..losses import hybrid
from .base import StageConfig
from .expert import make_scheduler, sample_timesteps


@dataclass(frozen=True, kw_only=True)
class SharedConfig(RetouchConfig, StageConfig):
    """Settings of stage `shared`."""

    def build(self, material: Material) -> "SharedStage":
        """The stage, its network and data loaded."""
        source = self.source(material.load_faces(self))
        return SharedStage(self.network(SharedExpert, "shared"), source, self.batch_size)


@dataclass
class SharedStage:
    """Trains a `SharedExpert`; `untouched_share` of the photos carry no operation."""

    model: SharedExpert
    source: RetouchSource
    batch_size: int = 16
    untouched_share: float = 0.1
    scheduler: DDIMScheduler = field(default_factory=make_scheduler)

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """L_simple of one denoising step and L_space of the photo it gives."""
        images, points = self.source.draw(rng, self.batch_size)
        operations = self.source.operations
        recipes = [
            self.source.recipe(
                rng,
                []
                if rng.random() < self.untouched_share
                else random_subset(rng, operations, least=1),
            )
            for _ in range(self.batch_size)
        ]
        photos, target = retouch_and_target(images, points, recipes, None, operations)

        expert = self.model.train()
        condition, clean = expert.prepare(photos.image), expert.prepare(target)
        timesteps = sample_timesteps(rng, self.batch_size, self.scheduler)
        timesteps = cast(torch.IntTensor, timesteps.to(target.device))
        noisy = self.scheduler.add_noise(clean.low, torch.randn_like(clean.low), timesteps)
        step = expert.denoise(noisy, timesteps, condition)
        restored = expert.reconstruct(step.prediction, condition)
        return {
            "simple": (step.prediction - clean.low).square().mean() * 4,
            "space": hybrid(restored.image, target),
        }
