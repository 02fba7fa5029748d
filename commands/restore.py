"""`frr restore`: photos in; restored photos, and a report on each, out."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options
from .faces import Chosen, load_detector, restore_faces
from .photos import FORMATS, Job, Problems, find, guard, open_photo, plan, save_photo
from .reports import References, Report, write_expert_pictures

if TYPE_CHECKING:
    from ..pipelines.face_detector import FaceDetector
    from ..pipelines.pipeline_mofrr import MoFRRPipeline


@dataclass(frozen=True)
class Settings:
    """How to restore.

    Attributes:
        operations: the operations to undo, as the pipeline takes them.
        degrees: degrees that are known, by operation.
        num_inference_steps: denoising steps.
        strength: share of the correction that is applied.
        num_samples: estimates to average.
        seed: every photo's noise starts from it.
        working_size: shorter side the networks see, 0 for the photo's own, None for the model's.
        skip_untouched: whether a photo where nothing is found comes back as it is.
    """

    operations: set[str] | dict[str, bool | str] | None
    degrees: dict[str, float]
    num_inference_steps: int
    strength: float
    num_samples: int
    seed: int
    working_size: int | None
    skip_untouched: bool

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the pipeline's call."""
        import torch

        given = {**vars(self), "degrees": self.degrees or None}
        given["generator"] = torch.Generator().manual_seed(given.pop("seed"))
        given["working_size"] = {None: "config", 0: None}.get(self.working_size, self.working_size)
        return given

    def record(self) -> dict[str, Any]:
        """The same as JSON holds it."""
        given = dict(vars(self))
        if isinstance(self.operations, set):
            given["operations"] = sorted(self.operations)
        return given


@click.command(short_help="Undo the retouching of photos.")
@options.photos
@options.output
@click.option("--operations", help="Undo just a,b or switch a=on,b=off,c=auto. [default: all auto]")
@click.option("--degree", "degrees", multiple=True, metavar="NAME=0..1", help="A known degree.")
@options.steps
@click.option("--strength", type=click.FloatRange(0, 1), default=1.0, show_default=True)
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True)
@options.seed
@click.option("--working-size", type=click.IntRange(0), help="Shorter side; 0: the photo's own.")
@click.option("--always", is_flag=True, help="Run the shared expert even where nothing is found.")
@click.option("--reference", type=click.Path(exists=True, path_type=Path), help="True photo(s).")
@click.option("--faces", type=Chosen(), help="Whole photos: restore all faces, or some of them.")
@click.option("--experts", is_flag=True, help="Also write what each active expert did.")
@click.option("--format", "suffix", type=click.Choice(FORMATS), default="png", show_default=True)
@options.overwrite
@options.model
def restore(paths: Sequence[Path], folder: Path, **given: Any) -> None:
    """Undo the retouching of PHOTOs, files or folders of them, and write the results to a folder.

    Beside each result a JSON file of its name reports which operations were found, their degrees,
    what was undone, how long it took and, given the true photo (--reference, a file, or a folder
    with files of the same names), the PSNR before and after.

    A photo should be filled by one upright face. In whole photos --faces finds the faces itself (it
    needs the `identity` extra): all, the largest, or those of the given numbers, 1 the largest.
    """
    if given["faces"] and given["experts"]:
        raise click.UsageError("--experts shows what was done to a whole photo; leave out --faces")
    problems = Problems()
    jobs = plan(find(paths, problems), folder, given["suffix"])
    references = References(given["reference"], [job.photo for job in jobs])
    pipe = options.load_pipeline(given["model"], given["device"], given["dtype"])
    settings = _settings(given, pipe)
    finder = (load_detector(), given["faces"]) if given["faces"] else None

    reports = []
    with click.progressbar(jobs, label="Restoring", file=sys.stderr) as bar:
        for job in bar:
            try:
                _guard(job, jobs, given["experts"], given["overwrite"])
                report = _restore_one(pipe, job, settings, references, given["experts"], finder)
                report.write(model=given["model"], settings=settings.record())
                reports.append(report)
            except (OSError, ValueError) as error:
                problems.report(job.photo, error)
    for report in reports:
        click.echo(report.line())
    problems.end()


def _settings(given: dict[str, Any], pipe: MoFRRPipeline) -> Settings:
    return Settings(
        operations=options.parse_operations(given["operations"], pipe.operations),
        degrees=options.parse_degrees(given["degrees"], pipe.operations),
        num_inference_steps=options.steps_or_default(pipe, given["steps"]),
        strength=given["strength"],
        num_samples=given["samples"],
        seed=given["seed"],
        working_size=given["working_size"],
        skip_untouched=not given["always"],
    )


def _guard(job: Job, jobs: Sequence[Job], experts: bool, overwrite: bool) -> None:
    """Raise ValueError if a file that is to be kept would be replaced."""
    photos = [other.photo for other in jobs]
    for target in (job.target, job.report, *([job.extras] if experts else [])):
        guard(target, photos, overwrite)


def _restore_one(
    pipe: MoFRRPipeline,
    job: Job,
    settings: Settings,
    references: References,
    experts: bool,
    finder: tuple[FaceDetector, str | tuple[int, ...]] | None,
) -> Report:
    start = time.perf_counter()
    photo = open_photo(job.photo)
    truth = references.find(job.photo, photo.size)
    opened = time.perf_counter()
    faces = None
    if finder is None:
        result, output = options.restore_photo(pipe, photo, **settings.arguments())
    else:
        result, output, faces = restore_faces(
            pipe, finder[0], photo, finder[1], **settings.arguments()
        )
    restored = time.perf_counter()

    save_photo(result, job.target, photo.info.get("icc_profile"))
    if experts:
        write_expert_pictures(output, job.extras)
    seconds = {"read": opened - start, "restore": restored - opened}
    seconds["write"] = time.perf_counter() - restored
    return Report.of(pipe, job, (photo, result), output, truth, seconds, faces)
