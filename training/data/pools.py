"""Batches simulated once and kept, for networks that learn faster than photos are retouched."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
import torch

Batch = TypeVar("Batch", bound=tuple)  # a named tuple of tensors
_AT_ONCE = 8


@dataclass
class Pool(Generic[Batch]):
    """`size` items that `simulate` makes at the first draw, the same again after a resume.

    Attributes:
        simulate: makes a batch, a named tuple of tensors n ..., from a generator and a count n.
        size: number of items kept; 0 keeps none and simulates every batch anew.
        seed: of the items kept.
    """

    simulate: Callable[[np.random.Generator, int], Batch]
    size: int
    seed: int = 0

    @cached_property
    def items(self) -> Batch:
        """All items, floats in half precision."""
        rng = np.random.default_rng(self.seed)
        counts = [min(_AT_ONCE, self.size - start) for start in range(0, self.size, _AT_ONCE)]
        batches = [self.simulate(rng, count) for count in counts]
        parts = [torch.cat([_kept(p) for p in parts]) for parts in zip(*batches, strict=True)]
        kind: Any = type(batches[0])
        return kind(*parts)

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """`count` items, drawn with replacement, floats in single precision."""
        if not self.size:
            return self.simulate(rng, count)
        rows = torch.as_tensor(rng.integers(self.size, size=count))
        kind: Any = type(self.items)
        drawn = (part[rows] for part in self.items)
        return kind(*(part.float() if part.is_floating_point() else part for part in drawn))


def _kept(part: torch.Tensor) -> torch.Tensor:
    return part.half() if part.is_floating_point() else part
