"""PixelCritic, BPFRe's pixel-level discriminator: a U-Net with one logit for every pixel.

A positive logit means: this pixel is clean skin; a negative one: blemished or retouched.
"""

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ..unets import through_unet


class CriticBlock(nn.Module):
    """Two spectrally normalised convolutions."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = spectral_norm(nn.Conv2d(in_channels, out_channels, 3, padding=1))
        self.second = spectral_norm(nn.Conv2d(out_channels, out_channels, 3, padding=1))

    def forward(self, features: Tensor) -> Tensor:
        """B C h w -> B C' h w."""
        return F.leaky_relu(self.second(F.leaky_relu(self.first(features), 0.2)), 0.2)


class PixelCritic(ModelMixin, ConfigMixin):
    """Photo -> one logit a pixel.

    Args:
        channels: widths of the U-Net's levels, finest first; each halves the side.
        fold: the photo is folded into blocks of `fold` x `fold` pixels before the first level.
    """

    # Spectral norms multiply weights as they are stored, which float8 cannot.
    _skip_layerwise_casting_patterns = ("down", "up")

    @register_to_config
    def __init__(self, channels: tuple[int, ...] = (16, 32, 48), fold: int = 2) -> None:
        super().__init__()
        widths = (3 * fold * fold, *channels)
        self.down = nn.ModuleList(
            CriticBlock(before, after) for before, after in zip(widths, channels, strict=False)
        )
        self.up = nn.ModuleList(
            CriticBlock(channels[i] + channels[i + 1], channels[i])
            for i in reversed(range(len(channels) - 1))
        )
        self.head = nn.Conv2d(channels[0], fold * fold, 1)

    def forward(self, photo: Tensor) -> Tensor:
        """Judges photos.

        Args:
            photo: B 3 H W in [-1, 1]; sides must be multiples of fold * 2^(levels - 1).

        Returns:
            B 1 H W logits, positive = clean.

        Raises:
            ValueError: for sides that do not halve evenly.
        """
        multiple = self.config.fold * 2 ** (len(self.config.channels) - 1)
        if photo.shape[-2] % multiple or photo.shape[-1] % multiple:
            raise ValueError(
                f"the critic needs sides that are multiples of {multiple}, got "
                f"{photo.shape[-1]} x {photo.shape[-2]}"
            )
        features = F.pixel_unshuffle(photo, self.config.fold)
        features = features.contiguous(memory_format=torch.channels_last)
        features = through_unet(features, self.down, self.up)
        return F.pixel_shuffle(self.head(features), self.config.fold).float()
