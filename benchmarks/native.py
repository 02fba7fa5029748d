"""What a set costs whose networks read photos at their own size.

`python -m benchmarks.native` times the shipped set at 512 and 1024 px: the view that router and
experts share, the router with it, JPEG quality from pixels, and calls with none, two or all of the
operations.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frr import MoFRRPipeline, hub
from frr.models.mofrr.native_view import look
from frr.pipelines.freed_memory import keep_freed_memory
from frr.pipelines.photos.compression import estimate_quality

from .timing import clock_of, take_turns

SIDES = (512, 1024)
TWO = 2


def jobs_of(pipe: Any, side: int) -> dict[str, Callable[[], Any]]:
    """What is timed on one photo of noise, by name."""
    photo = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    signed = photo * 2 - 1
    view = look(signed)

    def call(count: int) -> Tensor:
        wishes = {name: place < count for place, name in enumerate(pipe.operations)}
        return pipe(photo, operations=wishes, output_type="pt").images

    return {
        "view": lambda: look(signed),
        "router's network": lambda: pipe.router.judge(view),
        "JPEG quality": lambda: estimate_quality(signed),
        "routing": lambda: pipe.route(signed),
        "no operation": lambda: call(0),
        "two operations": lambda: call(TWO),
        "all operations": lambda: call(len(pipe.operations)),
    }


def measure(pipe: Any, sides: Sequence[int], repeats: int) -> dict[str, dict[str, float]]:
    """Median milliseconds of each job, by side and name."""
    clock = clock_of(pipe.device)
    with torch.no_grad():
        seconds = {side: take_turns(jobs_of(pipe, side), repeats, clock) for side in sides}
    return {
        f"{side} px": {name: round(1000 * each, 1) for name, each in found.items()}
        for side, found in seconds.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, and prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=hub.folder())
    parser.add_argument("--sides", type=int, nargs="+", default=SIDES)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args(arguments)
    keep_freed_memory()
    torch.set_num_threads(given.threads)
    pipe = MoFRRPipeline.from_pretrained(given.model)
    pipe.set_progress_bar_config(disable=True)
    clock = clock_of(pipe.device).name
    found = {"threads": given.threads, "clock": clock, "milliseconds": {}}
    found["milliseconds"] = measure(pipe, given.sides, given.repeats)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
