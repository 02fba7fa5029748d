"""Photos worked through one after the other: a folder, or one process's part of a large run.

While one photo is worked on, the next are loaded and the last are saved, in threads of their own;
what goes wrong with a photo stays with that photo.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from .photos import FAILURES, Job, one_line
from .results import Results
from .throughput import SaveBehind, Throughput, load_ahead


class Saved(NamedTuple):
    """What is told of a photo that was worked on.

    Attributes:
        record: its report, as JSON holds it.
        line: the same in one line.
    """

    record: dict[str, Any]
    line: str


class Outcome(NamedTuple):
    """How a photo fared.

    Attributes:
        job: of the photo.
        saved: what is told of it; None where something went wrong.
        error: what went wrong, in one line.
        seconds: from its turn to its end, with what was waited for.
    """

    job: Job
    saved: Saved | None
    error: str | None
    seconds: float


class Worker(Protocol):
    """What is done with a photo: three steps, of which only the second takes the networks."""

    def files(self, job: Job) -> Iterable[Path]:
        """All that `save` may write."""
        ...

    def load(self, job: Job, data: bytes | None) -> Any:
        """Read the photo, from its bytes where they were read already."""
        ...

    def work(self, loaded: Any) -> Any:
        """Run the networks."""
        ...

    def save(self, job: Job, done: Any, results: Results) -> Saved:
        """Write the picture, and the report last."""
        ...


class Recipe(Protocol):
    """How to make a worker in any process: plain values, which can be sent there."""

    @property
    def context(self) -> dict[str, Any]:
        """What reports say of how it was done."""
        ...

    @property
    def columns(self) -> dict[str, Any]:
        """What a list of many photos says of each: float, list, or kinds by name."""
        ...

    def row(self, record: dict[str, Any]) -> dict[str, Any]:
        """The columns' values, from a photo's report."""
        ...

    def on(self, device: str) -> Recipe:
        """The same on a device."""
        ...

    def begin(self) -> Worker:
        """Load what is needed."""
        ...


def work_through(
    worker: Worker,
    jobs: Sequence[Job],
    results: Results,
    speed: Throughput | None = None,
    data: Sequence[bytes] | None = None,
) -> Iterator[Outcome]:
    """Work on photos in order.

    Args:
        worker: what is done.
        jobs: on which photos.
        results: where it goes.
        speed: counts where the time goes.
        data: the photos' bytes, where they were read already.

    Yields:
        The outcome of each photo, in order, some photos behind the one that is worked on.
    """
    speed = speed or Throughput()
    contents: Sequence[bytes | None] = data if data is not None else [None] * len(jobs)
    items = list(zip(jobs, contents, strict=True))
    errors: dict[Job, str] = {}

    def keep(job: Job, loading: Future[Any]) -> Callable[[], Saved]:
        results.check(*worker.files(job))
        with speed.stage("load"):
            loaded = loading.result()
        with speed.stage("restore"):
            done = worker.work(loaded)
        return partial(worker.save, job, done, results)

    with SaveBehind() as saver:
        for (job, _), loading in load_ahead(items, lambda item: worker.load(*item)):
            start = time.perf_counter()
            try:
                save = keep(job, loading)
            except FAILURES as error:
                errors[job] = one_line(error)
                save = _nothing
            saver.put((job, start), save)
            yield from _outcomes(saver.finished(), errors, speed)
        yield from _outcomes(saver.finished(every=True), errors, speed)


def _nothing() -> None:
    """Stands for saving what could not be made, so that outcomes stay in order."""


def _outcomes(
    finished: Iterable[tuple[tuple[Job, float], Future[Any]]],
    errors: dict[Job, str],
    speed: Throughput,
) -> Iterator[Outcome]:
    for (job, start), saving in finished:
        saved, error = None, errors.pop(job, None)
        try:
            with speed.stage("save"):
                saved = saving.result()
        except FAILURES as failure:
            error = one_line(failure)
        yield Outcome(job, saved, error, time.perf_counter() - start)
