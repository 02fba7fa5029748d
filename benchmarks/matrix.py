"""Cost of a call by size, active operations, batch and preset: stages, floor, MACs, memory."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import torch

from .activations import Peak
from .floor import Floor, record
from .stages import Meter, mac_counter, metered, stages_of
from .timing import Clock
from .workloads import PaperWay, forced, make_pipeline, photos, restoring


class Row(NamedTuple):
    """One workload; seconds and MACs by stage, see `stages.stages_of`."""

    preset: str
    size: int
    batch: int
    active: int
    seconds: dict[str, float]
    macs: dict[str, float]
    floor: float  # seconds of the convolutions, products and attention alone
    peak: int  # bytes of tensors alive at one time, beyond the weights
    paper_seconds: float | None  # the paper's way on the same photo; batch 1 only
    paper_macs: float | None

    @property
    def total(self) -> float:
        """Seconds of the whole call."""
        return sum(self.seconds.values())


def measure(
    presets: Collection[str],
    sizes: Collection[int],
    batches: Collection[int],
    actives: Collection[int],
    device: torch.device,
    repeats: int,
    clock: Clock,
    against_paper: Callable[[str, int], bool] = lambda preset, size: True,
) -> Iterator[Row]:
    """Every combination, one after the other; the paper's way once for each preset and size."""
    for preset in presets:
        pipe = make_pipeline(preset, device)
        for size in sizes:
            paper: tuple[float, float] | None = None
            if against_paper(preset, size):
                paper = paper_way(pipe, size, clock)
            for batch in batches:
                for active in actives:
                    found = one_row(pipe, size, batch, active, repeats, clock)
                    mine = paper if batch == 1 else None
                    yield Row(preset, size, batch, active, *found, *(mine or (None, None)))


def paper_way(pipe: Any, size: int, clock: Clock) -> tuple[float, float]:
    """Seconds and MACs of one photo restored the paper's way."""
    image, way = photos(size, 1, pipe._execution_device), PaperWay(pipe)
    with torch.no_grad(), mac_counter() as counter:
        way(image, forced(pipe, 2))
    start = clock.read()
    way(image, forced(pipe, 2))
    return clock.seconds(start, clock.read()), counter.get_total_flops() / 2


def one_row(
    pipe: Any, size: int, batch: int, active: int, repeats: int, clock: Clock
) -> tuple[dict[str, float], dict[str, float], float, int]:
    """Seconds by stage, MACs by stage, seconds of the floor, and peak bytes of one workload."""
    image = photos(size, batch, pipe._execution_device)
    work, stages = restoring(pipe, image, forced(pipe, active)), stages_of(pipe)
    floor = Floor(record(work))
    macs, peak = macs_and_peak(work, stages)

    spans, floors = [], []
    for _ in range(repeats):
        meter = Meter(clock.read, clock.seconds)
        with metered(stages, meter):
            work()
        spans.append(meter.totals())
        start = clock.read()
        floor()
        floors.append(clock.seconds(start, clock.read()))
    return median_stages(spans), macs, statistics.median(floors), peak


def macs_and_peak(work: Callable[[], Any], stages: Sequence[Any]) -> tuple[dict[str, float], int]:
    """MACs by stage, and the most bytes of tensors made by the call that lived at one time."""
    with torch.no_grad(), Peak() as peak, mac_counter() as counter:
        meter = Meter(counter.get_total_flops, lambda start, end: (end - start) / 2)
        with metered(list(stages), meter):
            work()
    return meter.totals(), peak.most


def median_stages(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of each stage over several runs."""
    values: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        for stage, seconds in run.items():
            values[stage].append(seconds)
    return {stage: statistics.median(each) for stage, each in values.items()}
