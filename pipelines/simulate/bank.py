"""The operator bank: every algorithm by operation, and which stand for an unseen vendor.

A further operation is added by one call of `register`; recipes and the simulator then know it, as
they know `lip_tinting`, the example, which is not among the operations that the paper and the
shipped models undo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import byproducts, eyes, lip_tinting, slimming, smoothing, whitening

Algorithm = Callable[..., Any]
"""Photometric: (images, degrees, variations, face) -> Edit.

Geometric: (points, degrees, variations, height, width) -> flow B 2 H W.
"""

ALGORITHMS: dict[str, Mapping[str, Algorithm]] = {}
HELD_OUT: dict[str, tuple[str, ...]] = {}
GEOMETRIC: set[str] = set()
"""Operations that move structure."""
TONAL: set[str] = set()
"""Operations that change light and colour, but neither structure nor texture."""
FINISHES: dict[str, float] = {"sharpening": 0.35, "tint": 0.35}
"""By-products of engines, which no operation names, with the share of sessions that have each."""


def finish(name: str) -> Algorithm:
    """The by-product `name`: (images, amounts, variations, face) -> images.

    Raises:
        ValueError: for a name not among `FINISHES`.
    """
    if name not in FINISHES:
        raise ValueError(f"Unknown finish {name!r}; the bank has {list(FINISHES)}.")
    return byproducts.BYPRODUCTS[name]


def register(
    operation: str,
    algorithms: Mapping[str, Algorithm],
    held_out: Sequence[str],
    *,
    geometric: bool = False,
    tonal: bool = False,
) -> None:
    """Add an operation to the bank.

    Args:
        operation: its name, not yet in the bank.
        algorithms: differently built ways to do it, by name.
        held_out: names of those kept out of training.
        geometric: whether the algorithms move structure, and return flows instead of edits.
        tonal: whether they change nothing but light and colour.

    Raises:
        ValueError: If the name is taken, no algorithm would be left to train on, or the operation
            is said to be geometric and tonal.
    """
    if operation in ALGORITHMS:
        raise ValueError(f"Operation {operation!r} is already in the bank; choose another name.")
    if unknown := set(held_out) - set(algorithms):
        raise ValueError(f"Held-out algorithms {sorted(unknown)} are not among {list(algorithms)}.")
    if not set(algorithms) - set(held_out):
        raise ValueError(f"Operation {operation!r} needs an algorithm that is not held out.")
    if geometric and tonal:
        raise ValueError(f"Operation {operation!r} cannot be both geometric and tonal.")
    ALGORITHMS[operation] = dict(algorithms)
    HELD_OUT[operation] = tuple(held_out)
    if geometric:
        GEOMETRIC.add(operation)
    if tonal:
        TONAL.add(operation)


def algorithms(operation: str) -> tuple[str, ...]:
    """Names of all algorithms of `operation`; ValueError for an operation not in the bank."""
    if operation not in ALGORITHMS:
        raise ValueError(f"Unknown operation {operation!r}; the bank has {list(ALGORITHMS)}.")
    return tuple(ALGORITHMS[operation])


def seen(operation: str) -> tuple[str, ...]:
    """Names of the algorithms that training may use."""
    return tuple(name for name in algorithms(operation) if name not in HELD_OUT[operation])


def unseen(operation: str) -> tuple[str, ...]:
    """Names of the algorithms kept out of training."""
    return tuple(name for name in algorithms(operation) if name in HELD_OUT[operation])


register("whitening", whitening.ALGORITHMS, whitening.HELD_OUT, tonal=True)
register("smoothing", smoothing.ALGORITHMS, smoothing.HELD_OUT)
register("face_slimming", slimming.ALGORITHMS, slimming.HELD_OUT, geometric=True)
register("eye_enlarging", eyes.ALGORITHMS, eyes.HELD_OUT, geometric=True)
register("lip_tinting", lip_tinting.ALGORITHMS, lip_tinting.HELD_OUT, tonal=True)
