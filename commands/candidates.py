"""`--candidates`: what a photo may have been, and whether samples differ as the truth may."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options
from .photos import Job, save_photo

if TYPE_CHECKING:
    from ..pipelines.mofrr.output import MoFRRPipelineOutput
    from ..training.judging.native_world import World
    from .results import Results

CANDIDATE_FILES = ("candidates.jsonl", "candidates.json", "candidates.md", "candidates.png")

restored_option = click.option(
    "--candidates",
    type=click.IntRange(2),
    help="Also write so many restorations beside, NAME_1 the likeliest, with degrees drawn.",
)
evaluated_option = click.option(
    "--candidates",
    type=click.IntRange(2),
    help="With --world real: instead, judge so many samples of each photo, their operation given.",
)
read_option = click.option(
    "--candidates",
    "spreads",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="candidates.jsonl of `frr evaluate --world real --candidates N`, of people kept for this.",
)


def candidate_files(job: Job, count: int) -> tuple[Path, ...]:
    """The files beside a result that may hold its candidates."""
    target = job.target
    return tuple(
        target.with_name(f"{target.stem}_{number}{target.suffix}") for number in range(1, count + 1)
    )


def write_candidates(
    output: MoFRRPipelineOutput, job: Job, results: Results, profile: bytes | None
) -> list[dict[str, Any]]:
    """Write a photo's candidates beside its result, the likeliest first.

    Returns:
        Of each its file, degrees, likelihood and words, as the report lists them; none, and no
        file, where the photo leaves nothing open.
    """
    found = output.candidates[0] if output.candidates else []
    if len(found) < 2:
        return []
    records = []
    for path, each in zip(candidate_files(job, len(found)), found, strict=True):
        save_photo(each.image, path, results, profile)
        degrees = options.by_name(list(each.degrees), each.degrees.values())
        chance = round(each.likelihood, 4)
        told = {"degrees": degrees, "likelihood": chance, "words": each.words}
        records.append({"file": path.name, **told})
    return records


def evaluate_candidates(
    faces_folder: Path, results: Results, given: dict[str, Any], world: World, progress: Any
) -> None:
    """Judges the candidates of a model on photos of real size."""
    from ..training.data.native_capture import open_faces
    from ..training.judging import report_candidates as report
    from ..training.judging.native_candidates import judge_candidates, write_candidates
    from ..training.judging.panel_candidates import candidate_panel

    pipe = options.load_pipeline(given["model"], given["device"], given["dtype"])
    count, folder = given["candidates"], results.folder
    try:
        faces = open_faces(faces_folder, given["sources"], given["without"])
        with click.progressbar(length=1, label="candidates", file=sys.stderr) as bar:
            asked = {"count": count, "limit": given["limit"], "progress": progress(bar)}
            rows = list(judge_candidates(pipe, faces, world, **asked))
        shown = candidate_panel(pipe, faces, world) if rows else None
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    assert pipe.router is not None
    found = report.spread_rows(rows, pipe.router.config)
    with results.writing(folder / "candidates.jsonl") as beside:
        write_candidates(rows, beside)
    context = {"candidates": count, "seed": world.seed, "sides": list(world.sides)}
    results.write_text(folder / "candidates.json", report.to_json(found, **context) + "\n")
    click.echo(report.to_text(found, count))
    results.write_text(folder / "candidates.md", report.to_markdown(found, count))
    if shown is not None:
        save_photo(shown, folder / "candidates.png", results)
    click.echo(f"wrote {folder / 'candidates.md'}")


def calibrate_candidates(folder: Path, files: Sequence[Path]) -> None:
    """Calibrates what a model's samples draw, and says so.

    Raises:
        ValueError: the files hold no candidates of this model.
    """
    from ..training.judging.native_candidates import read_candidates
    from ..training.judging.native_draws import calibrate_draws

    rows = [row for file in files for row in read_candidates(file)]
    fit = calibrate_draws(folder, rows)
    config = json.loads((folder / "router" / "config.json").read_text(encoding="utf-8"))
    names = config["operations"]
    for name, temperature, mixing, _, gain, scale in zip(names, *fit, strict=True):
        said = f"degree temperature {temperature:g}, prior's share {mixing:g}"
        click.echo(f"{name}: {said}, gain {gain:g}, spread x {scale:g}")
