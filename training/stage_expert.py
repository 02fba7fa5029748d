"""Stage `expert`: one WaveFRR expert for one operation.

Most photos carry the operation, alone or among others; some do not, and must come back as they
are. The target is the photo as the other operations alone would have left it.
"""

from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from ..models.mofrr_expert import LOW_SCALE, ExpertCondition, WaveFRRExpert
from ..pipelines.simulate.recipe import Recipe
from .batches import RetouchSource, random_subset, retouch_and_target
from .losses import degree_classification, edit_weight, flow_error, high_bands, hybrid


def make_scheduler() -> DDIMScheduler:
    """The noise schedule of all experts: zero terminal SNR, predicting the clean sample."""
    return DDIMScheduler(
        beta_schedule="linear",
        prediction_type="sample",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )


def sample_timesteps(
    rng: np.random.Generator, count: int, scheduler: DDIMScheduler
) -> torch.IntTensor:
    """Half of the batch at the last timestep (pure noise, the first step), half anywhere."""
    last = scheduler.config.num_train_timesteps - 1
    anywhere = rng.integers(0, last + 1, size=count)
    return cast(torch.IntTensor, torch.as_tensor(np.where(rng.random(count) < 0.5, last, anywhere)))


@dataclass
class ExpertStage:
    """Trains a `WaveFRRExpert` to undo `operation`; the shares say what a batch is made of."""

    model: WaveFRRExpert
    source: RetouchSource
    operation: str
    batch_size: int = 12
    mixed_share: float = 0.25  # photos with the operation among others
    absent_share: float = 0.1  # photos without it
    warp_only: bool = False  # first phase of a geometric expert: the warp head alone, quicker
    scheduler: DDIMScheduler = field(default_factory=make_scheduler)

    def __post_init__(self) -> None:
        if self.warp_only and not self.model.config.has_warp_head:
            raise ValueError(f"the expert for {self.operation} has no warp head to train alone")

    def recipes(self, rng: np.random.Generator) -> list[Recipe]:
        """One recipe for each photo of the batch."""
        others = [name for name in self.source.operations if name != self.operation]
        recipes = []
        for kind in rng.random(self.batch_size):
            if kind < self.absent_share:
                operations = random_subset(rng, others, least=0)
            elif kind < self.absent_share + self.mixed_share:
                operations = [self.operation, *random_subset(rng, others, least=1)]
            else:
                operations = [self.operation]
            recipes.append(self.source.recipe(rng, operations))
        return recipes

    def condition_degrees(self, rng: np.random.Generator, true: Tensor, guess: Tensor) -> Tensor:
        """What the expert is told: the truth, the truth with error, or its own estimate.

        At inference the degree is always an estimate; photos without the operation get one too.
        """
        choice = torch.as_tensor(rng.random(len(true)), device=true.device)
        error = torch.as_tensor(rng.normal(0, 0.15, len(true)), device=true.device).to(true)
        told = torch.where(choice < 0.3, true, (true + error).clamp(0.05, 1))
        return torch.where((choice > 0.6) | (true == 0), guess, told)

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """L_freq, L_space, L_class and the flow's error for one batch."""
        images, points = self.source.draw(rng, self.batch_size)
        operations = self.source.operations
        photos, target = retouch_and_target(
            images, points, self.recipes(rng), self.operation, operations
        )
        index = operations.index(self.operation)
        true = photos.degrees[:, index]

        expert = self.model.train()
        logits, guess = expert.estimate_degree(photos.image)
        condition = expert.prepare(
            photos.image, self.condition_degrees(rng, true, guess.detach()).to(photos.image)
        )
        if self.warp_only:
            weight = edit_weight(photos.masks[:, index])
            terms = {"space": ((condition.warped - target).abs() * weight).mean()}
        else:
            terms = self.restoration_losses(expert, rng, condition, target, photos.masks[:, index])
        terms["degree"] = 0.05 * degree_classification(logits, true)
        if expert.config.has_warp_head:
            error = flow_error(condition.flow, photos.flows[:, index], photos.masks[:, index])
            terms["flow"] = 0.1 * error
        return terms

    def restoration_losses(
        self,
        expert: WaveFRRExpert,
        rng: np.random.Generator,
        condition: ExpertCondition,
        target: Tensor,
        mask: Tensor,
    ) -> dict[str, Tensor]:
        """L_freq = L_IDEM + L_simple + L_high and L_space = hyb of one denoising step."""
        clean_low, clean_details = expert.bands(target)
        timesteps = sample_timesteps(rng, len(target), self.scheduler)
        timesteps = cast(torch.IntTensor, timesteps.to(target.device))
        noisy = self.scheduler.add_noise(clean_low, torch.randn_like(clean_low), timesteps)

        step = expert.denoise(noisy, timesteps, condition)
        coarse, fine = expert.refine_details(step.prediction, condition)
        restored = expert.reconstruct_changes(step.prediction, coarse, fine, condition)
        residual = (clean_low - condition.low).detach()
        high = high_bands(condition.details[0] + coarse, clean_details[0])
        high = high + high_bands(condition.details[1] + fine, clean_details[1])
        return {
            "idem": (cast(Tensor, step.idem_residual) - residual).square().mean(),
            "simple": (step.prediction - clean_low).square().mean() * LOW_SCALE,
            "high": high,
            "space": hybrid(restored.image, target, edit_weight(mask)),
        }
