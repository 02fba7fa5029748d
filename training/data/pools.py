"""Pools: items simulated once and stored, for networks that learn faster than photos are retouched.

A pool is a folder of safetensors files, each with the same number of items, and pool.json, which
says how they were made. A stopped pool goes on where it stopped, with the same items.
"""

import json
import multiprocessing
import time
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from safetensors import safe_open

from ..settings import Settings, setting
from ..writing import write_json
from .material import Material, faces_note
from .pool_files import Batch, Simulate, items_in_part, make_file
from .share import WHOLE, Share

Drawn = TypeVar("Drawn", bound=tuple, covariant=True)
FILE_ITEMS = 64  # items of one file
DESCRIPTION = "pool.json"


@dataclass(frozen=True, kw_only=True)
class PoolConfig(Settings):
    """How many items a pool holds; a stage's own class adds how they are simulated."""

    items: int = setting(1000, "how many are stored", least=1)
    seed: int = setting(0, "of all draws", least=0)
    device: str = setting("", "torch device; empty = a GPU if there is one", free=True)
    threads: int = setting(
        0, "CPU threads of each process; 0 = one: more may give other last bits", least=0, free=True
    )
    processes: int = setting(1, "that fill the pool beside one another", least=1, free=True)

    def note(self, faces: Path) -> dict[str, Any]:
        """How pool.json knows the faces again."""
        return faces_note(faces)

    @abstractmethod
    def simulator(self, material: Material) -> Simulate:
        """What makes items from a generator and their number: a named tuple of tensors n ..."""


class Batches(Protocol[Drawn]):
    """Where a stage draws items from: new ones, or those of pools."""

    @property
    def stored(self) -> bool:
        """Whether the same items come again and again, so that a stage should vary them."""
        ...

    def draw(self, rng: np.random.Generator, count: int) -> Drawn:
        """`count` items, floats in single precision."""
        ...


@dataclass(frozen=True)
class Fresh(Generic[Batch]):
    """Items simulated anew at every draw."""

    simulate: Simulate

    @property
    def stored(self) -> bool:
        """False: no item comes twice."""
        return False

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """`count` new items."""
        return self.simulate(rng, count)


@dataclass(frozen=True)
class StoredPool(Generic[Batch]):
    """The items of one or more pools, read from their files as they are drawn.

    Attributes:
        folders: the pools.
        kind: the named tuple whose fields the files hold.
        device: where items go.
        share: the part of the items that is drawn from, as if there were no others.
    """

    folders: tuple[Path, ...]
    kind: type[Batch]
    device: torch.device | str = "cpu"
    share: Share = WHOLE

    @property
    def stored(self) -> bool:
        """True: items come again."""
        return True

    @cached_property
    def _files(self) -> list[Any]:
        paths = [path for folder in self.folders for path in finished_files(folder)]
        return [safe_open(path, framework="pt") for path in paths]

    @cached_property
    def _ends(self) -> list[int]:
        """The number of items up to the end of each file."""
        name = self._fields[0]
        return list(accumulate(file.get_slice(name).get_shape()[0] for file in self._files))

    @property
    def _fields(self) -> tuple[str, ...]:
        kind: Any = self.kind
        return kind._fields

    @cached_property
    def _span(self) -> range:
        """The places of the share's items among all."""
        return self.share.span(self._ends[-1])

    def __len__(self) -> int:
        return len(self._span)

    def item(self, index: int) -> Batch:
        """One item, tensors 1 ... as stored."""
        return self._make(self.part(name, index)[None] for name in self._fields)

    def part(self, field: str, index: int, *within: int) -> torch.Tensor:
        """One item's field as stored, or what stands in it at `within`; no more is read."""
        index = self._span[index]
        file = bisect_right(self._ends, index)
        row = index - (self._ends[file - 1] if file else 0)
        at = tuple(slice(place, place + 1) for place in (row, *within))
        return self._files[file].get_slice(field)[at].flatten(0, len(within))[0]

    def draw(self, rng: np.random.Generator, count: int) -> Batch:
        """`count` items, drawn with replacement, floats in single precision."""
        items = [self.item(int(index)) for index in rng.integers(len(self), size=count)]
        parts = (torch.cat(parts).to(self.device) for parts in zip(*items, strict=True))
        return self._make(part.float() if part.is_floating_point() else part for part in parts)

    def _make(self, parts: Iterable[torch.Tensor]) -> Batch:
        kind: Any = self.kind
        return kind(*parts)


def describe_pool(folder: Path | str) -> dict[str, Any]:
    """What pool.json says: `stage`, `settings`, and `faces`, of a finished pool.

    Raises:
        ValueError: there is no pool, or it is not finished.
    """
    folder = Path(folder)
    finished_files(folder)
    return _read(folder)


def open_pool(folder: Path, config: PoolConfig, facts: Mapping[str, Any], resume: bool) -> None:
    """Makes a pool's folder, or finds it begun with the same settings.

    Raises:
        ValueError: a pool is there that is not to be resumed or was begun in another way.
    """
    note = {**facts, "settings": config.as_json()}
    if not (folder / DESCRIPTION).is_file():
        write_json(folder / DESCRIPTION, note)
        return
    if not resume:
        raise ValueError(f"{folder} holds a pool: resume it or name another folder")
    before, bound = _read(folder), config.bound()
    old = {**before, **{n: v for n, v in before["settings"].items() if n in bound}}
    new = {**note, **{n: v for n, v in note["settings"].items() if n in bound}}
    for name in (*facts, *sorted(bound)):
        if old.get(name) != new[name]:
            raise ValueError(
                f"{folder} was begun with {name}={old.get(name)!r}, now it is {new[name]!r}: "
                "resume it with what it had, or name another folder"
            )


def fill_pool(
    folder: Path, config: PoolConfig, simulate: Simulate, until: float | None = None
) -> Iterator[int]:
    """Simulates and stores what a pool lacks; yields the number of items after each file.

    Args:
        folder: of the pool, which `open_pool` made.
        config: its settings.
        simulate: makes items.
        until: on the clock of `time.time`, when to stop; a file that is not whole by then is gone
            on with by the next call, which makes the same items. Some items are made in any case.
    """
    files = _files_of(folder, config.items)
    lacking = [number for number, path in enumerate(files) if not path.is_file()]
    done = config.items - sum(_count(config, n) - items_in_part(files[n]) for n in lacking)
    if done:
        yield done
    for made in _filled(folder, config, simulate, lacking, until):
        done += made
        yield done


def _filled(
    folder: Path,
    config: PoolConfig,
    simulate: Simulate,
    lacking: Sequence[int],
    until: float | None,
) -> Iterator[int]:
    """How many items were made of each file, as they are stored; none is begun after the end."""
    files, numbers = _files_of(folder, config.items), iter(lacking)

    def more(last: int) -> list[int]:
        """The file to begin after another, if there is one, and time."""
        in_time = until is None or (files[last].is_file() and time.time() < until)
        return list(islice(numbers, 1)) if in_time else []

    if config.processes == 1:
        waiting = list(islice(numbers, 1))
        while waiting:
            number = waiting.pop()
            yield _fill(folder, config, simulate, number, until)
            waiting = more(number)
        return
    context = multiprocessing.get_context("spawn")  # a fork would share torch's threads
    with ProcessPoolExecutor(min(config.processes, len(lacking) or 1), context) as executor:

        def start(number: int) -> Future[int]:
            return executor.submit(_fill, folder, config, simulate, number, until)

        jobs = {start(number): number for number in islice(numbers, config.processes)}
        try:
            while jobs:
                for job in wait(jobs, return_when=FIRST_COMPLETED).done:
                    last = jobs.pop(job)
                    jobs.update({start(number): number for number in more(last)})
                    yield job.result()
        finally:
            executor.shutdown(cancel_futures=True)


def _fill(
    folder: Path, config: PoolConfig, simulate: Simulate, number: int, until: float | None
) -> int:
    """Simulates and stores one file; the same one however many processes or cores there are."""
    path, count = _files_of(folder, config.items)[number], _count(config, number)
    with _threads(config.threads or 1):
        return make_file(path, simulate, (config.seed, number), count, until)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Torch with so many threads, and then with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _count(config: PoolConfig, number: int) -> int:
    """How many items a file holds."""
    return min(FILE_ITEMS, config.items - number * FILE_ITEMS)


def _read(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    if not path.is_file():
        raise ValueError(f"{folder} holds no pool: make one with `frr pool`")
    return json.loads(path.read_text(encoding="utf-8"))


def _files_of(folder: Path, items: int) -> list[Path]:
    return [folder / f"items_{n:05d}.safetensors" for n in range(-(-items // FILE_ITEMS))]


def finished_files(folder: Path) -> list[Path]:
    """The files of a pool, in order.

    Raises:
        ValueError: there is no pool, or it is not finished.
    """
    files = _files_of(folder, _read(folder)["settings"]["items"])
    if missing := [path for path in files if not path.is_file()]:
        raise ValueError(
            f"{folder} lacks {len(missing)} of its {len(files)} files: go on making it with "
            "`frr pool ... --resume`"
        )
    return files
