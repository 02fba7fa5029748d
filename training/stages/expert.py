"""Stage `expert`: one WaveFRR expert for one operation.

Most photos carry the operation, alone or among others; some do not, and must come back as they
are. The target is the photo as the other operations alone would have left it.
"""

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from ...models.mofrr.expert import LOW_SCALE, ExpertCondition, WaveFRRExpert
from ...pipelines.simulate import bank
from ...pipelines.simulate.recipe import Recipe
from ..data.material import Material
from ..data.retouching import RetouchConfig, RetouchSource, random_subset, retouch_and_target
from ..losses import degree_classification, edit_weight, flow_error, high_bands, hybrid
from ..settings import setting
from .base import StageConfig

ABSENT_SHARE = 0.1  # photos without the operation
MIXED_SHARE = 0.25  # photos with the operation among others
PAPER_TIMESTEPS = 200  # T of the paper's published code
HEADS = ("trace_standardization", "degree_estimator", "warp_head", "tone_head")


@dataclass(frozen=True, kw_only=True)
class ExpertConfig(RetouchConfig, StageConfig):
    """Settings of stage `expert`."""

    operation: str = setting("", "which one the expert undoes")
    keep_heads: bool = setting(False, "train all but degree estimator and coarse head")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_operation(self.operation, self.operations)

    def build(self, material: Material) -> "ExpertStage":
        """The stage, its network and data loaded."""
        expert = self.network(WaveFRRExpert, expert_part(self.operation))
        source = self.source(material.load_faces(self))
        return ExpertStage(expert, source, self.operation, self.batch_size, self.keep_heads)


def expert_part(operation: str) -> str:
    """The preset's name for the expert that undoes an operation."""
    if operation in bank.GEOMETRIC:
        return "geometric_expert"
    return "tonal_expert" if operation in bank.TONAL else "expert"


def make_scheduler(prediction_type: str = "sample") -> DDIMScheduler:
    """The noise schedule of all experts.

    For those that predict the clean sample it ends in pure noise, rescaled by algorithm 1 of Lin et
    al., WACV 2024. From pure noise no clean sample follows from the noise in it: for those that
    predict the noise the schedule is the paper's, 200 steps of the betas of Ho et al., NeurIPS
    2020, of which a seventh of the signal's energy is left at the last, and estimates are clipped.
    """
    sample, kind = prediction_type == "sample", cast(Any, prediction_type)
    return DDIMScheduler(
        num_train_timesteps=1000 if sample else PAPER_TIMESTEPS,
        beta_schedule="linear",
        prediction_type=kind,
        rescale_betas_zero_snr=sample,
        timestep_spacing="trailing",
        clip_sample=not sample,
    )


def sample_timesteps(
    rng: np.random.Generator, count: int, scheduler: DDIMScheduler
) -> torch.IntTensor:
    """Timesteps anywhere; of a schedule that ends in pure noise, half there, at the first step."""
    last = scheduler.config.num_train_timesteps - 1
    anywhere = rng.integers(0, last + 1, size=count)
    first = rng.random(count) < (0.5 if scheduler.config.rescale_betas_zero_snr else 0)
    return cast(torch.IntTensor, torch.as_tensor(np.where(first, last, anywhere)))


def clean_estimate(
    scheduler: DDIMScheduler, noisy: Tensor, prediction: Tensor, timesteps: Tensor
) -> Tensor:
    """The clean band B 3 h w (LL2 / 4, in [-1, 1]) that a prediction stands for.

    For noise e it is (y_t - sqrt(1 - a_t) e) / sqrt(a_t), eq. 12 of Song et al., ICLR 2021, clipped
    to the range that bands have: at the noisiest steps the division would blow up every error.
    """
    if scheduler.config.prediction_type == "sample":
        return prediction
    kept = scheduler.alphas_cumprod.to(noisy)[timesteps.long()].view(-1, 1, 1, 1)
    return ((noisy - (1 - kept).sqrt() * prediction) / kept.sqrt()).clamp(-1, 1)


def simple_loss(
    scheduler: DDIMScheduler, prediction: Tensor, clean: Tensor, noise: Tensor
) -> Tensor:
    """L_simple: of the clean band in the units of the others, or of the unit noise."""
    if scheduler.config.prediction_type == "sample":
        return (prediction - clean).square().mean() * LOW_SCALE
    return (prediction - noise).square().mean()


def recipes_for(
    operation: str, source: RetouchSource, rng: np.random.Generator, count: int
) -> list[Recipe]:
    """What an expert learns from: mostly its operation alone, often mixed, at times absent."""
    others = [name for name in source.operations if name != operation]
    recipes = []
    for kind in rng.random(count):
        if kind < ABSENT_SHARE:
            operations = random_subset(rng, others, least=0)
        elif kind < ABSENT_SHARE + MIXED_SHARE:
            operations = [operation, *random_subset(rng, others, least=1)]
        else:
            operations = [operation]
        recipes.append(source.recipe(rng, operations))
    return recipes


def told_degrees(rng: np.random.Generator, true: Tensor, guess: Tensor) -> Tensor:
    """What the expert is told: mostly its own estimate, or the truth, with or without error.

    Told the truth too often, it would trust what it is told more than the photo. Photos without
    the operation get the estimate. All shapes are B.
    """
    choice = torch.as_tensor(rng.random(len(true)), device=true.device)
    error = torch.as_tensor(rng.normal(0, 0.15, len(true)), device=true.device).to(true)
    told = torch.where(choice < 0.15, true, (true + error).clamp(0.05, 1))
    return torch.where((choice > 0.3) | (true == 0), guess, told)


@dataclass
class ExpertStage:
    """Trains a `WaveFRRExpert` to undo `operation`.

    With `keep_heads` the degree estimator and the warp or tone head stay as stage `warp` or `tone`
    left them, and the others learn what those leave to be done.
    """

    model: WaveFRRExpert
    source: RetouchSource
    operation: str
    batch_size: int = 12
    keep_heads: bool = False
    scheduler: DDIMScheduler = field(init=False)

    def __post_init__(self) -> None:
        self.scheduler = make_scheduler(self.model.config.prediction_type)
        for part in self.kept():
            part.requires_grad_(False)

    def kept(self) -> list[nn.Module]:
        """The parts that are not trained."""
        children = dict(self.model.named_children())
        return [children[name] for name in HEADS if name in children] if self.keep_heads else []

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """L_freq, L_space, L_class and the flow's error for one batch."""
        images, points = self.source.draw(rng, self.batch_size)
        recipes = recipes_for(self.operation, self.source, rng, self.batch_size)
        operations = self.source.operations
        photos, target = retouch_and_target(images, points, recipes, self.operation, operations)
        index = operations.index(self.operation)
        true = photos.degrees[:, index]

        expert = self.model.train()
        for part in self.kept():
            part.eval()
        logits, guess = expert.estimate_degree(photos.image)
        condition = expert.prepare(
            photos.image, told_degrees(rng, true, guess.detach()).to(photos.image)
        )
        terms = self.restoration_losses(expert, rng, condition, target, photos.masks[:, index])
        if self.keep_heads:
            return terms
        terms["degree"] = 0.05 * degree_classification(logits, true)
        if expert.config.has_warp_head:
            error = flow_error(
                cast(Tensor, condition.flow), photos.flows[:, index], photos.masks[:, index]
            )
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
        """L_freq = L_IDEM + L_simple + L_high and L_space = hyb of one denoising step.

        Noise by eq. 4 of Ho et al., NeurIPS 2020; L_simple is their eq. 14, of what the expert
        predicts: the clean band, or the noise.
        """
        clean_low, clean_details = expert.bands(target)
        timesteps = sample_timesteps(rng, len(target), self.scheduler)
        timesteps = cast(torch.IntTensor, timesteps.to(target.device))
        noise = torch.randn_like(clean_low)
        noisy = self.scheduler.add_noise(clean_low, noise, timesteps)

        step = expert.denoise(noisy, timesteps, condition)
        low = clean_estimate(self.scheduler, noisy, step.prediction, timesteps)
        coarse, fine = expert.refine_details(low, condition)
        restored = expert.reconstruct_changes(low, coarse, fine, condition)
        residual = (clean_low - condition.low).detach()
        high = high_bands(condition.details[0] + coarse, clean_details[0])
        high = high + high_bands(condition.details[1] + fine, clean_details[1])
        return {
            "idem": (cast(Tensor, step.idem_residual) - residual).square().mean(),
            "simple": simple_loss(self.scheduler, step.prediction, clean_low, noise),
            "high": high,
            "space": hybrid(restored.image, target, edit_weight(mask)),
        }
