"""SharedExpert, MoFRR's always-active expert: a conditional DDIM on the image, without wavelets.

It works on the photo reduced four times; its residual is brought back to full size, so the texture
of the photo stays (ICCV 2025, section "Shared expert").
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin, UNet2DModel
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

REDUCTION = 4


class SharedCondition(NamedTuple):
    """What the shared expert knows of a photo, fixed over the denoising steps."""

    photo: Tensor  # B 3 H W
    low: Tensor  # B 3 h w, the photo reduced four times, [-1, 1]


class SharedPrediction(NamedTuple):
    """One denoising step."""

    prediction: Tensor  # B 3 h w, the clean reduced image
    idem_residual: None = None  # the shared expert has no IDEM


class SharedOutput(NamedTuple):
    """A restored photo: image = photo + residual."""

    photo: Tensor  # B 3 H W
    flow: Tensor  # B 2 H W, zeros: the shared expert moves nothing
    residual: Tensor  # B 3 H W

    @property
    def image(self) -> Tensor:
        """B 3 H W, not clamped."""
        return self.photo + self.residual


class SharedExpert(ModelMixin, ConfigMixin):
    """Restores any mixture of operations at low resolution. At initialisation it is the identity.

    Args:
        channels: widths of the U-Net's levels; each level halves the side.
        layers: residual blocks a level.
        attention_levels: levels with self-attention.
    """

    @register_to_config
    def __init__(
        self,
        channels: tuple[int, ...] = (16, 32, 64),
        layers: int = 1,
        attention_levels: tuple[int, ...] = (2,),
    ) -> None:
        super().__init__()
        levels = range(len(channels))
        self.denoiser = UNet2DModel(
            in_channels=6,
            out_channels=3,
            block_out_channels=channels,
            layers_per_block=layers,
            down_block_types=tuple(
                "AttnDownBlock2D" if i in attention_levels else "DownBlock2D" for i in levels
            ),
            up_block_types=tuple(
                "AttnUpBlock2D" if i in attention_levels else "UpBlock2D" for i in reversed(levels)
            ),
            norm_num_groups=min(32, max(8, channels[0] // 8)),
            attention_head_dim=None,
        )
        for parameter in self.denoiser.conv_out.parameters():
            nn.init.zeros_(parameter)
        self.size_multiple = REDUCTION * 2 ** (len(channels) - 1)

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Shape (3, h, w) of the reduced image that is denoised for a photo of this size."""
        multiple = self.size_multiple
        return 3, -(-height // multiple) * multiple // 4, -(-width // multiple) * multiple // 4

    def prepare(self, photo: Tensor, degree: Tensor | None = None) -> SharedCondition:
        """Reduces a photo B 3 H W in [-1, 1]; `degree` is not used (the paper's shared expert)."""
        height, width = photo.shape[-2:]
        bottom, right = -height % self.size_multiple, -width % self.size_multiple
        padded = photo
        if bottom or right:
            padded = F.pad(photo, (0, right, 0, bottom), mode="replicate")
        return SharedCondition(photo, F.avg_pool2d(padded, REDUCTION))

    def denoise(
        self, latents: Tensor, timestep: Tensor | int, condition: SharedCondition
    ) -> SharedPrediction:
        """One step: noisy reduced image B 3 h w at `timestep` (int or B) -> clean reduced image."""
        features = torch.cat((latents, condition.low), dim=1)
        return SharedPrediction(condition.low + self.denoiser(features, timestep).sample)

    def reconstruct(self, low: Tensor, condition: SharedCondition) -> SharedOutput:
        """Brings the change of the reduced image back to full size and adds it to the photo."""
        change = (low - condition.low).float()
        single = change.flatten(0, 1)[:, None]  # three times as quick as three channels
        single = F.interpolate(single, scale_factor=REDUCTION, mode="bilinear")
        change = single.view(*change.shape[:2], *single.shape[-2:])
        height, width = condition.photo.shape[-2:]
        residual = change[..., :height, :width].to(low.dtype)
        flow = residual.new_zeros(1).expand(len(residual), 2, height, width)
        return SharedOutput(condition.photo, flow, residual)

    def forward(
        self,
        photo: Tensor,
        degree: Tensor | None = None,
        latents: Tensor | None = None,
        timestep: Tensor | int = 999,
    ) -> SharedOutput:
        """The estimate of one step from `latents` (default zeros); photo B 3 H W in [-1, 1]."""
        condition = self.prepare(photo, degree)
        if latents is None:
            latents = torch.zeros_like(condition.low)
        return self.reconstruct(self.denoise(latents, timestep, condition).prediction, condition)
