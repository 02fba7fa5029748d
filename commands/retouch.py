"""`frr retouch` and `frr inpaint`: blemishes removed, holes filled."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from .. import __version__, hub
from ..models.bpfre.kinds import KINDS
from . import options
from .photos import FORMATS, Job, Problems, find, open_photo, own_files, plan, save_photo
from .reports import to_do
from .results import Results

if TYPE_CHECKING:
    from PIL import Image

    from ..pipelines.bpfre.pipeline import BPFRePipeline, BPFRePipelineOutput

_existing = click.Path(exists=True, path_type=Path)
working_size = click.option(
    "--working-size", type=click.IntRange(0), help="Shorter side; 0: the photo's own."
)
suffix = click.option("--format", "suffix", type=click.Choice(FORMATS), default="png")
model = options.model_of(hub.BPFRE)


@click.command(short_help="Remove blemishes from photos of faces.")
@options.photos
@options.output
@click.option("--mask", type=_existing, help="Picture(s), white where retouching is allowed.")
@click.option("--preserve", type=_existing, help="Picture(s), white where all is kept.")
@click.option(
    "--strength",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="0: nothing; to 0.25 spots only; then more and more even skin.",
)
@click.option(
    "--only",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    help="Retouch this kind alone; may be given several times. Takes a model with a healer.",
)
@click.option("--stages", is_flag=True, help="Also write the coarse result and both maps.")
@working_size
@suffix
@options.overwrite
@options.resume
@model
def retouch(paths: Sequence[Path], folder: Path, **given: Any) -> None:
    """Remove acne, redness, scars, spots, pores and wrinkles from PHOTOs; moles are kept.

    PHOTOs are aligned face crops, files or folders of them. Outside what it finds the pixels stay
    as they are. Beside each result a JSON file says how much of the photo was changed, and lists
    what the healer retouched, with kinds and boxes.
    """

    def act(pipe: BPFRePipeline, photo: Image.Image, path: Path) -> BPFRePipelineOutput:
        masks: dict[str, Any] = {name: _mask(given[name], path) for name in ("mask", "preserve")}
        size = _working_size(given["working_size"])
        kinds = given["kinds"] or None
        output: Any = pipe(
            photo, strength=given["strength"], working_size=size, kinds=kinds, **masks
        )
        return output

    _run(paths, folder, given, act)


@click.command(short_help="Fill holes in photos of faces.")
@options.photos
@options.output
@click.option(
    "--mask", type=_existing, required=True, help="Picture(s), white where the photo is filled."
)
@working_size
@suffix
@options.overwrite
@options.resume
@model
def inpaint(paths: Sequence[Path], folder: Path, **given: Any) -> None:
    """Fill what a mask covers on PHOTOs, files or folders of them; all else stays as it is.

    A mask is one file for all photos, or a folder with a file of each photo's name.
    """

    def act(pipe: BPFRePipeline, photo: Image.Image, path: Path) -> BPFRePipelineOutput:
        size = _working_size(given["working_size"])
        output: Any = pipe.inpaint(photo, _mask(given["mask"], path), working_size=size)
        return output

    _run(paths, folder, given | {"stages": False}, act)


def _run(
    paths: Sequence[Path],
    folder: Path,
    given: dict[str, Any],
    act: Callable[[BPFRePipeline, Image.Image, Path], BPFRePipelineOutput],
) -> None:
    problems = Problems()
    photos = find(paths, problems)
    files = _with_stages if given["stages"] else own_files
    jobs = plan(photos, folder, given["suffix"], files)
    inputs = (*photos, given["mask"], given.get("preserve"))
    results = Results(folder, inputs, overwrite=given["overwrite"], resume=given["resume"])
    context = {"model": given["model"], "settings": _settings(given)}
    pipe = options.load_bpfre(given["model"], given["device"], given["dtype"])
    jobs = to_do(jobs, results, problems, **context)
    lines = []
    with click.progressbar(jobs, label="Retouching", file=sys.stderr) as bar:
        for job in bar:
            with problems.of(job.photo):
                results.check(*files(job))
                photo = open_photo(job.photo)
                output = act(pipe, photo, job.photo)
                lines.append(_write(job, photo, output, results, given["stages"], context))
    for line in lines:
        click.echo(line)
    problems.end()


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """The options that decide the result, as JSON holds them."""
    names = ("strength", "working_size", "mask", "preserve", "kinds")
    return {
        name: str(given[name]) if isinstance(given[name], Path) else given[name]
        for name in names
        if name in given
    }


def _write(
    job: Job,
    photo: Image.Image,
    output: BPFRePipelineOutput,
    results: Results,
    stages: bool,
    context: dict[str, Any],
) -> str:
    import numpy as np

    result = cast("Image.Image", output.images[0])
    save_photo(result, job.target, results, photo.info.get("icc_profile"))
    before, after = (np.asarray(each.convert("RGB")) for each in (photo, result))
    changed = float((before != after).any(-1).mean())
    report = {
        "frr": __version__,
        "photo": str(job.photo),
        "output": str(job.target),
        "changed": round(changed, 6),
        "largest_blemish": round(float(output.blemish_maps[0][0].max()), 4),
        **context,
    }
    if output.findings is not None:
        report["findings"] = [finding._asdict() for finding in output.findings[0]]
    if stages:
        _write_stages(job, output, results)
    results.write_json(job.report, report)
    return f"{job.target}: {changed:.1%} of the pixels changed"


def _stages(job: Job) -> tuple[Path, ...]:
    """Files for the coarse result and both maps."""
    return tuple(
        job.target.with_name(f"{job.target.stem}_{name}.png") for name in ("coarse", "e2d", "d2g")
    )


def _with_stages(job: Job) -> tuple[Path, ...]:
    return (*own_files(job), *_stages(job))


def _write_stages(job: Job, output: BPFRePipelineOutput, results: Results) -> None:
    from ..pipelines.photos.drawings import map_picture

    coarse, *maps = _stages(job)
    save_photo(cast("Image.Image", output.coarse_images[0]), coarse, results)
    for path, found in zip(maps, output.blemish_maps[0], strict=True):
        save_photo(map_picture(found), path, results)


def _mask(source: Path | None, photo: Path) -> Image.Image | None:
    """The mask of a photo: the file itself, or the file of the photo's name in a folder."""
    if source is None:
        return None
    if source.is_dir():
        found = sorted(path for path in source.iterdir() if path.stem == photo.stem)
        if len(found) != 1:
            raise ValueError(f"{source} holds {len(found)} masks named {photo.stem}, expected one")
        source = found[0]
    return open_photo(source).convert("L")


def _working_size(given: int | None) -> int | str | None:
    return {None: "config", 0: None}.get(given, given)
