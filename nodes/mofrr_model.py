"""What travels on a MOFRR_MODEL socket: a pipeline whose networks the host loads and evicts."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..pipelines.pipeline_mofrr import MoFRRPipeline
from . import host

# Bytes of activations per pixel that a network works on and per channel of its widest level at full
# rate, in float32; measured by benchmarks/activations.py, rounded up.
EXPERT_BYTES = 60
SHARED_BYTES = 30
ROUTER_BYTES = 90
MERGER_BYTES = 30


class MoFRRModel:
    """A pipeline whose networks are the host's to load and to evict, each one by itself.

    Nothing of it stays on a device: ask by `ready` before every use.

    Args:
        pipeline: all its networks on the CPU.
        name: as the user chose it.
    """

    def __init__(self, pipeline: MoFRRPipeline, name: str) -> None:
        pipeline.set_progress_bar_config(disable=True)
        self.pipeline, self.name = pipeline, name
        networks = {
            part: network
            for part, network in pipeline.components.items()
            if isinstance(network, nn.Module)
        }
        self.patchers = {part: host.wrap(network) for part, network in networks.items()}

    def get_models(self) -> list[Any]:
        """Every patcher, for the host's accounts."""
        return list(self.patchers.values())

    def ready(self, part: str, pictures: int, height: int, width: int) -> torch.device:
        """Bring one network to its device for pictures of this size; returns the device."""
        host.check_interrupted()
        needed = pictures * self.bytes_for_picture(part, height, width)
        return host.load(self.patchers[part], needed)

    def bytes_for_picture(self, part: str, height: int, width: int) -> int:
        """Activation memory that a network needs for one picture of this size."""
        network = getattr(self.pipeline, part)
        config, size = network.config, torch.finfo(network.dtype).bits // 8
        if part == "router":
            per_pixel = ROUTER_BYTES * max(config.hidden_sizes[:2])
        elif part == "merger":
            per_pixel = MERGER_BYTES * (3 + 4 * (len(config.operations) + 1))
        elif part == "shared_expert":
            per_pixel = SHARED_BYTES * config.channels[0]
        else:
            per_pixel = EXPERT_BYTES * max(config.hfcam_width, config.denoiser_channels[0])
        return per_pixel * height * width * size // 4
