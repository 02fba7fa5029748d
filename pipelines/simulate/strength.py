"""How an algorithm's degree and variations become its engine's settings."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

BULK = 0.85  # up to this degree a setting stays within what vendors use

_SPREAD = (37.13, 113.71, 311.93, 1031.37, 2791.11, 5477.23)


class Span(NamedTuple):
    """Range of a setting over the degrees, log-uniform in both of its parts.

    Attributes:
        low: Value just above degree 0.
        bulk: Value at degree `BULK`, the strongest that vendors use.
        tail: Value at degree 1, as free engines have it at full slider.
    """

    low: float
    bulk: float
    tail: float

    def at(self, degrees: Tensor) -> Tensor:
        """The setting at each degree in [0, 1]; exactly 0 at degree 0."""
        usual = (degrees / BULK).clamp(0, 1)
        beyond = ((degrees - BULK) / (1 - BULK)).clamp(0, 1)
        value = self.low * (self.bulk / self.low) ** usual * (self.tail / self.bulk) ** beyond
        return torch.where(degrees > 0, value, torch.zeros_like(value))


def further_numbers(variation: Tensor, count: int) -> Tensor:
    """More numbers in [0, 1) from the later digits of one variation: B -> B `count`, even."""
    return (variation[:, None] * variation.new_tensor(_SPREAD[:count])).frac()


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
