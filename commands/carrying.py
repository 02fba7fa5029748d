"""What every command over many photos does: find them, name results, work, tell what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from . import bulk
from .photos import Job, Problems, own_files, plan
from .reports import to_do
from .results import Results
from .throughput import Throughput
from .working import Recipe, Worker, work_through


class Errand:
    """Photos, and the folder that results go to.

    Args:
        paths: files and folders; with `--ray` also addresses of other file systems.
        folder: for the results.
        given: the command line's options.
        inputs: what the command reads beside the photos.
        files: all that is written for one photo.
    """

    def __init__(
        self,
        paths: Sequence[Path | str],
        folder: Path,
        given: dict[str, Any],
        inputs: Iterable[Path | None] = (),
        files: Callable[[Job], Iterable[Path]] = own_files,
    ) -> None:
        self.problems, self.given = Problems(), given
        self.source = bulk.find_photos(paths, self.problems, given["ray"])
        self.jobs = plan(self.source.photos, folder, given["suffix"], files)
        self.results = Results(
            folder,
            (*self.source.local, *inputs),
            overwrite=given["overwrite"],
            resume=given["resume"],
        )

    @property
    def device(self) -> str | None:
        """Where this process's networks go: with `--ray` the others' have devices of their own."""
        return "cpu" if self.given["ray"] else self.given["device"]

    def run(self, recipe: Recipe, worker: Worker, label: str) -> None:
        """Work on what is left to do, here or on Ray, and end with status 1 after any problem."""
        left = to_do(self.jobs, self.results, self.problems, **recipe.context)
        if self.given["ray"]:
            layout = bulk.start(self.given["device"], self.given["actors"], self.results.folder)
            bulk.run(recipe, self.source, self.jobs, left, self.results, self.problems, layout)
        else:
            run_here(worker, left, self.results, self.problems, label)
        self.problems.end()


def run_here(
    worker: Worker, jobs: Sequence[Job], results: Results, problems: Problems, label: str
) -> None:
    """Work on photos in this process, with a bar, and say in a line what became of each."""
    lines, speed = [], Throughput()
    outcomes = work_through(worker, jobs, results, speed)
    with click.progressbar(outcomes, len(jobs), label=label, file=sys.stderr) as bar:
        for outcome in bar:
            if outcome.saved is None:
                problems.report(outcome.job.photo, outcome.error)
            else:
                lines.append(outcome.saved.line)
    for line in lines:
        click.echo(line)
    if len(lines) > 1:
        click.echo(speed.line(len(lines)), err=True)
