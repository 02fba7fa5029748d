"""`frr restore`: photos in; restored photos, and a report on each, out."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from . import options
from .candidates import candidate_files, restored_option, write_candidates
from .faces import Chosen, load_detector, restore_faces
from .photos import FORMATS, Job, Problems, find, open_photo, own_files, plan, save_photo
from .reports import References, Report, expert_files, to_do, write_expert_pictures
from .results import Results
from .throughput import SaveBehind, Throughput, for_device, load_ahead

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from ..pipelines.mofrr.output import MoFRRPipelineOutput
    from ..pipelines.mofrr.pipeline import MoFRRPipeline
    from ..pipelines.photos.detector import FaceDetector


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
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="More than 1: the report says how unsure the result is.",
)
@restored_option
@options.seed
@click.option("--working-size", type=click.IntRange(0), help="Shorter side; 0: the photo's own.")
@click.option("--always", is_flag=True, help="Run the shared expert even where nothing is found.")
@click.option("--reference", type=click.Path(exists=True, path_type=Path), help="True photo(s).")
@click.option("--faces", type=Chosen(), help="Whole photos: restore all faces, or some of them.")
@click.option("--experts", is_flag=True, help="Also write what each active expert did.")
@click.option("--format", "suffix", type=click.Choice(FORMATS), default="png", show_default=True)
@options.overwrite
@options.resume
@options.model
def restore(paths: Sequence[Path], folder: Path, **given: Any) -> None:
    """Undo the retouching of PHOTOs, files or folders of them, and write the results to a folder.

    Beside each result a JSON file of its name reports which operations were found, their degrees,
    what was undone, how long it took and, given the true photo (--reference, a file, or a folder
    with files of the same names), the PSNR before and after.

    With --candidates N, restorations that may be the true one are written beside it as NAME_1 to
    NAME_N, the likeliest first, each with degrees drawn from what the router believes of them; the
    report lists them. The result itself is not one of them: it is careful where no degree is known.

    A photo should be filled by one upright face. In whole photos --faces finds the faces itself (it
    needs the `identity` extra): all, the largest, or those of the given numbers, 1 the largest.
    """
    if given["faces"] and given["experts"]:
        raise click.UsageError("--experts shows what was done to a whole photo; leave out --faces")
    if given["candidates"]:
        if given["faces"] or given["samples"] > 1:
            raise click.UsageError("--candidates goes with neither --faces nor --samples")
        given["samples"] = given["candidates"]
    problems = Problems()
    photos = find(paths, problems)
    beside = given["candidates"] or 0
    jobs = plan(
        photos,
        folder,
        given["suffix"],
        lambda job: (*own_files(job), *candidate_files(job, beside)),
    )
    results = Results(
        folder, (*photos, given["reference"]), overwrite=given["overwrite"], resume=given["resume"]
    )
    references = References(given["reference"], [job.photo for job in jobs])
    pipe = options.load_pipeline(given["model"], given["device"], given["dtype"])
    settings = _settings(given, pipe)
    finder = (load_detector(), given["faces"]) if given["faces"] else None

    asked = {"candidates": beside} if beside else {}
    context = {"model": given["model"], "settings": {**settings.record(), **asked}}
    jobs = to_do(jobs, results, problems, **context)
    device = None if finder else pipe.device
    coming = load_ahead(jobs, lambda job: Loaded.of(job, references, device))
    reports, speed = [], Throughput()

    def finish(job: Job, restored: Restored) -> Report:
        report = restored.save(pipe, job, results, given["experts"], bool(beside))
        report.write(results, **context)
        return report

    def collect(finished: Iterable[tuple[Job, Future[Report]]]) -> None:
        for job, saving in finished:
            with speed.stage("save"), problems.of(job.photo):
                reports.append(saving.result())

    with SaveBehind() as saver:
        with click.progressbar(coming, len(jobs), label="Restoring", file=sys.stderr) as bar:
            for job, loading in bar:
                with problems.of(job.photo):
                    extras = expert_files(job, pipe.operations) if given["experts"] else ()
                    results.check(*own_files(job), *candidate_files(job, beside), *extras)
                    restored = _restore_one(pipe, loading, settings, finder, speed)
                    if not given["experts"]:
                        restored = restored.without_experts()
                    saver.put(job, partial(finish, job, restored))
                collect(saver.finished())
        collect(saver.finished(every=True))
    for report in reports:
        click.echo(report.line())
    if len(reports) > 1:
        click.echo(speed.line(len(reports)), err=True)
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


class Loaded(NamedTuple):
    """A photo that is ready to be restored.

    Attributes:
        photo: the picture.
        pixels: what the pipeline is given: the picture, or its tensor.
        truth: the true picture, where there is one.
        seconds: how long loading took.
    """

    photo: Image.Image
    pixels: Any
    truth: Image.Image | None
    seconds: float

    @classmethod
    def of(cls, job: Job, references: References, device: torch.device | None) -> Loaded:
        """Read a job's pictures; for `device`, None where the pipeline needs the picture itself.

        Raises:
            ValueError: one of them cannot be read, or does not fit.
        """
        start = time.perf_counter()
        photo = open_photo(job.photo)
        truth = references.find(job.photo, photo.size)
        pixels = photo if device is None else for_device(photo, device)
        return cls(photo, pixels, truth, time.perf_counter() - start)


class Restored(NamedTuple):
    """A photo that is ready to be saved.

    Attributes:
        loaded: the photo as it came.
        result: the restored picture.
        output: all that the pipeline says about it.
        faces: what was found of each face; None where the photo was restored as one.
        seconds: how long restoring took.
    """

    loaded: Loaded
    result: Image.Image
    output: MoFRRPipelineOutput
    faces: list[dict[str, Any]] | None
    seconds: float

    def without_experts(self) -> Restored:
        """The same without the experts' planes, which need much memory while it waits."""
        output = replace(self.output, expert_images=None, residuals=None, flows=None)
        return self._replace(output=output)

    def save(
        self, pipe: MoFRRPipeline, job: Job, results: Results, experts: bool, candidates: bool
    ) -> Report:
        """Write the pictures; returns the report, not yet written."""
        start, photo = time.perf_counter(), self.loaded.photo
        profile = photo.info.get("icc_profile")
        save_photo(self.result, job.target, results, profile)
        found = write_candidates(self.output, job, results, profile) if candidates else None
        if experts:
            write_expert_pictures(self.output, job.extras, results)
        seconds = {"read": self.loaded.seconds, "restore": self.seconds}
        seconds["write"] = time.perf_counter() - start
        pictures = photo, self.result
        report = Report.of(pipe, job, pictures, self.output, self.loaded.truth, seconds, self.faces)
        return replace(report, candidates=found)


def _restore_one(
    pipe: MoFRRPipeline,
    loading: Future[Loaded],
    settings: Settings,
    finder: tuple[FaceDetector, str | tuple[int, ...]] | None,
    speed: Throughput,
) -> Restored:
    with speed.stage("load"):
        loaded = loading.result()
    faces, start = None, time.perf_counter()
    with speed.stage("restore"):
        if finder is None:
            result, output = options.restore_photo(pipe, loaded.pixels, **settings.arguments())
        else:
            result, output, faces = restore_faces(
                pipe, finder[0], loaded.photo, finder[1], **settings.arguments()
            )
    return Restored(loaded, result, output, faces, time.perf_counter() - start)
