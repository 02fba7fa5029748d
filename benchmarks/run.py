"""Speed: `python -m benchmarks.run --out FOLDER`, from the root of the checkout.

Measures what a restoration costs, by size, active operations, batch and preset: seconds and MACs of
each stage, its floor, its peak memory, and the ratio to the paper's way; then the claims about
speed, and other ways to run the networks. It writes speed.json, speed.md and speed.png.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch

from frr.pipelines.freed_memory import keep_freed_memory

from . import matrix, must_show, variants
from .sparse import ROOT
from .stages import by_part
from .timing import Clock, clock_of
from .workloads import source_of

MEBIBYTE = 2**20
PRESETS = ("tiny", "base")
MARKS = ("<!-- speed -->", "<!-- end of speed -->")


def cost_table(rows: Sequence[matrix.Row]) -> str:
    """Markdown: a line for each workload."""
    heads = (
        "networks | photo | batch | active | seconds a photo | over the floor | GMACs a photo | "
        "peak memory | the paper's way"
    )
    lines = [f"| {heads} |", f"|{'---|' * (heads.count('|') + 1)}"]
    for row in rows:
        paper = "" if row.paper_seconds is None else f"{row.paper_seconds / row.total:.1f} times"
        if row.paper_macs is not None:
            paper += f", {row.paper_macs / sum(row.macs.values()):.0f} times the MACs"
        cells = (
            row.preset,
            f"{row.size} px",
            str(row.batch),
            str(row.active),
            f"{row.total / row.batch:.3f}",
            f"{100 * (row.total / row.floor - 1):.0f} %",
            f"{sum(row.macs.values()) / row.batch / 1e9:.1f}",
            f"{row.peak / MEBIBYTE:.0f} MiB",
            paper,
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def stage_table(rows: Sequence[matrix.Row]) -> str:
    """Markdown: milliseconds and million MACs of each stage, a column for each workload."""
    parts = [by_part(row.seconds) for row in rows]
    macs = [by_part(row.macs) for row in rows]
    names = list(dict.fromkeys(name for each in parts for name in each))
    titles = [f"{row.preset}, {row.size} px, {row.active} active" for row in rows]
    lines = [f"| ms / million MACs | {' | '.join(titles)} |", f"|{'---|' * (len(rows) + 1)}"]
    for name in names:
        cells = [
            f"{1e3 * each.get(name, 0):.1f} / {count.get(name, 0) / 1e6:.0f}"
            for each, count in zip(parts, macs, strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def claim_table(claims: Sequence[must_show.Claim]) -> str:
    """Markdown: a line for each claim."""
    lines = ["| claim | measured | wanted | |", "|---|---|---|---|"]
    for claim in claims:
        verdict = {True: "met", False: "missed", None: "left out"}[claim.met]
        value = "" if claim.measured is None else f"{claim.measured:.3g}"
        note = f"; {claim.note}" if claim.note else ""
        lines.append(f"| {claim.name} | {value} | {claim.wanted} | {verdict}{note} |")
    return "\n".join(lines)


def short_table(claims: Sequence[must_show.Claim]) -> str:
    """Markdown: the claims that were measured, as the README shows them."""
    lines = [
        "| on the shipped model, unless it says otherwise | measured | wanted |",
        "|---|---|---|",
    ]
    for claim in claims:
        if claim.measured is not None:
            missed = "" if claim.met else ", missed"
            lines.append(f"| {claim.name} | {claim.measured:.3g} | {claim.wanted}{missed} |")
    return "\n".join(lines)


def put_between_marks(readme: Path, text: str, marks: tuple[str, str] = MARKS) -> None:
    """Replace what stands between the two marks in a README.

    Raises:
        ValueError: it does not have both marks.
    """
    before, start, rest = readme.read_text(encoding="utf-8").partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not end:
        raise ValueError(f"{readme} lacks the marks {marks[0]} and {marks[1]} around its table")
    readme.write_text(f"{before}{start}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def draw(rows: Sequence[matrix.Row], path: Path) -> None:
    """Stages stacked over the active operations, batch 1, a picture for each preset and size."""
    from matplotlib.figure import Figure

    rows = [row for row in rows if row.batch == 1]
    groups = list(dict.fromkeys((row.preset, row.size) for row in rows))
    if not groups:
        return
    names = list(dict.fromkeys(name for row in rows for name in by_part(row.seconds)))
    figure = Figure(figsize=(3.2 * len(groups) + 1.8, 3.6), layout="constrained")
    for axis, (preset, size) in zip(
        figure.subplots(1, len(groups), squeeze=False)[0], groups, strict=True
    ):
        mine = [row for row in rows if (row.preset, row.size) == (preset, size)]
        places, bottom = [row.active for row in mine], [0.0] * len(mine)
        for name in names:
            heights = [1e3 * by_part(row.seconds).get(name, 0) for row in mine]
            axis.bar(places, heights, bottom=bottom, label=name, width=0.7)
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
        floors = [1e3 * row.floor for row in mine]
        axis.plot(places, floors, "k_", markersize=24, label="floor")
        axis.set(title=f"{preset}, {size} px", xlabel="active operations", ylabel="ms")
        axis.set_xticks(places)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside right center", fontsize="small")
    figure.savefig(path, dpi=120)


def conditions(device: torch.device, clock: Clock) -> str:
    """What the numbers were measured with, in words."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return (
        f"{name}, {torch.get_num_threads()} thread(s), torch {torch.__version__}; time is "
        f"{clock.name}; tiny is {source_of('tiny')}"
    )


def write(
    out: Path,
    about: str,
    rows: Sequence[matrix.Row],
    claims: Sequence[must_show.Claim],
    ways: Sequence[variants.Variant],
) -> None:
    """The three files."""
    out.mkdir(parents=True, exist_ok=True)
    record: dict[str, Any] = {
        "about": about,
        "rows": [row._asdict() for row in rows],
        "claims": [claim._asdict() for claim in claims],
        "variants": [way._asdict() for way in ways],
    }
    text = json.dumps(record, indent=2).replace("Infinity", "null")
    (out / "speed.json").write_text(text + "\n", encoding="utf-8")
    singles = [row for row in rows if row.batch == 1 and row.active in (1, 2, 4)]
    parts = [
        "# Speed",
        about,
        claim_table(claims),
        cost_table(rows),
        stage_table(singles),
        "\n".join(f"- {way.line()}" for way in ways),
    ]
    (out / "speed.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    draw(rows, out / "speed.png")


def _whole(context: click.Context, option: click.Parameter, text: str | None) -> list[int] | None:
    try:
        return None if text is None else [int(item) for item in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: expected whole numbers, as 1,2") from error


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option("--quick", is_flag=True, help="Few workloads, tiny networks: a few minutes.")
@click.option("--sizes", callback=_whole, help="Sides. [default: 256,512,1024]")
@click.option("--active", callback=_whole, help="Active operations. [default: 1,2,3,4]")
@click.option("--batches", callback=_whole, help="Photos at a time. [default: 1,8]")
@click.option("--presets", help="Of the networks. [default: tiny,base]")
@click.option("--repeats", type=click.IntRange(1), help="[default: 7, quick: 3; base: a third]")
@click.option("--faces", type=click.Path(exists=True, path_type=Path), help="For the PSNR claims.")
@click.option("--limit", type=click.IntRange(1), help="Faces. [default: 16, quick: 4]")
@click.option("--threads", type=click.IntRange(1), help="Of torch. [default: torch's]")
@click.option("--clock", type=click.Choice(["auto", "cpu", "wall"]), default="auto")
@click.option("--device", help="[default: cuda where there is one, else cpu]")
@click.option("--compile", "compiled", is_flag=True, help="Try torch.compile too.")
@click.option("--claims-only", is_flag=True, help="Only the claims.")
@click.option("--readme", is_flag=True, help="Renew the table in README.md, too.")
def main(out: Path, quick: bool, **given: Any) -> None:
    """Measure what a restoration costs, and judge the claims about speed."""
    keep_freed_memory()
    if given["threads"]:
        torch.set_num_threads(given["threads"])
    device = torch.device(given["device"] or ("cuda" if torch.cuda.is_available() else "cpu"))
    clock = clock_of(device, given["clock"])
    presets = (given["presets"] or ("tiny" if quick else ",".join(PRESETS))).split(",")
    if unknown := [name for name in presets if name not in PRESETS]:
        raise click.UsageError(f"--presets names {unknown}; known are {', '.join(PRESETS)}")
    repeats = given["repeats"] or (3 if quick else 7)
    about = conditions(device, clock)
    click.echo(about)
    if device.type != "cuda":
        click.echo("no CUDA here: events, bfloat16 and CUDA graphs are left out")

    claims = must_show.all_claims(
        clock,
        device,
        quick=quick,
        repeats=repeats,
        faces=given["faces"],
        limit=given["limit"] or (4 if quick else 16),
        presets=presets,
        say=click.echo,
    )
    rows, ways = [], []
    if not given["claims_only"]:
        sizes = given["sizes"] or ([256, 512] if quick else [256, 512, 1024])
        actives = given["active"] or ([1, 2, 4] if quick else [1, 2, 3, 4])
        batches = given["batches"] or ([1] if quick else [1, 8])
        for preset in presets:
            turns = repeats if preset == "tiny" else max(1, repeats // 3)
            options = ([preset], sizes, batches, actives, device, turns, clock)
            for row in matrix.measure(*options):
                rows.append(row)
                click.echo(cost_table([row]).splitlines()[-1])
        ways = variants.compare("tiny", 512, device, repeats, clock, given["compiled"])
        for way in ways:
            click.echo(way.line())
    write(out, about, rows, claims, ways)
    if given["readme"]:
        put_between_marks(ROOT / "README.md", f"{short_table(claims)}\n\n{about}.")
    click.echo(f"written: {out / 'speed.md'}, speed.json, speed.png")


if __name__ == "__main__":
    main()
