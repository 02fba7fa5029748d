"""`frr evaluate` and `frr calibrate`: how well a model restores, how strong simulation is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options
from .bpfre import BPFRE_FILES, NATURAL_FILES, evaluate_bpfre, evaluate_natural, pipeline_option
from .candidates import (
    CANDIDATE_FILES,
    calibrate_candidates,
    evaluate_candidates,
    evaluated_option,
    read_option,
)
from .results import Results

if TYPE_CHECKING:
    from ..pipelines.mofrr.pipeline import MoFRRPipeline
    from ..training.data.faces import FaceSet
    from ..training.judging.report_mofrr import Evaluation

ROUTINGS = {"given": ("given",), "router": ("router",), "both": ("given", "router")}
REAL_FILES = ("photos.jsonl", "real.json", "real.md")
SPLITS = {"seen": ("seen",), "unseen": ("unseen",), "both": ("seen", "unseen")}

faces_option = click.option(
    "--faces",
    "faces_folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of aligned face crops.",
)


@click.command(short_help="Judge a model on retouched faces.")
@faces_option
@options.output
@pipeline_option
@options.size
@options.limit
@click.option("--routing", type=click.Choice(list(ROUTINGS)), default="both", show_default=True)
@click.option("--split", type=click.Choice(list(SPLITS)), default="both", show_default=True)
@options.steps
@click.option("--batch-size", type=click.IntRange(1), default=8, show_default=True)
@click.option("--exported", is_flag=True, help="Also judge photos saved as JPEG and resized.")
@click.option("--identity", is_flag=True, help="Also measure identity; needs frr[identity].")
@options.seed
@click.option(
    "--world",
    type=click.Choice(["laboratory", "real"]),
    default="laboratory",
    show_default=True,
    help="laboratory: retouched at --size and kept; real: at the photo's own size, sent, cropped.",
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    metavar="FOLDER[/PATTERN]",
    help="With --world real: folders in --faces, and which files of them.",
)
@click.option(
    "--without", multiple=True, metavar="PATTERN", help="With --world real: names left out."
)
@click.option(
    "--sides",
    metavar="A,B",
    help="With --world real: native sides in pixels, in turn.  [default: 300,420,512,700,1000]",
)
@click.option("--unsent", is_flag=True, help="With --world real: files are not compressed.")
@click.option(
    "--all-choices",
    is_flag=True,
    help="With --world real: undo every set of operations, so that `frr thresholds` sees them all.",
)
@evaluated_option
@options.overwrite
@options.model
def evaluate(faces_folder: Path, folder: Path, **given: Any) -> None:
    """Retouch the faces of a folder, restore them, and compare them with the originals.

    For algorithms seen in training and unseen ones, for each operation, mixed and untouched photos:
    PSNR and SSIM before and after, the share improved, and the router's accuracy; with the
    operations given, and with the router deciding. Prints the tables and writes evaluation.md and
    a JSON file for each routing.

    With --pipeline bpfre: blemishes are painted on the faces and retouched away; also by kind, on
    moles, on clean faces, in dim light, under occlusion, and for the largest poses. Writes
    bpfre.md, bpfre.json and panel.png. With --world real, too: natural skin at the photo's own
    size, against a classical retoucher that has the landmarks; --source, --without and --limit
    choose the faces. Writes natural.json.

    With --world real: photos of real size, each operation alone and mixed by one app, sent and
    cropped; also by native side and JPEG quality, as other files, and how honest probabilities are;
    --identity adds slimmed faces and enlarged eyes, where the extra is there. Writes real.md,
    real.json and photos.jsonl, which `frr thresholds` reads. With --candidates N: instead how well
    samples of the degree spread. Writes candidates.md, .json, .jsonl, for `frr thresholds`, and
    candidates.png: photos, images, samples, uncertainty, truth.
    """
    real = given["world"] == "real"
    bpfre = given["pipeline"] == "bpfre"
    routings = ROUTINGS[given["routing"]]
    files = ("evaluation.md", *(f"{routing}.json" for routing in routings))
    if bpfre:
        files = NATURAL_FILES if real else BPFRE_FILES
    elif real:
        files = REAL_FILES if given["candidates"] is None else CANDIDATE_FILES
    elif given["candidates"] is not None:
        raise click.UsageError("--candidates are judged on real photos: add --world real")
    results = options.results_in(folder, files, given["overwrite"])
    if bpfre and real:
        evaluate_natural(faces_folder, results, given)
        return
    if real:
        _evaluate_real(faces_folder, results, given)
        return
    faces = options.load_faces(faces_folder, given["size"], given["limit"])
    if bpfre:
        evaluate_bpfre(faces, results, given)
        return
    pipe = options.load_pipeline(given["model"], given["device"], given["dtype"])
    identity = _identity(faces_folder) if given["identity"] else {}

    sections = []
    for routing in routings:
        result = _judge(pipe, faces, given, routing=routing, **identity)
        result = replace(result, weights=_weights(pipe))
        sections.append(_keep(result, folder / f"{routing}.json", results))
    results.write_text(folder / "evaluation.md", "\n".join(sections))
    click.echo(f"wrote {folder / 'evaluation.md'}")


def _evaluate_real(faces_folder: Path, results: Results, given: dict[str, Any]) -> None:
    """Judges a model on photos of real size."""
    from ..training.data.native_capture import open_faces
    from ..training.judging import report_native as report
    from ..training.judging.evaluate_native import Judge, judge
    from ..training.judging.native_photos import write_photos
    from ..training.judging.native_world import SIDES, World

    sides = options.read_numbers(given["sides"], "--sides") or SIDES
    world = World(given["seed"], SPLITS[given["split"]], sides, not given["unsent"])
    if given["candidates"] is not None:
        evaluate_candidates(faces_folder, results, given, world, _advance)
        return
    pipe = options.load_pipeline(given["model"], given["device"], given["dtype"])
    try:
        faces = open_faces(faces_folder, given["sources"], given["without"])
        thresholds = Judge(pipe).thresholds
        with click.progressbar(length=1, label="real", file=sys.stderr) as bar:
            kept: dict[str, Any] = {name: given[name] for name in ("limit", "all_choices")}
            kept["embedder"] = _embedder() if given["identity"] else None
            photos = list(judge(pipe, faces, world, **kept, progress=_advance(bar)))
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    result = report.evaluation_of(
        photos,
        thresholds,
        seed=world.seed,
        sides=world.sides,
        journeys=world.journeys,
        weights=_weights(pipe),
    )
    folder = results.folder
    with results.writing(folder / "photos.jsonl") as beside:
        write_photos(photos, beside)
    results.write_text(folder / "real.json", report.to_json(result) + "\n")
    click.echo(report.to_text(result))
    results.write_text(folder / "real.md", report.to_markdown(result))
    click.echo(f"wrote {folder / 'real.md'}")


@click.command(short_help="Set a router's thresholds on photos that it judged.")
@click.option(
    "--model",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Model folder whose router is calibrated; its settings are written anew.",
)
@click.option(
    "--photos",
    "files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="photos.jsonl of `frr evaluate --world real`, of people kept for this.",
)
@read_option
@click.option(
    "--touched",
    type=click.FloatRange(0, 1),
    default=0.05,
    show_default=True,
    help="Share of the untouched photos on which anything may be found.",
)
@click.option(
    "--caution",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="What a dB lost counts, against one gained.",
)
def thresholds(
    folder: Path, files: Sequence[Path], spreads: Sequence[Path], touched: float, caution: float
) -> None:
    """Calibrate the router of a model: its probabilities, and where they count as found.

    Probabilities are made honest on the photos that the model judged; the thresholds are those of
    the largest mean gain in dB that leave enough untouched photos alone. Where AUC falls below 0.7
    in the smallest or most compressed photos, that size and quality become bounds below which the
    router says that it cannot tell.

    With --candidates, too or alone: how surely degrees are drawn where nobody tells them, so that
    80 % intervals hold 80 % of the true ones, and what `uncertainty` is multiplied by to be an
    error. Judged again with these settings, it comes out more exactly.
    """
    if not (files or spreads):
        raise click.UsageError("nothing to calibrate on: pass --photos, --candidates, or both")
    try:
        if files:
            _calibrate_found(folder, files, touched, caution)
        if spreads:
            calibrate_candidates(folder, spreads)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"wrote {folder / 'router' / 'config.json'}")


def _calibrate_found(folder: Path, files: Sequence[Path], touched: float, caution: float) -> None:
    """Calibrates probabilities, thresholds and bounds, and says so."""
    from ..training.judging.native_photos import read_photos
    from ..training.judging.native_thresholds import calibrate_folder

    photos = [photo for file in files for photo in read_photos(file)]
    fit = calibrate_folder(folder, photos, touched_share=touched, caution=caution)
    for name, *values in zip(photos[0].operations, *fit, strict=True):
        said = zip(fit._fields, values, strict=True)
        words = [f"{word} {'none' if n is None else f'{n:.4g}'}" for word, n in said]
        click.echo(f"{name}: " + ", ".join(words))


def _judge(
    pipe: MoFRRPipeline, faces: FaceSet, given: dict[str, Any], **particular: Any
) -> Evaluation:
    from ..training.judging.evaluate_mofrr import evaluate as measure

    common = {name: given[name] for name in ("seed", "batch_size", "steps", "exported")}
    splits = SPLITS[given["split"]]
    with click.progressbar(length=1, label=particular["routing"], file=sys.stderr) as bar:
        particular["progress"] = _advance(bar)
        return measure(pipe, faces, splits=splits, **common, **particular)


def _advance(bar: Any) -> Callable[[int, int], None]:
    """Moves a progress bar, which learns its length from the first call."""

    def progress(done: int, total: int) -> None:
        bar.length = total
        bar.update(done - bar.pos)

    return progress


def _weights(pipe: MoFRRPipeline) -> str | None:
    """The digest by which a model card knows that the evaluation is this model's."""
    from ..training.publishing.card import weights_digest

    return weights_digest(Path(str(pipe.config.get("_name_or_path"))))


def _keep(result: Evaluation, path: Path, results: Results) -> str:
    """Prints the tables, writes them as JSON, and returns them as Markdown."""
    from ..training.judging import report_mofrr as report

    results.write_text(path, report.to_json(result) + "\n")
    click.echo(report.to_text(result))
    return report.to_markdown(result)


def _embedder() -> Any:
    """What measures identity; None, said in a word, without the extra."""
    from ..training.judging.identity import FaceEmbedder

    try:
        return FaceEmbedder()
    except ImportError as error:
        click.echo(f"identity is not measured: {error}", err=True)
        return None


def _identity(faces_folder: Path) -> dict[str, Any]:
    from ..training.judging.identity import FaceEmbedder, load_persons

    try:
        return {"embedder": FaceEmbedder(), "persons": load_persons(faces_folder)}
    except (ImportError, ValueError) as error:
        raise click.ClickException(str(error)) from error


@click.command(short_help="Measure how strongly the simulator retouches.")
@faces_option
@options.size
@options.limit
@options.seed
def calibrate(faces_folder: Path, size: int, limit: int | None, seed: int) -> None:
    """Retouch the faces of a folder by every algorithm and print how strong it is.

    Copy-input PSNR beside the paper's, change of skin colour, loss of texture, narrowing of the
    jaw and widening of the eyes: means over the faces.
    """
    from ..pipelines.simulate.calibrate import calibrate as measure

    faces = options.load_faces(faces_folder, size, limit)
    click.echo("measuring ", nl=False, err=True)
    table = measure(
        faces.images,
        faces.landmarks,
        seed=seed,
        progress=lambda _: click.echo(".", nl=False, err=True),
    )
    click.echo(err=True)
    click.echo(table.as_text())
