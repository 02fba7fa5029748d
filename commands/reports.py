"""What `frr restore` tells about a photo: a report, a line of text, its experts' pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import __version__
from .options import by_name
from .photos import Job, Problems, open_photo, save_photo
from .results import Results

if TYPE_CHECKING:
    from PIL import Image

    from ..pipelines.mofrr.output import MoFRRPipelineOutput
    from ..pipelines.mofrr.pipeline import MoFRRPipeline


TOO_LITTLE = "too small or too compressed to tell"


class References:
    """The true photos, where there are any: one file, or a folder searched by name."""

    def __init__(self, place: Path | None) -> None:
        self.place = place

    def check(self, photos: Sequence[Path]) -> None:
        """Raise click.UsageError where one file is given for several photos."""
        if self.place is not None and not self.place.is_dir() and len(photos) > 1:
            raise click.UsageError(
                f"--reference {self.place} is one file for {len(photos)} photos: "
                "give a folder of files"
            )

    def find(self, photo: Path, size: tuple[int, int]) -> Image.Image | None:
        """Open the true version of `photo`: None without --reference.

        Raises:
            ValueError: there is none of the photo's name and size, or more than one.
        """
        if self.place is None:
            return None
        truth = open_photo(self._path(photo))
        if truth.size != size:
            raise ValueError(f"the reference is {truth.size}, the photo {size} (width, height)")
        return truth

    def _path(self, photo: Path) -> Path:
        assert self.place is not None
        if not self.place.is_dir():
            return self.place
        same_name = self.place / photo.name
        if same_name.is_file():
            return same_name
        found = [p for p in sorted(self.place.iterdir()) if p.is_file() and p.stem == photo.stem]
        if len(found) != 1:
            raise ValueError(f"{self.place} holds {len(found)} files named {photo.stem}, not 1")
        return found[0]


@dataclass(frozen=True)
class Report:
    """What happened to one photo.

    Attributes:
        job: files read and written.
        size: width and height.
        routing: probability that each operation was applied.
        degrees: degree each expert worked with, 0 where it did not run.
        active: the operations that were undone.
        native_size: the photo's shorter side in pixels, or that of its largest face.
        quality: JPEG quality as the "pixels" show it, None where they do not, and as the "file"
            says, None where it is no JPEG.
        untold: operations of which the photo is too small or too compressed for the router to tell;
            their probability is no verdict.
        seconds: time to read, restore and write.
        psnr: against the true photo in dB, before and after; infinite where equal, None without.
        uncertainty: mean error to be expected, as the samples say, in grey levels of 1, None with a
            single sample.
        uncertainty_levels: the same in levels of 8 bits.
        faces: what was found of each face; None where the photo was restored as one. The other
            fields then hold the strongest verdict on any face.
        candidates: file, degrees, likelihood and words of each, the likeliest first; none where the
            photo leaves nothing open, None where they were not asked for.
    """

    job: Job
    size: tuple[int, int]
    routing: Mapping[str, float]
    degrees: Mapping[str, float]
    active: tuple[str, ...]
    native_size: int
    quality: Mapping[str, float | None]
    untold: tuple[str, ...]
    seconds: Mapping[str, float]
    psnr: Mapping[str, float] | None
    uncertainty: float | None
    faces: Sequence[Mapping[str, Any]] | None = None
    uncertainty_levels: float | None = None
    candidates: Sequence[Mapping[str, Any]] | None = None

    @classmethod
    def of(
        cls,
        pipe: MoFRRPipeline,
        job: Job,
        pictures: tuple[Image.Image, Image.Image],
        output: MoFRRPipelineOutput,
        truth: Image.Image | None,
        seconds: Mapping[str, float],
        faces: Sequence[Mapping[str, Any]] | None = None,
    ) -> Report:
        """Gather what the pipeline says of one photo; `pictures`: it and its restoration."""
        names = pipe.operations
        own = min(pictures[0].size) if output.native_size is None else int(output.native_size[0])
        spread = None if output.uncertainty is None else float(output.uncertainty[0].mean())
        return cls(
            job=job,
            size=pictures[0].size,
            routing=by_name(names, output.routing[0]),
            degrees=by_name(names, output.degrees[0]),
            active=tuple(n for n, on in zip(names, output.active[0], strict=True) if on),
            native_size=own,
            quality={
                "pixels": seen_quality(output),
                "file": pictures[0].info.get("jpeg_quality"),
            },
            untold=untold(names, output),
            seconds={name: round(value, 3) for name, value in seconds.items()},
            psnr=None if truth is None else compare(*pictures, truth),
            uncertainty=spread,
            faces=faces,
            uncertainty_levels=None if spread is None else round(255 * spread, 2),
        )

    def write(self, results: Results, **context: Any) -> dict[str, Any]:
        """Write the report, with anything else that belongs in it, beside the result.

        Returns:
            What was written.
        """
        record = {
            "frr": __version__,
            "photo": str(self.job.photo),
            "output": str(self.job.target),
            **context,
            **{k: v for k, v in asdict(self).items() if k != "job"},
        }
        record = _without_infinity(record)
        results.write_json(self.job.report, record)
        return record

    def line(self) -> str:
        """One line for the terminal: files, what was undone at which degree, PSNR."""
        undone = [f"{name} {self.degrees[name]:.2f}" for name in self.active]
        line = f"{self.job.photo} -> {self.job.target}: {', '.join(undone) or 'nothing to undo'}"
        if silent := [name for name in self.untold if name not in self.active]:
            line += f"; {TOO_LITTLE}: {', '.join(silent)}"
        if self.candidates:
            line += f"; candidates: {' | '.join(each['words'] for each in self.candidates)}"
        if self.faces is not None:
            line += f"; {len(self.faces)} face(s)"
        if self.psnr is not None:
            line += f"; PSNR {self.psnr['photo']:.2f} -> {self.psnr['restored']:.2f} dB"
        return line


def seen_quality(output: MoFRRPipelineOutput, row: int = 0) -> float | None:
    """The JPEG quality that a photo's pixels show, None where they do not."""
    quality = None if output.quality is None else float(output.quality[row])
    return None if quality is None or math.isnan(quality) else quality


def untold(names: Sequence[str], output: MoFRRPipelineOutput, row: int = 0) -> tuple[str, ...]:
    """The operations of which a photo does not let the router tell."""
    told = [True] * len(names) if output.told is None else output.told[row].tolist()
    return tuple(name for name, tells in zip(names, told, strict=True) if not tells)


def compare(photo: Image.Image, restored: Image.Image, truth: Image.Image) -> dict[str, float]:
    """PSNR in dB of the photo and of its restoration against the true photo."""
    from ..pipelines.photos.drawings import to_tensor
    from ..training.judging.metrics import psnr

    values = [float(psnr(to_tensor(p), to_tensor(truth))) for p in (photo, restored)]
    return dict(zip(("photo", "restored"), values, strict=True))


def is_done(job: Job, results: Results, **context: Any) -> bool:
    """Whether an earlier run finished a photo: picture and report are there, and whole.

    Args:
        job: of the photo.
        results: the folder.
        context: what the report must say of how it was done.

    Raises:
        ValueError: it was done in another way.
    """
    if not results.has(job.target, job.report):
        return False
    try:
        record = json.loads(job.report.read_text(encoding="utf-8"))
    except ValueError:
        record = None
    if not isinstance(record, dict) or "photo" not in record:
        return False
    for name, value in json.loads(json.dumps({"photo": str(job.photo), **context})).items():
        if record.get(name) != value:
            raise ValueError(
                f"{job.target} was made with {name}={record.get(name)!r}, now it is {value!r}: "
                "resume with what it had, or choose another -o"
            )
    return True


def to_do(jobs: Sequence[Job], results: Results, problems: Problems, **context: Any) -> list[Job]:
    """The jobs that an earlier run has not finished; all of them without --resume."""
    if not results.resume:
        return list(jobs)
    left, done = [], 0
    for job in jobs:
        with problems.of(job.photo):
            if is_done(job, results, **context):
                done += 1
            else:
                left.append(job)
    click.echo(f"{done} photo(s) were done before", err=True)
    return left


def expert_files(job: Job, experts: Sequence[str]) -> tuple[Path, ...]:
    """The files that `write_expert_pictures` may write."""
    ends = ("", "_residual", "_flow")
    return tuple(job.extras / f"{name}{end}.png" for name in experts for end in ends)


def write_expert_pictures(output: MoFRRPipelineOutput, folder: Path, results: Results) -> None:
    """Write image, residual (4 times, around grey) and flow (as colours) of each active expert."""
    from ..pipelines.photos.drawings import flow_picture, residual_picture

    assert output.expert_images and output.residuals and output.flows
    for name, images in output.expert_images.items():
        residual, flow = output.residuals[name][0], output.flows[name][0]
        if images[0] is None or residual is None or flow is None:
            continue
        save_photo(images[0], folder / f"{name}.png", results)
        save_photo(residual_picture(residual), folder / f"{name}_residual.png", results)
        save_photo(flow_picture(flow), folder / f"{name}_flow.png", results)


def _without_infinity(value: Any) -> Any:
    """Replace numbers that JSON does not have by None."""
    if isinstance(value, Mapping):
        return {key: _without_infinity(inner) for key, inner in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
