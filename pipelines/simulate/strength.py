"""How an algorithm's degree and variations become its engine's settings."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from . import draws


class Span(NamedTuple):
    """Range of a setting over the degrees, log-uniform in both of its parts.

    Attributes:
        low: Value just above degree 0.
        bulk: Value at degree `draws.BULK`, the strongest that vendors use.
        tail: Value at degree 1, as free engines have it at full slider.
    """

    low: float
    bulk: float
    tail: float

    def at(self, degrees: Tensor) -> Tensor:
        """The setting at each degree in [0, 1]; exactly 0 at degree 0."""
        value = draws.strength(degrees, *self).flatten()
        return torch.where(degrees > 0, value, torch.zeros_like(value))


def further_numbers(variations: Tensor, count: int) -> Tensor:
    """Free numbers in [0, 1) beyond the four variations themselves: B 4 -> B `count`."""
    first = variations.shape[1]
    return torch.stack([draws.number(variations, first + i) for i in range(count)], dim=1)


def between(low: float, high: float, share: Tensor) -> Tensor:
    """Numbers from `low` to `high`."""
    return low + (high - low) * share


def smoothstep(x: Tensor) -> Tensor:
    """0 up to 0, 1 from 1 on, with level ends."""
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


def bump(x: Tensor, start: float, top: float, end: float) -> Tensor:
    """0 up to `start`, 1 at `top`, 0 from `end` on."""
    return smoothstep((x - start) / (top - start)) * smoothstep((end - x) / (end - top))
