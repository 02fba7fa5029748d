"""One of the processes that share a large run: bytes of photos in, rows about them out."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .photos import Job
from .results import Results
from .working import Outcome, Recipe, work_through


class Station:
    """Works on the photos of one block after the other.

    Args:
        recipe: how to make the worker.
        jobs: by the path that comes with the bytes; or where Ray keeps that.
        folder: for the results, on a disk that all machines see.
        home: folder where the command was started, from which paths count.
        threads: for the networks; Ray sets OMP_NUM_THREADS to 1 unless it is told otherwise.
        overwrite: whether results of an earlier run may be replaced.
        resume: whether those that are there already stay.

    Raises:
        ValueError: `folder` is not there.
    """

    def __init__(
        self,
        recipe: Recipe,
        jobs: Any,
        folder: Path,
        home: Path,
        threads: int,
        overwrite: bool = False,
        resume: bool = False,
    ) -> None:
        import torch

        if not isinstance(jobs, Mapping):
            import ray

            jobs = ray.get(jobs)
        if home.is_dir():
            os.chdir(home)
        if not folder.is_dir():
            raise ValueError(
                f"{folder} is not on this machine: give -o a folder that all machines see"
            )
        torch.set_num_threads(threads)
        self.recipe, self.jobs = recipe, jobs
        self.worker = recipe.begin()
        part = uuid.uuid4().hex[:16]
        self.results = Results(folder, overwrite=overwrite, resume=resume, part=part)

    def __call__(self, block: Mapping[str, Any]) -> dict[str, list[str]]:
        """Work on a block.

        Args:
            block: `path` and `bytes` of some photos.

        Returns:
            `path`, and `row` as JSON text, of each.
        """
        jobs = [self.jobs[path] for path in block["path"]]
        data = [bytes(each) for each in block["bytes"]]
        outcomes = work_through(self.worker, jobs, self.results, data=data)
        rows = [json.dumps(row_of(self.recipe, outcome)) for outcome in outcomes]
        return {"path": list(block["path"]), "row": rows}


def row_of(recipe: Recipe, outcome: Outcome) -> dict[str, Any]:
    """What the list says of a photo."""
    job, saved = outcome.job, outcome.saved
    row: dict[str, Any] = {"path": str(job.photo), "seconds": round(outcome.seconds, 3)}
    if saved is None:
        return {**row, "error": outcome.error}
    return {**row, "output": str(job.target), **recipe.row(saved.record)}


def row_of_before(recipe: Recipe, job: Job) -> dict[str, Any]:
    """The same of a photo that an earlier run finished, from its report."""
    record = json.loads(job.report.read_text(encoding="utf-8"))
    seconds = sum(record.get("seconds", {}).values()) or None
    row = {"path": str(job.photo), "output": str(job.target), "seconds": seconds}
    return {**row, **recipe.row(record)}
