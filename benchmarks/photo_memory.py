"""Peak memory by the size of a photo: `python -m benchmarks.photo_memory`.

Each row runs in a process of its own, in one thread: the embedded model restores a small photo, the
high-water mark of resident memory is set back, then one photo is restored, from picture to picture.
`router` lets the router decide, on noise that it leaves alone; `all` forces every operation on. The
line through the rows of each kind says bytes for each pixel and a constant.
"""

from __future__ import annotations

import subprocess
import sys

import click
import numpy as np
import torch
from PIL import Image

from .sparse import held_bytes, highest_bytes, set_mark_back

SIZES = ("1024x1024", "255x4000", "4000x255", "2048x2048", "3000x4000", "6000x4500")
WAYS = ("none", "all")


def picture(height: int, width: int) -> Image.Image:
    """A smooth picture with some noise."""
    levels = np.random.default_rng(0).integers(0, 24, (height, width, 3), dtype=np.uint8)
    levels += np.linspace(60, 180, width, dtype=np.uint8)[:, None]
    return Image.fromarray(levels)


def measure(height: int, width: int, way: str) -> int:
    """Bytes beyond what model, picture and a first call hold, at the most."""
    from frr import hub
    from frr.pipelines.mofrr.pipeline import MoFRRPipeline

    torch.set_num_threads(1)
    pipe = MoFRRPipeline.from_pretrained(hub.folder(hub.DEFAULT))
    pipe.set_progress_bar_config(disable=True)
    wishes = set(pipe.operations) if way == "all" else dict.fromkeys(pipe.operations, False)
    photo = picture(height, width)
    for operations in (wishes, set(pipe.operations)):
        pipe(picture(256, 256), operations=operations)
    before = held_bytes()
    if not set_mark_back():
        raise click.ClickException("the high-water mark of memory can be set back on Linux only")
    pipe(photo, operations=wishes)
    return highest_bytes() - before


@click.command()
@click.option("--size", "sizes", multiple=True, default=SIZES, show_default=True)
@click.option("--way", "ways", multiple=True, default=WAYS, type=click.Choice(WAYS))
@click.option("--here", is_flag=True, help="Measure in this process and print the bytes.")
def main(sizes: tuple[str, ...], ways: tuple[str, ...], here: bool) -> None:
    """Measure and print a table, and the line through it."""
    for way in ways:
        pixels, found = [], []
        for size in sizes:
            height, width = map(int, size.split("x"))
            if here:
                click.echo(measure(height, width, way))
                continue
            child = ["--size", size, "--way", way, "--here"]
            command = [sys.executable, "-m", "benchmarks.photo_memory", *child]
            peak = int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            pixels.append(height * width)
            found.append(peak)
            click.echo(
                f"{way:>5} {size:>12} {peak / 2**20:9.1f} MiB {peak / pixels[-1]:8.1f} a pixel"
            )
        if len(set(pixels)) > 1:
            slope, constant = np.polyfit(pixels, found, 1)
            click.echo(f"{way:>5}: {slope:.1f} bytes a pixel + {constant / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
