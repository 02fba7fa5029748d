"""Memory over many calls and prompts: `python -m benchmarks.soak`, the slope of each printed.

Calls go to both embedded pipelines, on photos of changing sizes, with settings that change, every
tenth of them with one that is refused; prompts to the nodes, under ComfyUI's memory manager where
COMFYUI_PATH names a checkout, else under a stand-in. The slope is that of the line of least squares
through resident memory in the later three quarters of a run; what stays behind shows there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

import click
import numpy as np
import torch

from .host_memory import Device, load_nodes, prompt, resident, use_comfyui, use_stand_in

MARKS = 100  # measurements of a run
SIDES = (64, 97, 128, 200, 256)


def slope(marks: list[float], count: int) -> float:
    """MiB that `count` calls added for each of them, of marks at even distances."""
    later = marks[len(marks) // 4 :]
    rise = np.polyfit(range(len(later)), later, 1)[0] if len(later) > 1 else 0.0
    return float(rise) * len(marks) / count


def soak(what: str, act: Callable[[int], None], count: int) -> float:
    """Act many times and print how memory went; returns the slope in KiB for each time."""
    marks, every = [], max(1, count // MARKS)
    for number in range(count):
        act(number)
        if number % every == 0:
            marks.append(resident())
    found = 1024 * slope(marks, count)
    click.echo(
        f"{count} {what}: {marks[0]:.1f} MiB at first, {marks[len(marks) // 4]:.1f} after a "
        f"quarter, {marks[-1]:.1f} at last; slope {found:+.2f} KiB each"
    )
    return found


def caller() -> Callable[[int], None]:
    """A function that makes one call, of the kind that its number says."""
    from frr import hub
    from frr.pipelines.bpfre.pipeline import BPFRePipeline
    from frr.pipelines.mofrr.pipeline import MoFRRPipeline

    restore = MoFRRPipeline.from_pretrained(hub.folder(hub.DEFAULT))
    retouch = BPFRePipeline.from_pretrained(hub.folder(hub.BPFRE))
    restore.set_progress_bar_config(disable=True)

    def call(number: int) -> None:
        generator = torch.Generator().manual_seed(number)
        height, width = SIDES[number % len(SIDES)], SIDES[number // 3 % len(SIDES)]
        photo = torch.rand(1, 3, height, width, generator=generator)
        if number % 10 == 9:
            with suppress(ValueError):
                restore(photo, num_inference_steps=0)
        elif number % 4 == 3:
            retouch(photo, strength=0.5, output_type="pt")
        else:
            wishes = None if number % 2 else set(restore.operations)
            restore(photo, operations=wishes, generator=generator, output_type="pt")

    return call


@click.command()
@click.option("--calls", type=click.IntRange(8), default=1000, show_default=True)
@click.option("--prompts", type=click.IntRange(8), default=500, show_default=True)
def main(calls: int, prompts: int) -> None:
    """Soak and print."""
    device, path = Device(), os.environ.get("COMFYUI_PATH")
    if path:
        use_comfyui(path, device)
    else:
        use_stand_in(device)
    nodes = load_nodes()  # first, as a host does
    soak("calls", caller(), calls)
    model = nodes["MoFRRLoadModel"].execute("mofrr-tiny (embedded)", "float32")[0]

    def ask(number: int) -> None:
        side = SIDES[number % len(SIDES)]
        noise = torch.Generator().manual_seed(number)
        prompt(nodes, torch.rand(1, side, side, 3, generator=noise), number, model)

    soak("prompts", ask, prompts)


if __name__ == "__main__":
    main()
