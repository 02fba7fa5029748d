"""U-Nets: diffusers' own as MoFRR's experts use it, and the way through a plain one."""

import torch
import torch.nn.functional as F
from diffusers import UNet2DModel
from torch import Tensor, nn


def make_unet(
    in_channels: int, out_channels: int, widths: tuple[int, ...], layers: int, attention: tuple
) -> UNet2DModel:
    """A diffusers U-Net with attention at the given levels, its last convolution zero."""
    levels = range(len(widths))
    down = tuple("AttnDownBlock2D" if i in attention else "DownBlock2D" for i in levels)
    up = tuple("AttnUpBlock2D" if i in attention else "UpBlock2D" for i in reversed(levels))
    unet = UNet2DModel(
        in_channels=in_channels,
        out_channels=out_channels,
        block_out_channels=widths,
        layers_per_block=layers,
        down_block_types=down,
        up_block_types=up,
        norm_num_groups=min(32, max(8, widths[0] // 8)),
        attention_head_dim=None,
    )
    for parameter in unet.conv_out.parameters():
        nn.init.zeros_(parameter)
    return unet


def through_unet(features: Tensor, down: nn.ModuleList, up: nn.ModuleList) -> Tensor:
    """Features B C h w through blocks that halve and blocks that double the side, with skips.

    Args:
        features: sides divisible by 2 to the power of the number of levels but one.
        down: a block for each level, the finest first.
        up: a block for each level but the coarsest, which sees the coarser one and the skip.
    """
    skips = []
    for i, block in enumerate(down):
        features = block(features if i == 0 else F.avg_pool2d(features, 2))
        skips.append(features)
    for block, skip in zip(up, reversed(skips[:-1]), strict=True):
        features = F.interpolate(features, scale_factor=2, mode="nearest")
        features = block(torch.cat((features, skip), dim=1))
    return features
