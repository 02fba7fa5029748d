"""A folder of photos: `python -m benchmarks.folder`, from the root of the checkout.

Makes photos of different brightness, crop and size from one portrait, restores them by `frr
restore`, and prints its images per second and what held it up, then seconds a photo of each stage.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageEnhance
from skimage.data import astronaut

from .sparse import ROOT


def make_photos(folder: Path, count: int, size: int, seed: int = 0) -> None:
    """Write so many different JPEG photos, `size` x `size`, named in order."""
    rng = np.random.default_rng(seed)
    portrait = Image.fromarray(astronaut()[:256, 100:356])
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        left, top = rng.integers(0, 17, 2)
        crop = portrait.crop((left, top, left + 240, top + 240)).resize((size, size))
        photo = ImageEnhance.Brightness(crop).enhance(float(rng.uniform(0.8, 1.2)))
        photo.save(folder / f"photo{index:04d}.jpg", quality=92)


def stage_seconds(folder: Path) -> dict[str, float]:
    """Median seconds of each stage, from the reports that `frr restore` wrote."""
    reports = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    stages = reports[0]["seconds"]
    return {name: statistics.median(each["seconds"][name] for each in reports) for name in stages}


@click.command()
@click.option("--photos", "count", type=click.IntRange(2), default=200, show_default=True)
@click.option("--size", type=click.IntRange(32), default=512, show_default=True)
@click.option("--format", "suffix", type=click.Choice(["png", "jpg", "webp"]), default="png")
@click.option("--operations", help="As for frr restore. [default: the router decides]")
@click.option("--model", help="As for frr restore.")
def main(count: int, size: int, suffix: str, operations: str | None, model: str | None) -> None:
    """Restore a folder of photos and say how fast it went."""
    with tempfile.TemporaryDirectory(prefix="frr-folder-") as place:
        source, target = Path(place) / "photos", Path(place) / "restored"
        make_photos(source, count, size)
        command = [sys.executable, "-m", "frr.cli", "restore", str(source), "-o", str(target)]
        command += ["--format", suffix]
        command += ["--operations", operations] if operations else []
        command += ["--model", model] if model else []
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if result.returncode:
            raise click.ClickException(result.stderr)
        click.echo(result.stderr.strip().splitlines()[-1])
        stages = stage_seconds(target)
    told = ", ".join(f"{name} {1e3 * seconds:.0f} ms" for name, seconds in stages.items())
    click.echo(f"a photo of {size} px, as {suffix}, median: {told}")


if __name__ == "__main__":
    main()
