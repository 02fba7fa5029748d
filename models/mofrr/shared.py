"""SharedExpert, MoFRR's always-active expert: a conditional DDIM on the image, without wavelets.

It works on the photo reduced four times; its residual is brought back to full size, so the texture
of the photo stays (ICCV 2025, section "Shared expert").
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor

from ..sizes import LATENT_STRIDE, SizeRequirements
from ..unets import make_unet
from .contract import DenoiserOutput, ExpertOutput
from .denoising import DenoisingExpert, check_prediction


class SharedCondition(NamedTuple):
    """What the shared expert knows of a photo, fixed over the denoising steps."""

    photo: Tensor  # B 3 H W
    low: Tensor  # B 3 h w, the photo reduced four times, [-1, 1]


class SharedExpert(DenoisingExpert):
    """Restores any mixture of operations at low resolution. At initialisation it is the identity.

    Args:
        channels: widths of the U-Net's levels; each level halves the side.
        layers: residual blocks a level.
        attention_levels: levels with self-attention.
        prediction_type: "sample" (clean = photo's reduced image + correction) or "epsilon".
    """

    @register_to_config
    def __init__(
        self,
        channels: tuple[int, ...] = (16, 32, 64),
        layers: int = 1,
        attention_levels: tuple[int, ...] = (2,),
        prediction_type: str = "sample",
    ) -> None:
        super().__init__()
        check_prediction(prediction_type)
        self.denoiser = make_unet(6, 3, channels, layers, attention_levels)
        self.size_requirements = SizeRequirements(1, LATENT_STRIDE * 2 ** (len(channels) - 1))

    def prepare(
        self, photo: Tensor, degree: Tensor | None = None, raw: Tensor | None = None
    ) -> SharedCondition:
        """Reduces a photo B 3 H W in [-1, 1]; degree and traces are not used, as in the paper."""
        padded = self.size_requirements.pad(photo)
        return SharedCondition(photo, F.avg_pool2d(padded, LATENT_STRIDE))

    def denoise(
        self, latents: Tensor, timestep: Tensor | int, condition: SharedCondition
    ) -> DenoiserOutput:
        """One step: noisy reduced image B 3 h w at `timestep` (int or B) -> prediction."""
        features = torch.cat((latents, condition.low), dim=1)
        prediction = self.denoiser(features, timestep).sample
        if self.config.prediction_type == "sample":
            prediction = condition.low + prediction
        return DenoiserOutput(prediction)

    def reconstruct(self, low: Tensor, condition: SharedCondition) -> ExpertOutput:
        """Brings the change of the reduced image back to full size and adds it to the photo."""
        change = (low - condition.low).float()
        single = change.flatten(0, 1)[:, None]  # three times as quick as three channels
        single = F.interpolate(single, scale_factor=LATENT_STRIDE, mode="bilinear")
        change = single.view(*change.shape[:2], *single.shape[-2:])
        height, width = condition.photo.shape[-2:]
        residual = change[..., :height, :width].to(low.dtype)
        return ExpertOutput(condition.photo, None, residual)
