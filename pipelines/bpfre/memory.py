"""How much memory BPFRe's networks need for activations, for whoever has to make room."""

from __future__ import annotations

from typing import Any

import torch

# Bytes in float32, per pixel of the picture; a test compares them with what is really held.
PLANES = 150  # pictures, edits and maps at full size, and the folded copies of them
HEALER_PLANES = 150  # the photo, its contrasts at half its sides, and the maps
HEALER_CHANNEL = 5  # a channel of the second path, at half the sides
CHANNEL = 60  # a channel of the first level, at 1 / fold of the side


def bytes_for_picture(network: Any, height: int, width: int) -> int:
    """Activation memory of one picture in a BlemishRetoucher.

    Args:
        network: the network, or a SkinHealer; its config and dtype count.
        height: of the picture as the network sees it.
        width: likewise.
    """
    config = network.config
    if "overview" in dict(network.named_children()):
        per_pixel = HEALER_PLANES + HEALER_CHANNEL * config.width
        return int(per_pixel * height * width * torch.finfo(network.dtype).bits / 32)
    per_pixel = PLANES + CHANNEL * config.channels[0] / config.fold**2
    return int(per_pixel * height * width * torch.finfo(network.dtype).bits / 32)
