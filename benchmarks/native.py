"""What a set costs whose networks read photos at their own size.

`python -m benchmarks.native` times the shipped set at 512 and 1024 px: the view that router and
experts share, the router with it, JPEG quality from pixels, and calls with none, two or all of the
operations; what the call with two takes beyond its floor (the convolutions, products and attention
of this very call; its two samplings, of the tone's grid and of the moved photo, are not among
them); and, with `--batch`, how many times the photos per second of one at a time so many bring.
`--jobs` names some of them only. `--compile` compares the calls with those of the same networks
compiled by `torch.compile`, which needs a C++ compiler on a CPU.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frr import MoFRRPipeline, hub
from frr.models.mofrr.native_view import look
from frr.pipelines.freed_memory import keep_freed_memory
from frr.pipelines.photos.compression import estimate_quality

from .floor import Floor, record
from .timing import Clock, clock_of, take_turns

SIDES = (512, 1024)
TWO = 2
PAIR = ("whitening", "face_slimming")
CALL, FLOOR = "two operations", "floor of two"


def jobs_of(pipe: Any, side: int) -> dict[str, Callable[[], Any]]:
    """What is timed on one photo of noise, by name."""
    photo = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    signed = photo * 2 - 1
    view = look(signed)

    def call(count: int) -> Tensor:
        return called(pipe, photo, count)

    return {
        CALL: lambda: call(TWO),
        FLOOR: Floor(record(lambda: call(TWO))),
        "view": lambda: look(signed),
        "router's network": lambda: pipe.router.judge(view),
        "JPEG quality": lambda: estimate_quality(signed),
        "routing": lambda: pipe.route(signed),
        "no operation": lambda: call(0),
        "all operations": lambda: call(len(pipe.operations)),
    }


def called(pipe: Any, photo: Tensor, count: int) -> Tensor:
    """Photos restored from so many operations, whitening and slimming first."""
    order = sorted(pipe.operations, key=lambda name: name not in PAIR)
    wishes = {name: place < count for place, name in enumerate(order)}
    return pipe(photo, operations=wishes, output_type="pt").images


def measure(
    pipe: Any, sides: Sequence[int], repeats: int, clock: Clock, names: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
    """Median milliseconds of each job, by side and name; the percents over the floor, too."""
    found = {}
    for side in sides:
        jobs = jobs_of(pipe, side)
        jobs = {name: job for name, job in jobs.items() if name in names or not names}
        with torch.no_grad():
            seconds = take_turns(jobs, repeats, clock)
        rows = {name: round(1000 * each, 1) for name, each in seconds.items()}
        if {CALL, FLOOR} <= seconds.keys():
            rows["% over the floor"] = round(100 * (seconds[CALL] / seconds[FLOOR] - 1), 1)
        found[f"{side} px"] = rows
    return found


def gain_of_batches(pipe: Any, side: int, count: int, repeats: int, clock: Clock) -> float:
    """Photos per second of two operations, `count` at a time, in those of one at a time."""
    photo = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    many = photo.repeat(count, 1, 1, 1)
    jobs = {"one": lambda: called(pipe, photo, TWO), "many": lambda: called(pipe, many, TWO)}
    with torch.no_grad():
        seconds = take_turns(jobs, repeats, clock)
    return round(count * seconds["one"] / seconds["many"], 2)


def compiled(folder: Path) -> Any:
    """The pipeline with its router and experts compiled; what they see has one size always."""
    pipe: Any = MoFRRPipeline.from_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    pipe.router.judge = torch.compile(pipe.router.judge)
    for name in pipe.operations:
        getattr(pipe, f"{name}_expert").compile()
    return pipe


def gain_of_compiling(
    folder: Path, pipe: Any, side: int, counts: Sequence[int], repeats: int, clock: Clock
) -> dict[str, Any]:
    """How many times as fast calls with so many operations are, after how long a first call."""
    photo = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    other = compiled(folder)
    found: dict[str, Any] = {}
    for count in counts:
        with torch.no_grad():
            start = time.perf_counter()
            apart = (called(other, photo, count) - called(pipe, photo, count)).abs().max()
            first = time.perf_counter() - start
            jobs = {
                n: partial(called, each, photo, count) for n, each in (("", pipe), ("c", other))
            }
            seconds = take_turns(jobs, repeats, clock)
        found[f"{count} operations"] = {
            "milliseconds": round(1000 * seconds[""], 1),
            "compiled": round(1000 * seconds["c"], 1),
            "times as fast": round(seconds[""] / seconds["c"], 2),
            "seconds of the first call": round(first, 1),
            "largest difference of images": float(apart),
        }
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=hub.folder())
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--jobs", nargs="+", default=(), help="their names; default: all")
    parser.add_argument("--batch", type=int, help="photos at a time, to compare with one")
    parser.add_argument("--compile", action="store_true", help="compare with compiled networks")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args(arguments)
    keep_freed_memory()
    torch.set_num_threads(given.threads)
    pipe = MoFRRPipeline.from_pretrained(given.model)
    pipe.set_progress_bar_config(disable=True)
    clock = clock_of(pipe.device)
    found: dict[str, Any] = {"threads": given.threads, "clock": clock.name}
    found["milliseconds"] = measure(pipe, given.sides, given.repeats, clock, given.jobs)
    if given.batch:
        gains = [
            gain_of_batches(pipe, side, given.batch, given.repeats, clock) for side in given.sides
        ]
        found[f"times the photos per second, {given.batch} at a time"] = gains
    if given.compile:
        found["compiled"] = gain_of_compiling(
            given.model, pipe, given.sides[0], (0, TWO), given.repeats, clock
        )
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
