"""How much memory MoFRR's networks need for activations, for whoever has to make room."""

from __future__ import annotations

from typing import Any

import torch

from ...models.mofrr.bands import WHOLE
from ...models.mofrr.native_view import OWN_SIZE
from ...models.mofrr.texture_expert import TextureExpert
from ...models.mofrr.tone_expert import ToneExpert

# Bytes in float32, per pixel of the picture; `benchmarks.activations` prints what is really held.
PLANES = 90  # pictures, flows and residuals at full size
ROUTER_CHANNEL = 8  # a channel of the first stage, at half side
EXPERT_CHANNEL = 16  # a channel of HFCAM's fine level, at half side
SHARED_CHANNEL = 2  # a channel of the first level, at a quarter of the side
MERGER_EXPERT = 100  # an expert's residual, at full size
TEXTURE_CHANNEL = 4  # a channel of the texture expert, at half side
TEXTURE_DIFFUSION = 10  # a channel of the texture diffusion, at half side
TONES = 60  # the tone expert's colour matrices, at full size


def bytes_for_picture(
    part: str, network: Any, height: int, width: int, drawing: bool = False
) -> int:
    """Activation memory of one picture in one network.

    Args:
        part: the network's name in the pipeline.
        network: the network itself; its config and dtype count.
        height: of the picture as the network sees it.
        width: likewise.
        drawing: whether it draws texture, which only samples need.
    """
    config = network.config
    if network.size_requirements == OWN_SIZE:
        area = height * width
        return PLANES * area + _at_own_size(network, area, drawing)
    if part == "router":
        per_pixel = ROUTER_CHANNEL * max(config.embedding_size, config.hidden_sizes[0])
    elif part == "merger":
        per_pixel = MERGER_EXPERT * (len(config.operations) + 1)
    elif part == "shared_expert":
        per_pixel = SHARED_CHANNEL * config.channels[0]
    else:
        per_pixel = EXPERT_CHANNEL * max(config.hfcam_width, config.denoiser_channels[0])
    bits = torch.finfo(network.dtype).bits
    return (PLANES + per_pixel) * height * width * bits // 32


def _at_own_size(network: Any, area: int, drawing: bool) -> int:
    """What a network that reads photos at their own size holds beside the planes, in bytes.

    Most of it is measured on the photo itself, in float32 whatever the weights' dtype, and in tiles
    where there are more than `WHOLE` of its `area` pixels; texture is drawn over all of it at once.
    """
    tiled = min(area, WHOLE)
    if isinstance(network, TextureExpert):
        if drawing:
            return TEXTURE_DIFFUSION * network.config.diffusion_width * area
        return TEXTURE_CHANNEL * network.config.width * tiled
    return TONES * tiled if isinstance(network, ToneExpert) else 0
