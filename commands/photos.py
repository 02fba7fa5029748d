"""Photo files at the command line's edge: finding, reading, naming and never overwriting them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from ..pipelines.photos.wording import one_line

if TYPE_CHECKING:
    from PIL import Image

    from .results import Results

FORMATS = ("png", "jpg", "webp")
FAILURES = (OSError, ValueError, RuntimeError, MemoryError)
"""What may go wrong with one photo while the others go on."""


class Job(NamedTuple):
    """One photo to process.

    Attributes:
        photo: the file to read.
        target: the file to write.
    """

    photo: Path
    target: Path

    @property
    def report(self) -> Path:
        """The JSON file beside the result."""
        return self.target.with_suffix(".json")

    @property
    def extras(self) -> Path:
        """The folder beside the result for further pictures of the photo."""
        return self.target.with_name(f"{self.target.stem}_experts")


class Problems:
    """Counts what went wrong with single photos while the others go on."""

    def __init__(self) -> None:
        self.count = 0

    def report(self, path: Path, reason: object) -> None:
        """Say on standard error what is wrong with `path`."""
        self.count += 1
        click.echo(f"{path}: {reason}", err=True)

    @contextmanager
    def of(self, path: Path) -> Iterator[None]:
        """Report what goes wrong inside, with reading, restoring or writing `path`, and go on."""
        try:
            yield
        except FAILURES as error:
            self.report(path, one_line(error))

    def end(self) -> None:
        """End the command with status 1 if anything was reported."""
        if self.count:
            click.echo(f"{self.count} problem(s), named above", err=True)
            raise click.exceptions.Exit(1)


def find(paths: Iterable[Path | str], problems: Problems) -> list[Path]:
    """List the given files and the files directly inside the given folders, each once.

    In a folder, hidden files and JSON reports beside a file of their name are left out; whether a
    file is a picture shows when it is opened.
    """
    found: dict[Path, None] = {}
    for path in paths:
        with problems.of(Path(path)):
            if isinstance(path, str):
                raise ValueError("is an address: reading from there takes --ray, for all photos")
            if path.is_dir():
                inside = _inside(path)
                if not inside:
                    problems.report(path, "the folder holds no file")
                found.update(dict.fromkeys(inside))
            elif path.exists():
                found[path] = None
            else:
                problems.report(path, "no such file or folder")
    return list(found)


def _inside(folder: Path) -> list[Path]:
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.name[0] != ".")
    stems = {path.stem for path in files if path.suffix != ".json"}
    return [path for path in files if path.suffix != ".json" or path.stem not in stems]


def own_files(job: Job) -> tuple[Path, ...]:
    """The files that every photo's job writes: the picture, and its report last."""
    return job.target, job.report


def plan(
    photos: Sequence[Path],
    folder: Path,
    suffix: str,
    files: Callable[[Job], Iterable[Path]] = own_files,
) -> list[Job]:
    """Name the outputs of each photo by its stem, numbered where two photos' would share a name.

    Args:
        photos: to process.
        folder: to write to.
        suffix: of the pictures.
        files: all that a job writes; names that differ in upper and lower case are taken as one.
    """
    taken: set[str] = set()
    jobs = []
    for photo in photos:
        job, number = Job(photo, folder / f"{photo.stem}.{suffix}"), 2
        while taken & (names := {path.name.casefold() for path in files(job)}):
            job = Job(photo, folder / f"{photo.stem}-{number}.{suffix}")
            number += 1
        taken |= names
        jobs.append(job)
    return jobs


def open_photo(path: Path, data: bytes | None = None) -> Image.Image:
    """Read a photo upright; see `pipelines.photos.files.open_photo`.

    Args:
        path: the file.
        data: what it holds, where that was read already.

    Raises:
        ValueError: the file is not a still picture that can be read.
    """
    from ..pipelines.photos import files

    return files.open_photo(path if data is None else BytesIO(data))


def save_photo(
    picture: Image.Image, target: Path, results: Results, profile: bytes | None = None
) -> None:
    """Write a picture in the format of the target's suffix, JPEG and WebP at high quality.

    Raises:
        ValueError: the picture has alpha and the format cannot hold it, or `results` has no place
            for it.
    """
    if picture.mode == "RGBA" and target.suffix == ".jpg":
        raise ValueError("has transparency, which JPEG cannot hold: use --format png or webp")
    with results.writing(target) as beside:
        # PNG is lossless whatever the quality; Pillow's level 6 takes twice as long for 9 % less.
        picture.save(beside, quality=95, compress_level=4, icc_profile=profile)
