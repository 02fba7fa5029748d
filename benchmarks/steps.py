"""How many denoising steps pay: `python -m benchmarks.steps --faces FOLDER --out FOLDER`.

Faces are retouched by the simulator, restored with the operations given and each number of steps,
and compared with the originals, as `frr evaluate` does. The fewest steps that lose less than 0.1 dB
against the most are what a pipeline should take unasked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from frr import MoFRRPipeline, hub
from frr.commands.options import load_faces, steps_or_default
from frr.training.judging.evaluate_mofrr import evaluate

ALLOWED_LOSS = 0.1  # dB of mean PSNR


class Quality(NamedTuple):
    """Means over the photos of one condition; with `condition` "all" over those of every one."""

    condition: str
    photos: int
    copy_psnr: float
    psnr: float
    copy_ssim: float
    ssim: float


def measure(pipe: Any, faces: Any, steps: int, seed: int, split: str) -> list[Quality]:
    """The quality with so many steps: of every condition but the untouched, then of all."""
    report = evaluate(pipe, faces, seed=seed, splits=(split,), steps=steps, routing="given")
    rows = [
        Quality(
            row.condition,
            row.photos,
            row.copy_psnr,
            row.restored_psnr,
            row.copy_ssim,
            row.restored_ssim,
        )
        for row in report.restoration
        if row.condition != "untouched"
    ]
    return [*rows, mean_of(rows)]


def mean_of(rows: Sequence[Quality]) -> Quality:
    """The mean over all photos of some rows."""
    photos = sum(row.photos for row in rows)
    means = [
        sum(row.photos * row[field] for row in rows) / photos
        for field in range(2, len(Quality._fields))
    ]
    return Quality("all", photos, *means)


def fewest_steps(psnr: Mapping[int, float], allowed: float = ALLOWED_LOSS) -> int:
    """The fewest steps that lose less than `allowed` dB against the most."""
    best = psnr[max(psnr)]
    return min(steps for steps, decibels in psnr.items() if best - decibels < allowed)


def table(results: Mapping[int, Sequence[Quality]]) -> str:
    """Markdown: a row for each condition, PSNR / SSIM for each number of steps."""
    lines = [
        f"| photos | as they came | {' | '.join(f'{n} steps' for n in results)} |",
        f"|---|---|{'---|' * len(results)}",
    ]
    for rows in zip(*results.values(), strict=True):
        cells = [f"{row.psnr:.2f} dB / {row.ssim:.4f}" for row in rows]
        first = rows[0]
        came = f"{first.copy_psnr:.2f} dB / {first.copy_ssim:.4f}"
        lines.append(f"| {first.condition.replace('_', ' ')} | {came} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(results: Mapping[int, Sequence[Quality]], path: Path) -> None:
    """Steps against PSNR and SSIM, a line for each condition, over what the photos came with."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    pairs = ((axes[0], "psnr", "PSNR gained, dB"), (axes[1], "ssim", "SSIM gained"))
    for axis, field, label in pairs:
        for rows in zip(*results.values(), strict=True):
            gained = [getattr(row, field) - getattr(row, f"copy_{field}") for row in rows]
            width = 2.5 if rows[0].condition == "all" else 1
            name = rows[0].condition.replace("_", " ")
            axis.plot(list(results), gained, "o-", label=name, linewidth=width)
        axis.set(xlabel="denoising steps", ylabel=label, xscale="log")
        axis.set_xticks(list(results), [str(n) for n in results])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    lines = axes[0].get_legend_handles_labels()
    figure.legend(*lines, loc="outside right center", fontsize="small")
    figure.savefig(path, dpi=120)


def _numbers(context: click.Context, option: click.Parameter, text: str) -> list[int]:
    try:
        numbers = sorted({int(item) for item in text.split(",")})
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: expected whole numbers, as 1,2,4,10") from error
    if numbers[0] < 1:
        raise click.BadParameter(f"{text!r}: a number of steps is at least 1")
    return numbers


@click.command()
@click.option("--faces", type=click.Path(path_type=Path), required=True, help="Folder of faces.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option("--model", help="Model folder. [default: the embedded one]")
@click.option("--steps", default="1,2,4,10", show_default=True, callback=_numbers)
@click.option("--limit", type=click.IntRange(1), help="Faces at most. [default: all]")
@click.option("--size", default=256, show_default=True, help="Side of the faces.")
@click.option("--split", type=click.Choice(["seen", "unseen", "all"]), default="all")
@click.option("--seed", default=0, show_default=True)
def main(faces: Path, out: Path, model: str | None, steps: list[int], **given: Any) -> None:
    """Measure, draw and say which number of steps is enough."""
    pipe = MoFRRPipeline.from_pretrained(model or str(hub.folder()))
    pipe.set_progress_bar_config(disable=True)
    people = load_faces(faces, given["size"], given["limit"])
    results = {n: measure(pipe, people, n, given["seed"], given["split"]) for n in steps}

    enough = fewest_steps({n: rows[-1].psnr for n, rows in results.items()})
    out.mkdir(parents=True, exist_ok=True)
    draw(results, out / "steps.png")
    text = table(results)
    text += (
        f"\n\n{len(people)} faces at {given['size']} px, {given['split']} algorithms, seed "
        f"{given['seed']}, operations given. Fewest steps that lose less than {ALLOWED_LOSS} dB "
        f"against {steps[-1]}: {enough}; unasked the pipeline takes {steps_or_default(pipe, None)}."
    )
    (out / "steps.md").write_text(text + "\n", encoding="utf-8")
    record = {n: [row._asdict() for row in rows] for n, rows in results.items()}
    (out / "steps.json").write_text(json.dumps({"enough": enough, "steps": record}, indent=2))
    click.echo(text)


if __name__ == "__main__":
    main()
