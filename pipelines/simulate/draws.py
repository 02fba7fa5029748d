"""Numbers drawn for one edit: its strength from a degree, everything else from four variations."""

from __future__ import annotations

import torch
from torch import Tensor

from .filters import per_sample

BULK = 0.85
"""Degrees up to this span the strengths that vendors use; the rest is the tail of strong ones."""
_FIRST, _NEXT = 97.3, 114.37  # factors; each makes four further numbers of the four given


def strength(degrees: Tensor, low: float, bulk: float, high: float) -> Tensor:
    """Maps degrees log-uniformly: (0, BULK] to (low, bulk], the rest to (bulk, high].

    Args:
        degrees: B in [0, 1].
        low: strength just above degree 0, > 0.
        bulk: strength at degree `BULK`.
        high: strength at degree 1.

    Returns:
        B 1 1 1.
    """
    usual = (degrees / BULK).clamp(0, 1)
    beyond = ((degrees - BULK) / (1 - BULK)).clamp(0, 1)
    return per_sample(low * (bulk / low) ** usual * (high / bulk) ** beyond)


def number(variations: Tensor, index: int) -> Tensor:
    """The `index`-th free number of each sample, length B in [0, 1].

    The first four are the variations (B 4 in [0, 1]) themselves, the others fractional parts of
    large multiples of them.
    """
    turn, column = divmod(index, variations.shape[1])
    value = variations[:, column]
    return value if turn == 0 else torch.frac(value * (_FIRST + _NEXT * (turn - 1)))


def between(variations: Tensor, index: int, low: float, high: float) -> Tensor:
    """The `index`-th free number, spread evenly over [low, high]: B 1 1 1."""
    return per_sample(low + (high - low) * number(variations, index))


def octaves_between(variations: Tensor, index: int, low: float, high: float) -> Tensor:
    """The `index`-th free number, spread log-uniformly over [low, high]: B 1 1 1."""
    return per_sample(low * (high / low) ** number(variations, index))
