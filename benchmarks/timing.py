"""Time that can be compared on a machine with other work: jobs take turns, medians count."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch


class Clock(NamedTuple):
    """A way to measure time: states of a counter, and the seconds between two of them."""

    name: str
    read: Callable[[], Any]
    seconds: Callable[[Any, Any], float]


def clock_of(device: torch.device, name: str = "auto") -> Clock:
    """The clock for a device.

    On CUDA it is events in the stream. On a CPU "cpu" is the time that this process computed,
    which other processes disturb least, and "wall" is the time that passed, which alone tells what
    several threads gain. "auto" is "cpu" with one thread and "wall" with more.

    Raises:
        ValueError: another name.
    """
    if device.type == "cuda":
        return Clock("CUDA events", _event, _between_events)
    if name not in ("auto", "cpu", "wall"):
        raise ValueError(f"clock is {name!r}; expected 'auto', 'cpu' or 'wall'")
    if name == "auto":
        name = "cpu" if torch.get_num_threads() == 1 else "wall"
    read = time.process_time if name == "cpu" else time.perf_counter
    return Clock(name, read, lambda start, end: end - start)


def _event() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def _between_events(start: torch.cuda.Event, end: torch.cuda.Event) -> float:
    end.synchronize()
    return start.elapsed_time(end) / 1000


def take_turns(
    jobs: Mapping[str, Callable[[], Any]], repeats: int, clock: Clock, warm_up: int = 1
) -> dict[str, float]:
    """Median seconds of each job; in every turn each runs once, so that all meet the same load.

    Args:
        jobs: what to time, by name.
        repeats: turns that count.
        clock: from `clock_of`.
        warm_up: turns before them that do not.
    """
    spans: dict[str, list[tuple[Any, Any]]] = {name: [] for name in jobs}
    for turn in range(warm_up + repeats):
        for name, job in jobs.items():
            start = clock.read()
            job()
            if turn >= warm_up:
                spans[name].append((start, clock.read()))
    return {
        name: statistics.median(clock.seconds(*span) for span in measured)
        for name, measured in spans.items()
    }
