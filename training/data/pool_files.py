"""One file of a pool: its items are simulated a few at a time, and go on where time was up."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..writing import replacing

Batch = TypeVar("Batch", bound=tuple)  # a named tuple of tensors
Simulate = Callable[[np.random.Generator, int], Batch]
AT_ONCE = 8  # items simulated together
STATES = "random state "  # torch's, in a part, by device
DRAWS = "draws"  # numpy's, in a part
_ITEMS = "items"


@torch.no_grad()
def make_file(
    path: Path, simulate: Simulate, seed: tuple[int, int], count: int, until: float | None
) -> int:
    """Simulates and stores a file of items; goes on with the part of it that an earlier call kept.

    Args:
        path: of the file, which holds its items by field, floats in half precision.
        simulate: makes items.
        seed: of the pool, and the file's number.
        count: items of the file.
        until: on the clock of `time.time`, when to stop with what is made as a part beside the
            file; some items are made in any case. None: the file is made whole.

    Returns:
        How many items were made.
    """
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed[0] * 1_000_003 + seed[1])
    part = part_of(path)
    groups = [_take_up(part, rng)] if part.is_file() else []
    before = held = items_in_part(path)
    while held < count:
        start = time.time()
        batch: Any = simulate(rng, min(AT_ONCE, count - held))
        groups.append(dict(zip(batch._fields, map(_kept, batch), strict=True)))
        held += len(batch[0])
        took = time.time() - start
        if until is not None and held < count and time.time() + took > until:
            _put_down(part, _joined(groups), rng, held)
            return held - before
    with replacing(path) as beside:
        save_file(_joined(groups), beside)
    part.unlink(missing_ok=True)
    return held - before


def part_of(path: Path) -> Path:
    """Where the part of a file is kept that time did not suffice for."""
    return path.with_suffix(".part")


def items_in_part(path: Path) -> int:
    """How many items the kept part of a file holds."""
    part = part_of(path)
    if not part.is_file():
        return 0
    with safe_open(part, framework="pt") as file:
        return int(file.metadata()[_ITEMS])


def _joined(groups: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([group[name] for group in groups]).contiguous() for name in groups[0]}


def _kept(part: Tensor) -> Tensor:
    part = part.cpu()
    return part.half() if part.is_floating_point() else part


def _put_down(part: Path, items: Mapping[str, Tensor], rng: np.random.Generator, held: int) -> None:
    """Stores items, and the state of all draws."""
    states = {STATES + "cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states[STATES + "cuda"] = torch.cuda.get_rng_state()
    notes = {DRAWS: json.dumps(rng.bit_generator.state), _ITEMS: str(held)}
    with replacing(part) as beside:
        save_file({**items, **states}, beside, notes)


def _take_up(part: Path, rng: np.random.Generator) -> dict[str, Tensor]:
    """The items that were put down; draws go on from there."""
    with safe_open(part, framework="pt") as file:
        rng.bit_generator.state = json.loads(file.metadata()[DRAWS])
        found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    torch.set_rng_state(found.pop(STATES + "cpu"))
    on_gpu = found.pop(STATES + "cuda", None)
    if on_gpu is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(on_gpu)
    return found
