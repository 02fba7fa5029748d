"""Stage `merger`: how the frozen experts' answers are fused.

It learns on photos with no operation, one, and several; in a part of them the operations are given,
as a user may, in the others the router finds them, at thresholds of all heights. So it learns what
the router's probabilities are worth, and what to make of an expert that should not have run.
"""

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
        untouched_share: photos with no operation.
        single_share: photos with one operation; the others have two or more.
        given_share: photos whose operations are given.
        wrong_share: chance that an operation is given against the truth.
        thresholds: range of the thresholds above which a probability means that an expert runs.
    """

    model: ExpertMerger
    source: RetouchSource
    router: RetouchRouter
    experts: Sequence[WaveFRRExpert | SharedExpert]
    batch_size: int = 8
    untouched_share: float = 0.15
    single_share: float = 0.45
    given_share: float = 0.4
    wrong_share: float = 0.05
    thresholds: tuple[float, float] = (0.05, 0.6)

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

    def draw_operations(self, rng: np.random.Generator) -> list[str]:
        """What one photo is retouched with."""
        kind, operations = rng.random(), self.source.operations
        if kind < self.untouched_share:
            return []
        if kind < self.untouched_share + self.single_share:
            return [operations[int(rng.integers(len(operations)))]]
        return random_subset(rng, operations)

    def route(
        self, rng: np.random.Generator, present: Tensor, probabilities: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Which experts run, and the gates that the merger sees, both B K."""
        shape = tuple(present.shape)

        def chance(share: float, size: tuple[int, ...]) -> Tensor:
            return torch.as_tensor(rng.random(size) < share, device=present.device)

        given = present ^ chance(self.wrong_share, shape)
        limit = torch.as_tensor(rng.uniform(*self.thresholds, shape)).to(probabilities)
        chosen = chance(self.given_share, (shape[0], 1))
        active = torch.where(chosen, given, probabilities >= limit)
        return active, torch.where(chosen, given.to(probabilities), probabilities)

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """L_space of the merged photo."""
        images, points = self.source.draw(rng, self.batch_size)
        recipes = [
            self.source.recipe(rng, self.draw_operations(rng)) for _ in range(self.batch_size)
        ]
        operations = self.source.operations
        photos, target = retouch_and_target(images, points, recipes, None, operations)

        with torch.no_grad():
            verdict = self.router(photos.image)
        active, gates = self.route(rng, photos.degrees > 0, verdict.probabilities)
        residuals = self.residuals(photos.image, active, verdict.degrees)
        merged = self.model.train()(photos.image, residuals, gates)
        return {"space": hybrid(photos.image + merged, target)}
