"""Folders of photos: loaded and saved while others are restored, and how fast it went."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2


def load_ahead(
    items: Sequence[Item], load: Callable[[Item], Result], ahead: int = AHEAD
) -> Iterator[tuple[Item, Future[Result]]]:
    """Each item with what `load` makes of it, in order; the next ones load in another thread.

    Args:
        items: what to load.
        load: called once for each item, in order, one at a time.
        ahead: how many may be loaded, or loading, beyond the one that is yielded.

    Yields:
        The item and its future, whose `result()` waits, and raises what `load` raised.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    remaining = iter(items)
    loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="frr-load")
    try:
        for item in remaining:
            waiting.append((item, loader.submit(load, item)))
            if len(waiting) > ahead:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        loader.shutdown(wait=False, cancel_futures=True)


def for_device(photo: Any, device: Any) -> Any:
    """A photo as it is quickest to bring to a device: on CUDA a tensor in pinned memory.

    Args:
        photo: a PIL picture, RGB or RGBA.
        device: a torch device.

    Returns:
        The picture itself, or C H W float32 in [0, 1].
    """
    if device.type != "cuda":
        return photo
    import numpy as np
    import torch

    planes = torch.from_numpy(np.array(photo)).permute(2, 0, 1)
    return planes.to(torch.float32, memory_format=torch.contiguous_format).div_(255).pin_memory()


class SaveBehind:
    """Runs what saves results in another thread, one after the other, while others are made."""

    def __init__(self, behind: int = AHEAD) -> None:
        self.behind = behind
        self._saver = ThreadPoolExecutor(max_workers=1, thread_name_prefix="frr-save")
        self._waiting: deque[tuple[Any, Future[Any]]] = deque()

    def __enter__(self) -> SaveBehind:
        return self

    def __exit__(self, *_: object) -> None:
        self._saver.shutdown(wait=True)

    def put(self, item: Any, save: Callable[[], Any]) -> None:
        """Have `save` called; `finished` gives its result beside `item`."""
        self._waiting.append((item, self._saver.submit(save)))

    def finished(self, every: bool = False) -> Iterator[tuple[Any, Future[Any]]]:
        """In order, those beyond the `behind` that may still be waiting, or every one.

        Yields:
            The item and its future, whose `result()` waits, and raises what `save` raised.
        """
        while len(self._waiting) > (0 if every else self.behind):
            yield self._waiting.popleft()


class Throughput:
    """Where the time of a run over many photos went, as the restoring thread saw it.

    Attributes:
        seconds: by stage: "load" and "save" are what it waited for them, whatever they took.
    """

    def __init__(self) -> None:
        self.seconds = {"load": 0.0, "restore": 0.0, "save": 0.0}
        self._start = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what happens inside to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - start

    @property
    def bottleneck(self) -> str:
        """The stage that took most of the time."""
        return max(self.seconds, key=lambda stage: self.seconds[stage])

    def line(self, photos: int) -> str:
        """One line for the terminal."""
        passed = time.perf_counter() - self._start
        whole = sum(self.seconds.values()) or 1.0
        shares = ", ".join(f"{name} {100 * s / whole:.0f} %" for name, s in self.seconds.items())
        return (
            f"{photos} photos in {passed:.1f} s, {photos / passed:.2f} images/s; "
            f"bottleneck: {self.bottleneck} ({shares})"
        )
