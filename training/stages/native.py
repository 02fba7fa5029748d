"""What the stages share that learn from photos at their own size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ...models.mofrr.native_view import place
from ...pipelines.operations import OPERATIONS
from ..data.material import Material
from ..data.native_batches import ChainPools
from ..settings import setting
from .base import StageConfig

SURVEYED = 200  # chains that statistics are taken from
_AT_ONCE = 20


@dataclass(frozen=True, kw_only=True)
class NativeConfig(StageConfig):
    """Settings of the stages that learn from pools of chains."""

    operations: ClassVar[tuple[str, ...]] = OPERATIONS

    warmup: int = setting(100, "steps of linear warm-up", least=0)
    weight_decay: float = setting(0.02, "of AdamW", least=0)
    ema_decay: float = setting(0.998, "limit of the average of weights", least=0, most=1)

    def chains(self, material: Material) -> ChainPools:
        """The pools that the stage learns from.

        Raises:
            ValueError: there are none.
        """
        if not material.pools:
            raise ValueError(
                "this learns from pools: make one with `frr pool native`, name it with --pool"
            )
        return ChainPools(material.pools, material.device, material.share)


@dataclass(frozen=True, kw_only=True)
class NativeExpertConfig(NativeConfig):
    """Settings of the stages that train an expert."""

    unknown_share: float = setting(
        1.0,
        "part of the edit kept where nobody tells the degree; kept in its config, not trained with",
        above=0,
        most=1,
    )

    decibels: float = setting(
        0.3,
        "weight of the error's logarithm beside the error itself: more of it makes edits that are "
        "not sure smaller",
        least=0,
    )

    def expert(self, kind: type[Any], part: str, operation: str) -> Any:
        """The expert for an operation, with random weights or those that `start` names.

        Raises:
            ValueError: `start` holds an expert for another operation.
        """
        expert = self.network(kind, part)
        if self.start and expert.config.operation != operation:
            raise ValueError(
                f"start={self.start} is for {expert.config.operation}; this is for {operation}"
            )
        expert.register_to_config(operation=operation, unknown_share=self.unknown_share)
        return expert


@torch.no_grad()
def survey(
    chains: ChainPools, layer: nn.BatchNorm2d, field: str = "traces", count: int = SURVEYED
) -> None:
    """Sets a layer's statistics to those of the measures in a pool.

    Args:
        chains: the pool; chains are taken evenly.
        layer: what standardises them.
        field: of a view; traces have been put in their places by `place`.
        count: about how many chains are looked at, in all their versions.
    """
    every = range(0, len(chains), max(1, len(chains) // count))
    total, squares, number = 0.0, 0.0, 0
    for start in range(0, len(every), _AT_ONCE):
        view = chains.at(every[start : start + _AT_ONCE]).view()
        planes = place(view.traces, view.side) if field == "traces" else getattr(view, field)
        values = planes.double().transpose(0, 1).flatten(1)
        total, squares = total + values.sum(1), squares + values.square().sum(1)
        number += values.shape[1]
    mean = torch.as_tensor(total) / number
    variance = (torch.as_tensor(squares) / number - mean.square()).clamp_min(0)
    assert layer.running_mean is not None and layer.running_var is not None
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance * number / (number - 1))


def survey_all(chains: ChainPools, layers: Mapping[str, nn.BatchNorm2d]) -> None:
    """Sets the statistics of all layers that standardise, by the field of a view they read."""
    for field, layer in layers.items():
        survey(chains, layer, field)


def learning(network: nn.Module, *standardizations: nn.Module) -> Any:
    """The network in training mode, but for its standardisations, which keep their statistics."""
    network.train()
    for layer in standardizations:
        layer.eval()
    return network


def log_left(error: Tensor, before: Tensor, floor: float, weights: Tensor) -> Tensor:
    """The weighted mean log of what is left of mean square errors B, below a floor of nothing."""
    return (((error + floor) / (before + floor)).log() * weights).mean()


def known_degree(rng: np.random.Generator, effects: Tensor) -> Tensor:
    """The degree B as a user or a router would give it: most of them unknown, the rest inexact."""
    noise = torch.as_tensor(rng.normal(0, 0.05, size=len(effects))).to(effects)
    unknown = torch.as_tensor(rng.random(len(effects)) < 0.6).to(effects.device)
    return torch.where(unknown, torch.nan, (effects + noise * effects).clamp(0, 1))
