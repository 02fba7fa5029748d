"""`frr demo`: retouch a well-known portrait with the simulator, restore it, show both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from . import options
from .photos import save_photo
from .reports import compare

if TYPE_CHECKING:
    from PIL import Image

    from ..pipelines.mofrr.output import MoFRRPipelineOutput
    from ..pipelines.simulate.recipe import Recipe

# scikit-image's astronaut (Eileen Collins, NASA, public domain), 512 x 512: centres of the eyes
# and corners of the mouth in pixels (x, y), left in the picture first, read off the picture.
EYES = ((203.5, 100.5), (247.0, 103.5))
MOUTH = ((203.0, 140.0), (244.5, 141.0))

SIZE = 256
PICTURES = ("panel", "before", "retouched", "restored", "given")
RECIPE = (
    ("whitening", "lab_curve", 0.8),
    ("smoothing", "bilateral_blur", 0.8),
    ("face_slimming", "local_pulls", 0.8),
    ("eye_enlarging", "radial", 0.8),
)


class Row(NamedTuple):
    """One operation's line of the demo's table."""

    operation: str
    applied: float
    probability: float
    estimated: float
    active: bool


@click.command(short_help="Retouch a portrait, restore it, show both.")
@options.output
@options.steps
@options.seed
@options.overwrite
@options.model
def demo(
    folder: Path,
    steps: int | None,
    seed: int,
    overwrite: bool,
    model: str,
    device: str | None,
    dtype: str,
) -> None:
    """Retouch a public-domain portrait, restore it with the embedded weights, and show both.

    Writes panel.png (before, retouched, restored by the router's choice and knowing what was done,
    and the errors of the retouched and the last: black 0, white 32 of 255 grey levels), the first
    four one by one, and demo.json with the printed numbers.
    """
    import torch

    from ..pipelines.photos.drawings import error_picture, panel

    results = options.results_in(
        folder, [*(f"{name}.png" for name in PICTURES), "demo.json"], overwrite
    )
    pipe = options.load_pipeline(model, device, dtype)
    before = portrait()
    retouched = retouch_portrait(before)
    steps = options.steps_or_default(pipe, steps)

    def undo(wishes: set[str] | None) -> tuple[Image.Image, MoFRRPipelineOutput]:
        noise = torch.Generator().manual_seed(seed)
        arguments = {"operations": wishes, "num_inference_steps": steps, "generator": noise}
        return options.restore_photo(pipe, retouched, **arguments)

    restored, output = undo(None)
    given, _ = undo({operation for operation, _, _ in RECIPE})
    quality = compare(retouched, restored, before)
    quality["given"] = compare(retouched, given, before)["restored"]
    labelled = [
        ("before", before),
        (f"retouched, {quality['photo']:.1f} dB", retouched),
        (f"left to the router, {quality['restored']:.1f} dB", restored),
        (f"operations given, {quality['given']:.1f} dB", given),
        ("error of the retouched", error_picture(retouched, before)),
        ("error, operations given", error_picture(given, before)),
    ]
    pictures = (panel(labelled), before, retouched, restored, given)
    for name, picture in zip(PICTURES, pictures, strict=True):
        save_photo(picture, folder / f"{name}.png", results)

    applied = {operation: degree for operation, _, degree in RECIPE}
    fields = (output.routing[0].tolist(), output.degrees[0].tolist(), output.active[0].tolist())
    rows = [Row(n, applied.get(n, 0.0), *v) for n, *v in zip(pipe.operations, *fields, strict=True)]
    report = {"psnr": quality, "operations": [row._asdict() for row in rows]}
    results.write_json(folder / "demo.json", report)
    click.echo(table(rows, quality))
    click.echo(f"\nwrote {folder / 'panel.png'}")


def table(rows: list[Row], quality: Mapping[str, float]) -> str:
    """The demo's numbers as text."""
    lines = [f"{'operation':<16}{'applied':>8}{'found with':>12}{'undone at':>11}"]
    for row in rows:
        undone = f"{row.estimated:.2f}" if row.active else "-"
        lines.append(f"{row.operation:<16}{row.applied:8.2f}{row.probability:12.3f}{undone:>11}")
    start, found, given = (quality[name] for name in ("photo", "restored", "given"))
    lines += ["", f"{'PSNR against the photo before retouching':<54}{start:6.2f} dB"]
    lines.append(f"{'restored, the router deciding':<54}{found:6.2f} dB, {found - start:+.2f}")
    lines.append(f"{'restored, the operations given':<54}{given:6.2f} dB, {given - start:+.2f}")
    return "\n".join(lines)


def portrait(size: int = SIZE) -> Image.Image:
    """The astronaut's face as an aligned square of `size` pixels."""
    from PIL import Image
    from skimage import data

    quad = [value for corner in aligned_corners() for value in corner]
    square = (size, size)
    return Image.fromarray(data.astronaut()).transform(
        square, Image.Transform.QUAD, quad, resample=Image.Resampling.BICUBIC
    )


def aligned_corners() -> list[tuple[float, float]]:
    """Corners of the face square as FFHQ aligns it: upper left, lower left, then the right ones.

    Half its side is 2 eye distances or 1.8 times the way from the eyes to the mouth, whichever is
    longer; its centre lies a tenth of that way below the eyes (Karras et al. 2019, appendix C).
    """
    import numpy as np

    eyes, mouth = np.array(EYES), np.array(MOUTH)
    along, down = eyes[1] - eyes[0], mouth.mean(0) - eyes.mean(0)
    right = along - np.array([-down[1], down[0]])
    right *= max(2 * np.hypot(*along), 1.8 * np.hypot(*down)) / np.hypot(*right)
    below = np.array([-right[1], right[0]])
    centre = eyes.mean(0) + 0.1 * down
    corners = (-right - below, -right + below, right + below, right - below)
    return [tuple((centre + corner).tolist()) for corner in corners]


def recipe() -> Recipe:
    """All operations, strongly, each by an algorithm that the embedded weights were trained on."""
    from ..pipelines.simulate.recipe import Recipe, Step

    return Recipe(tuple(Step(*step) for step in RECIPE))


def retouch_portrait(portrait: Image.Image) -> Image.Image:
    """Retouch the portrait by the demo's recipe."""
    from ..pipelines.photos.drawings import to_picture, to_tensor
    from ..pipelines.simulate.simulator import retouch

    return to_picture(retouch(to_tensor(portrait), [recipe()]).image[0])
