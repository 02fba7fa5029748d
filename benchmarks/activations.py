"""Activation memory of each network: `python -m benchmarks.activations`.

For pictures of several sizes it prints the most bytes that tensors made inside a network's work
held at one time, per pixel, and what the nodes ask the host for. The asking should be at least the
holding, and not far more.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import click
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from frr import MoFRRPipeline, hub
from frr.pipelines.mofrr.memory import bytes_for_picture


class Peak(TorchDispatchMode):
    """Sums the storages that are alive, and remembers the largest sum."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.most, self._seen = 0, 0, set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run the operation and note its results."""
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, torch.Tensor):
                self._note(value.untyped_storage())
        return result

    def _note(self, storage: Any) -> None:
        key, size = storage.data_ptr(), storage.nbytes()
        if key in self._seen or not size:
            return
        self._seen.add(key)
        self.now += size
        self.most = max(self.most, self.now)

        def gone() -> None:
            self._seen.discard(key)
            self.now -= size

        weakref.finalize(storage, gone)


def works(pipe: MoFRRPipeline, photo: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """What each network does for one picture."""
    latents = pipe.prepare_latents(photo, torch.Generator().manual_seed(0), working_size=None)
    count = len(pipe.expert_names)
    residuals = torch.rand(1, count, *photo.shape[1:])
    jobs: dict[str, Callable[[], Any]] = {"router": lambda: pipe.router(photo)}
    for name in pipe.expert_names:
        jobs[f"{name}_expert"] = lambda name=name: pipe.run_expert(
            name, photo, None, latents, num_inference_steps=1, working_size=None
        )
    gates = torch.ones(1, count - 1)
    jobs["merger"] = lambda: pipe.merger(photo, residuals, gates)
    return jobs


@click.command()
@click.option("--sizes", default="128,256", show_default=True, help="Sides in pixels.")
def main(sizes: str) -> None:
    """Measure and print."""
    pipe = MoFRRPipeline.from_pretrained(hub.folder())
    pipe.set_progress_bar_config(disable=True)
    for size in map(int, sizes.split(",")):
        photo = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
        for part, work in works(pipe, photo).items():
            with torch.inference_mode(), Peak() as peak:
                work()
            asked = bytes_for_picture(part, getattr(pipe, part), size, size)
            held = peak.most / size**2
            click.echo(
                f"{size:4d} px  {part:22s} held {held:6.0f} B a pixel, asked {asked / size**2:6.0f}"
            )


if __name__ == "__main__":
    main()
