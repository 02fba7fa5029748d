"""What MoFRR's experts have in common: a low band that is denoised, in one step or in many."""

from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin
from torch import Tensor

from ..sizes import LATENT_STRIDE, SizeRequirements
from .contract import ESTIMATED, DenoiserOutput, ExpertOutput, known_degrees


def check_prediction(kind: str) -> None:
    """Raises ValueError unless an expert can predict this."""
    if kind not in ("sample", "epsilon"):
        raise ValueError(f"prediction_type is {kind!r}; expected 'sample' or 'epsilon'")


class DenoisingExpert(ModelMixin, ConfigMixin):
    """An expert that denoises a band at 1 / `LATENT_STRIDE` of the photo's sides."""

    size_requirements: SizeRequirements
    estimates_degrees = False

    @property
    def has_coarse_head(self) -> bool:
        """Whether there is a warp head or a tone head, which see the photo's traces."""
        return False

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Shape (3, h, w) of the band on which a photo of this size is denoised."""
        height, width = self.size_requirements.rounded(height, width)
        return 3, height // LATENT_STRIDE, width // LATENT_STRIDE

    def raw_traces(self, photo: Tensor) -> Tensor:
        """What experts of one class all see of a photo; for those that look at traces."""
        raise NotImplementedError

    def estimate_degree(self, photo: Tensor, raw: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits over the degree levels, B L, and the expected degree, B; for those with one."""
        raise NotImplementedError

    def prepare(self, photo: Tensor, degree: Tensor, raw: Tensor | None = None) -> Any:
        """All that the steps need of a photo; its `low` is the photo's own band."""
        raise NotImplementedError

    def denoise(self, latents: Tensor, timestep: Tensor | int, condition: Any) -> DenoiserOutput:
        """One step on latents B 3 h w."""
        raise NotImplementedError

    def reconstruct(self, low: Tensor, condition: Any) -> ExpertOutput:
        """The restored photo from the denoised band."""
        raise NotImplementedError

    def forward(
        self,
        photo: Tensor,
        degree: Tensor | float = ESTIMATED,
        latents: Tensor | None = None,
        timestep: Tensor | int = 999,
    ) -> ExpertOutput:
        """The estimate of one step.

        Args:
            photo: B 3 H W in [-1, 1].
            degree: B in [0, 1], or one for all; NaN where it is to be estimated.
            latents: B 3 h w; None starts from zeros.
            timestep: int or B.
        """
        degree = torch.as_tensor(degree).to(photo).expand(len(photo))
        if self.estimates_degrees:
            degree = known_degrees(self, photo, degree, None)
        condition = self.prepare(photo, degree)
        if latents is None:
            latents = torch.zeros_like(condition.low)
        return self.reconstruct(self.denoise(latents, timestep, condition).prediction, condition)
