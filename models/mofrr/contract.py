"""What the pipeline asks of MoFRR's networks, and what they answer with.

"The degree is to be estimated" is NaN, everywhere; "nothing moves" is a flow of None.
"""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ..sizes import SizeRequirements

ESTIMATED = float("nan")  # a degree that the expert is to estimate itself


class DenoiserOutput(NamedTuple):
    """One denoising step."""

    prediction: Tensor  # B 3 h w: the clean low band, or the noise with prediction_type="epsilon"
    idem_residual: Tensor | None = None  # B 3 h w, IDEM's estimate of clean minus retouched band


class ExpertOutput(NamedTuple):
    """A restored photo, taken apart: image = warp(photo, flow) + residual."""

    warped: Tensor  # B 3 H W
    flow: Tensor | None  # B 2 H W, pixels (x, y), backward; None where the expert moves nothing
    residual: Tensor  # B 3 H W

    @property
    def image(self) -> Tensor:
        """B 3 H W, around [-1, 1], not clamped."""
        return self.warped + self.residual


class Expert(Protocol):
    """One of MoFRR's experts: a conditional denoiser of a small image, brought back to the photo's.

    `prepare` once, `denoise` in every step of a scheduler, `reconstruct` at the end.
    """

    config: Any  # diffusers' FrozenDict
    size_requirements: SizeRequirements
    estimates_degrees: bool  # whether it works in proportion to a degree

    @property
    def has_coarse_head(self) -> bool:
        """Whether `prepare` looks at the photo's traces."""
        ...

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Shape (3, h, w) of what is denoised for a photo of this size."""
        ...

    def raw_traces(self, photo: Tensor) -> Tensor:
        """What experts of one class all see of a photo, to be computed once."""
        ...

    def estimate_degree(self, photo: Tensor, raw: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits over the degree levels, B L, and the expected degree, B."""
        ...

    def prepare(self, photo: Tensor, degree: Tensor, raw: Tensor | None = None) -> Any:
        """All that the steps need of photos B 3 H W in [-1, 1] and their degrees B."""
        ...

    def denoise(self, latents: Tensor, timestep: Tensor | int, condition: Any) -> DenoiserOutput:
        """One step on latents B 3 h w."""
        ...

    def reconstruct(self, low: Tensor, condition: Any) -> ExpertOutput:
        """The restored photo from the denoised B 3 h w."""
        ...


class Verdict(Protocol):
    """What a router says of B photos and K operations."""

    @property
    def probabilities(self) -> Tensor:
        """That each operation was applied, B K in [0, 1]."""
        ...

    @property
    def degrees(self) -> Tensor:
        """How strongly, given that it was, B K in (0, 1]."""
        ...


class Router(Protocol):
    """MoFRR's router: photos B 3 H W in [-1, 1] -> its verdict on them."""

    config: Any  # diffusers' FrozenDict; holds `operations` and `thresholds`
    size_requirements: SizeRequirements

    def __call__(self, photo: Tensor) -> Verdict:
        """Judges photos that were brought to the size that its requirements name."""
        ...


class Merger(Protocol):
    """MoFRR's merger: how much of each expert's change counts, pixel by pixel."""

    config: Any  # diffusers' FrozenDict
    size_requirements: SizeRequirements

    def gains(self, photo: Tensor, residuals: Tensor, probabilities: Tensor) -> Tensor:
        """Photo B 3 H W, changes B E 3 H W and probabilities B K -> gains B E H W."""
        ...


def known_degrees(expert: Expert, photo: Tensor, degree: Tensor, raw: Tensor | None) -> Tensor:
    """The degrees B, those that are NaN estimated by the expert from photos B 3 H W."""
    estimate = expert.estimate_degree(photo, raw)[1].to(degree.dtype)
    return torch.where(degree.isnan(), estimate, degree)
