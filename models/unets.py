"""The U-Net of diffusers as MoFRR's experts use it."""

from diffusers import UNet2DModel
from torch import nn


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
