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
from .expert import clean_estimate, make_scheduler, sample_timesteps, simple_loss


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
    scheduler: DDIMScheduler = field(init=False)

    def __post_init__(self) -> None:
        self.scheduler = make_scheduler(self.model.config.prediction_type)

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
        noise = torch.randn_like(clean.low)
        noisy = self.scheduler.add_noise(clean.low, noise, timesteps)
        prediction = expert.denoise(noisy, timesteps, condition).prediction
        low = clean_estimate(self.scheduler, noisy, prediction, timesteps)
        restored = expert.reconstruct(low, condition)
        return {
            "simple": simple_loss(self.scheduler, prediction, clean.low, noise),
            "space": hybrid(restored.image, target),
        }
