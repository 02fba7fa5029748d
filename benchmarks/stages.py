"""Which stage of a call costs what: every moment of a call belongs to the innermost stage running.

A stage is a network's part, or a step of the pipeline; what belongs to none is "before and after".
The meter decides what is counted: a clock gives seconds, an operation counter MACs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

REST = "before and after"


class Stage(NamedTuple):
    """A place in the pipeline whose calls are counted."""

    name: str  # "expert: part", or a step's name
    owner: Any
    method: str


def stages_of(pipe: Any) -> list[Stage]:
    """Every stage of a MoFRR pipeline, outer ones before those inside them."""
    found = [Stage("apply", pipe, "apply"), Stage("merger", pipe, "merge")]
    if pipe.router is not None:
        judges = "judge" if hasattr(pipe.router, "judge") else "forward"
        found.append(Stage("router", pipe.router, judges))
    for name in pipe.expert_names:
        expert = getattr(pipe, f"{name}_expert")
        if expert is not None:
            found += _expert_stages(name, expert)
    return found


def _expert_stages(name: str, expert: Any) -> list[Stage]:
    if hasattr(expert, "answer"):
        return [Stage(f"{name}: answer", expert, "answer")]
    places: list[tuple[str, Any, str]] = [
        ("other", expert, method) for method in ("prepare", "denoise", "reconstruct")
    ]
    if expert.estimates_degrees:
        places.append(("traces", expert, "raw_traces"))
        places.append(("degree", expert, "estimate_degree"))
        places += [("wavelets", expert.transform, each) for each in ("analysis", "synthesis")]
        places += [("HFCAM", each, "forward") for each in expert.hfcam]
        places.append(("IDEM", expert.idem, "forward"))
    for part in ("warp_head", "tone_head"):
        if hasattr(expert, part):
            places.append((part.replace("_", " "), getattr(expert, part), "forward"))
    places.append(("denoiser", expert.denoiser, "forward"))
    return [Stage(f"{name}: {part}", owner, method) for part, owner, method in places]


class Meter:
    """Sums what a counter advances by while each stage is the innermost one.

    Args:
        read: the counter's state now.
        difference: how far it advanced from one state to a later one; asked at the end only.
    """

    def __init__(
        self,
        read: Callable[[], Any],
        difference: Callable[[Any, Any], float] = lambda start, end: end - start,
    ) -> None:
        self.read, self.difference = read, difference
        self._open: list[str] = []
        self._spans: list[tuple[str, Any, Any]] = []
        self._since: Any = None

    def enter(self, stage: str) -> None:
        """A stage begins inside the one that is running."""
        self._turn()
        self._open.append(stage)

    def leave(self) -> None:
        """The innermost stage ends."""
        self._turn()
        self._open.pop()

    def _turn(self) -> None:
        now = self.read()
        if self._open:
            self._spans.append((self._open[-1], self._since, now))
        self._since = now

    def totals(self) -> dict[str, float]:
        """What each stage got."""
        sums: dict[str, float] = defaultdict(float)
        for stage, start, end in self._spans:
            sums[stage] += self.difference(start, end)
        return dict(sums)


@contextmanager
def metered(stages: list[Stage], meter: Meter) -> Iterator[None]:
    """Counts the stages' calls with the meter, and what happens outside of them as REST."""

    def wrap(stage: Stage) -> Callable[..., Any]:
        method = getattr(stage.owner, stage.method)

        def counted(*given: Any, **options: Any) -> Any:
            meter.enter(stage.name)
            try:
                return method(*given, **options)
            finally:
                meter.leave()

        return counted

    wrapped: list[Stage] = []
    try:
        for stage in stages:
            vars(stage.owner)[stage.method] = wrap(stage)
            wrapped.append(stage)
        meter.enter(REST)
        yield
        meter.leave()
    finally:
        for stage in wrapped:
            del vars(stage.owner)[stage.method]


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """Operations of attention as the CPU computes it, which torch's counter does not know."""
    return sdpa_flop_count(query, key, value)


def mac_counter() -> FlopCounterMode:
    """Torch's counter of the operations in convolutions, products and attention."""
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return FlopCounterMode(display=False, custom_mapping={attention: _attention})


def macs_by_stage(pipe: Any, work: Callable[[], Any]) -> dict[str, float]:
    """Multiply-accumulates of each stage of one call; a MAC is two of the counter's operations."""
    with torch.no_grad(), mac_counter() as counter:
        meter = Meter(counter.get_total_flops, lambda start, end: (end - start) / 2)
        with metered(stages_of(pipe), meter):
            work()
    return meter.totals()


def by_part(totals: dict[str, float]) -> dict[str, float]:
    """The experts' parts summed over the experts; the shared expert counts as one part."""
    sums: dict[str, float] = defaultdict(float)
    for stage, amount in totals.items():
        expert, _, part = stage.rpartition(": ")
        sums["shared expert" if expert == "shared" else part] += amount
    return dict(sums)


def modules_of(pipe: Any) -> list[nn.Module]:
    """The pipeline's networks."""
    return [part for part in pipe.components.values() if isinstance(part, nn.Module)]
