"""The style generator's layers (StyleGAN2, CVPR 2020)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ModulatedConv(nn.Module):
    """StyleGAN2's convolution: styles scale the inputs, outputs are brought back to unit scale.

    y = conv(x * s) / sqrt(sum over inputs of (w * s)^2), then noise, bias and leaky ReLU
    (Karras et al., CVPR 2020, section 2.2, eq. 1 and 3).
    """

    def __init__(self, in_channels: int, out_channels: int, style: int) -> None:
        super().__init__()
        self.affine = nn.Linear(style, in_channels)
        self.weight = nn.Parameter(
            torch.randn(out_channels, in_channels, 3, 3) / (3 * in_channels**0.5)
        )
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        nn.init.ones_(self.affine.bias)

    def forward(self, features: Tensor, style: Tensor, noise: bool) -> Tensor:
        """B C h w, B S -> B C' h w; with `noise`, fresh Gaussian noise is added."""
        scale = self.affine(style).float()
        energy = self.weight.float().square().sum((2, 3)) @ scale.square().T  # C' B
        demodulation = torch.rsqrt(energy.T + 1e-8)[:, :, None, None].to(features.dtype)
        modulated = features * scale[:, :, None, None].to(features.dtype)
        result = F.conv2d(modulated, self.weight.to(features.dtype), padding=1) * demodulation
        if noise:
            result = result + self.noise_strength * torch.randn_like(result[:, :1])
        return F.leaky_relu(result + self.bias[:, None, None], 0.2) * 2**0.5


class SynthesisBlock(nn.Module):
    """One resolution of the generator: the coarser block enlarged, the decoder's level."""

    def __init__(self, coarser: int, channels: int, style: int) -> None:
        super().__init__()
        self.join = nn.Conv2d(coarser + channels, channels, 1)
        self.first = ModulatedConv(channels, channels, style)
        self.second = ModulatedConv(channels, channels, style)

    def forward(self, features: Tensor | None, level: Tensor, style: Tensor, noise: bool) -> Tensor:
        """Features of the coarser block (None: there is none) and the decoder's level."""
        parts = [level]
        if features is not None:
            parts.insert(0, F.interpolate(features, size=level.shape[-2:], mode="nearest"))
        joined = self.join(torch.cat(parts, dim=1))
        return self.second(self.first(joined, style, noise), style, noise)
