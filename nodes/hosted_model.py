"""A pipeline whose networks the host loads and evicts: what travels on the models' sockets."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DiffusionPipeline
from torch import nn

from . import host


class HostedModel:
    """A pipeline whose networks are the host's to load and to evict, each one by itself.

    Nothing of it stays on a device: ask by `ready` before every use.

    Args:
        pipeline: all its networks on the CPU.
        name: as the user chose it.
    """

    def __init__(self, pipeline: DiffusionPipeline, name: str) -> None:
        pipeline.set_progress_bar_config(disable=True)
        self.pipeline: Any = pipeline
        self.name = name
        networks = {
            part: network
            for part, network in pipeline.components.items()
            if isinstance(network, nn.Module)
        }
        self.patchers = {part: host.wrap(network) for part, network in networks.items()}

    def get_models(self) -> list[Any]:
        """Every patcher, for the host's accounts."""
        return list(self.patchers.values())

    def ready(
        self, part: str, pictures: int, height: int, width: int, drawing: bool = False
    ) -> torch.device:
        """Bring one network to its device for pictures of this size; returns the device."""
        host.check_interrupted()
        needed = pictures * self.bytes_for_picture(part, height, width, drawing)
        return host.load(self.patchers[part], needed)

    def bytes_for_picture(self, part: str, height: int, width: int, drawing: bool = False) -> int:
        """Activation memory that a network needs for one picture of this size.

        Args:
            part: the network's name.
            height: of the picture as the network sees it.
            width: likewise.
            drawing: whether it draws what its answer leaves.
        """
        raise NotImplementedError
