"""BPFRe's networks under the host's memory: windows on the device, whole pictures beside it.

Only what a network sees, a window of the working size at most, is brought to the device. Results
are enlarged and joined with the pictures where these wait between nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..pipelines.bpfre.findings import TILES_AT_ONCE, Network, tile_starts
from ..pipelines.bpfre.pipeline import Retouched, planes_of
from ..pipelines.photos.arrays import to_signed, to_working_size, working_shape
from ..pipelines.photos.drawings import to_picture
from . import host
from .bpfre_model import INPAINTER, RETOUCHER, BPFReModel

PIXELS_AT_ONCE = 2**20  # of pictures at full size that are worked on together

Act = Callable[[slice, int | None, Network, int | None], Retouched]


def retouch(model: BPFReModel, pixels: Tensor, working_size: Any, strength: float) -> Retouched:
    """Retouch B 3 H W in [0, 1]; what `BPFRePipeline` gives without masks."""

    def act(some: slice, size: int | None, network: Network, tile: int | None) -> Retouched:
        allowed = pixels.new_full((1, 1, 1, 1), strength)
        return model.pipeline.retouch(pixels[some], allowed, size, network, tile)

    return _work(model, RETOUCHER, pixels, working_size, act)


def inpaint(model: BPFReModel, pixels: Tensor, hole: Tensor, working_size: Any) -> Retouched:
    """Fill the holes B 1 H W of B 3 H W in [0, 1]; what `BPFRePipeline.inpaint` gives."""

    def act(some: slice, size: int | None, network: Network, tile: int | None) -> Retouched:
        return model.pipeline.fill(pixels[some], hole[some], size, network, tile)

    return _work(model, INPAINTER, pixels, working_size, act)


def _work(model: BPFReModel, part: str, pixels: Tensor, working_size: Any, act: Act) -> Retouched:
    """Act on all pictures, a group after the other, in windows that fit the device."""
    network, settings = model.network(part), model.pipeline.config
    size = settings["working_size"] if working_size == "config" else working_size
    shape = working_shape(pixels, size)
    together = max(1, PIXELS_AT_ONCE // pixels[0, 0].numel())
    groups = [slice(i, i + together) for i in range(0, len(pixels), together)]
    whole = settings["tile_size"]
    progress = host.Progress(len(pixels) * (_windows(shape, whole) + 1))

    def run(count: int, tile: int | None) -> Retouched:
        window = [min(side, tile or whole) for side in shape]
        device = model.ready(part, count, *window)
        steps = len(pixels) * (_windows(shape, tile or whole) + 1)
        course = _Course(progress, steps)
        on_device = _on_device(planes_of(network), device, count, course)
        parts = []
        for some in groups:
            parts.append(act(some, size, on_device, tile))
            course.advance(len(parts[-1].images), parts[-1].images[0])
        return Retouched(*(torch.cat(fields) for fields in zip(*parts, strict=True)))

    side = min(max(shape), whole)
    each = model.bytes_for_picture(part, *(min(length, whole) for length in shape))
    return host.shrink_to_fit(run, _at_once(len(pixels[groups[0]]), shape, whole), side, each)


def _windows(shape: tuple[int, int], tile: int) -> int:
    """How many windows a picture is seen in."""
    return math.prod(len(tile_starts(side, tile)) for side in shape)


def _at_once(pictures: int, shape: tuple[int, int], tile: int) -> int:
    """The most windows that the tiling asks for at once."""
    return pictures * min(_windows(shape, tile), max(1, TILES_AT_ONCE // pictures))


class _Course:
    """How far one try has come, told to the bar that all tries share."""

    def __init__(self, progress: host.Progress, steps: int) -> None:
        self._progress, self._steps, self._done = progress, steps, 0

    def advance(self, steps: int, result: Tensor | None = None) -> None:
        """Steps were taken; `result` is a finished picture 3 H W in [0, 1] to show."""
        self._done += steps
        shown = None
        if result is not None:
            small = to_working_size(result[None], host.PREVIEW_SIDE)[0]
            shown = to_picture(to_signed(small))
        self._progress.reach(self._done / self._steps, shown)


def _on_device(network: Network, device: torch.device, count: int, course: _Course) -> Network:
    """The network as a function of planes on the CPU; `count` of them are on its device at once."""

    def run(planes: Tensor) -> Tensor:
        parts = []
        for part in planes.split(count):
            host.check_interrupted()
            parts.append(network(part.to(device)).to(planes.device))
            course.advance(len(part))
        return torch.cat(parts)

    return run
