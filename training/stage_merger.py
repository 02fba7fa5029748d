"""Stage `merger`: how the frozen experts' answers are fused, on single operations and mixtures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..models.mofrr_expert import WaveFRRExpert
from ..models.mofrr_merger import ExpertMerger
from ..models.mofrr_router import RetouchRouter
from ..models.mofrr_shared import SharedExpert
from .batches import RetouchSource, random_subset, retouch_and_target
from .losses import hybrid


@dataclass
class MergerStage:
    """Trains an `ExpertMerger`; experts are in the order of the operations, the shared one last.

    Attributes:
        wrong_share: chance that an operation is routed against the truth, so that the merger
            learns to weigh an expert by what it sees.
    """

    model: ExpertMerger
    source: RetouchSource
    router: RetouchRouter
    experts: Sequence[WaveFRRExpert | SharedExpert]
    batch_size: int = 8
    wrong_share: float = 0.08

    def __post_init__(self) -> None:
        if len(self.experts) != len(self.source.operations) + 1:
            raise ValueError(
                f"got {len(self.experts)} experts; expected one for each of "
                f"{self.source.operations} and the shared one"
            )
        frozen: list[nn.Module] = [self.router, *self.experts]
        for network in frozen:
            network.eval().requires_grad_(False)

    @torch.no_grad()
    def residuals(self, photo: Tensor, active: Tensor, degrees: Tensor) -> Tensor:
        """Residual images of the active experts, B K+1 3 H W; the shared one is always active."""
        result = photo.new_zeros(len(photo), len(self.experts), *photo.shape[1:])
        for index, expert in enumerate(self.experts):
            rows = torch.ones_like(active[:, 0])
            if index < active.shape[1]:
                rows = active[:, index]
            if not rows.any():
                continue
            given = degrees[rows, index] if index < active.shape[1] else None
            latents = torch.randn(
                int(rows.sum()), *expert.latent_shape(*photo.shape[-2:]), device=photo.device
            )
            result[rows, index] = expert(photo[rows], given, latents).image - photo[rows]
        return result

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """L_space of the merged photo."""
        images, points = self.source.draw(rng, self.batch_size)
        operations = self.source.operations
        recipes = [
            self.source.recipe(
                rng, random_subset(rng, operations, least=1 + int(rng.random() < 0.6))
            )
            for _ in range(self.batch_size)
        ]
        photos, target = retouch_and_target(images, points, recipes, None, operations)

        with torch.no_grad():
            verdict = self.router(photos.image)
        wrong = torch.as_tensor(rng.random(tuple(photos.degrees.shape)) < self.wrong_share)
        active = (photos.degrees > 0) ^ wrong.to(photos.degrees.device)
        residuals = self.residuals(photos.image, active, verdict.degrees)
        merged = self.model.train()(photos.image, residuals, verdict.probabilities)
        return {"space": hybrid(photos.image + merged, target)}
