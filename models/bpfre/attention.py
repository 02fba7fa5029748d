"""Blemish-aware attention: a map of blemishes, and features without them (BPFRe, CVPR 2023)."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MAP_SCALE = 0.05  # a usual value of the maps on a blemish


class FloorAtZero(torch.autograd.Function):
    """max(x, 0) whose gradient still lifts values below zero: no map can die, none can sink."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        """Any shape."""
        ctx.save_for_backward(values)
        return values.clamp_min(0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """Passes what descends into the allowed range."""
        (values,), (gradient,) = ctx.saved_tensors, gradients
        return gradient * ((values > 0) | (gradient < 0))


class BlemishAttention(nn.Module):
    """Blemish-aware attention: a blemish map, and features in which blemishes are suppressed.

    At each level a small head sees the features and what the coarser level found; the finest
    level's evidence is the map. Each level's features are multiplied by sigmoid weights that are
    computed from features and map, one per pixel and channel.

    Args:
        channels: widths of the levels, finest first.
        fold: the map is this many times larger than the finest level.
        width: channels of the evidence passed from level to level.
    """

    def __init__(self, channels: Sequence[int], fold: int, width: int) -> None:
        super().__init__()
        self.fold = fold
        self.evidence = nn.ModuleList(nn.Conv2d(c, width, 3, padding=1) for c in channels)
        self.pass_on = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in channels[1:])
        self.map_head = nn.Conv2d(width, fold * fold, 3, padding=1)
        self.weights = nn.ModuleList(nn.Conv2d(c + 1, c, 1) for c in channels)

    def forward(self, features: Sequence[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Levels, finest first -> the attended levels, and the map B 1 H W."""
        found = self.evidence[-1](features[-1])
        for level in reversed(range(len(features) - 1)):
            coarser = self.pass_on[level](F.leaky_relu(found, 0.2))
            found = self.evidence[level](features[level]) + F.interpolate(coarser, scale_factor=2)
        logits = F.pixel_shuffle(self.map_head(F.leaky_relu(found, 0.2)), self.fold)
        blemishes = FloorAtZero.apply(logits.float() * _MAP_SCALE)

        attended = []
        for depth, (level, layer) in enumerate(zip(features, self.weights, strict=True)):
            signal = F.avg_pool2d(blemishes, self.fold * 2**depth) / _MAP_SCALE
            inputs = torch.cat((level, signal.to(level.dtype)), dim=1)
            attended.append(level * torch.sigmoid(layer(inputs)))
        return attended, blemishes
