"""The paper's own setting beside ours, trained alike: `python -m benchmarks.paper --help`.

Both experts are trained by stage `expert` on the same faces in the same number of steps:

    frr train expert --faces FACES --run paper --set preset=paper_tiny --set operation=whitening
    frr train expert --faces FACES --run ours --set preset=tiny --set operation=whitening

`paper` predicts the noise in the absolute low band (200 timesteps, ten steps, no head before it);
`ours` corrects the low band by a tone head first and predicts the clean one. A third row is the
shipped expert, which answers at once and was trained for other photos, and longer. Photos are
retouched by the simulator at the networks' size; the operation is given, its degree is not.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from frr import MoFRRPipeline, hub
from frr.models.mofrr.expert import WaveFRRExpert
from frr.pipelines.photos.quality import psnr
from frr.pipelines.simulate.recipe import sample_recipe
from frr.training.data.faces import FaceSet, load_faces, to_signed
from frr.training.data.retouching import retouch_and_target
from frr.training.run_folder import load_trained, model_folder
from frr.training.stages.expert import make_scheduler

STEPS = 1, 2, 4, 10
AS_PUBLISHED = "as published: steps 180, 160 .. 0"


class Way(NamedTuple):
    """A way to restore: its name, its steps, and what does it to B 3 H W in [0, 1]."""

    name: str
    steps: int
    restore: Callable[[Tensor, int], Tensor]


class Found(NamedTuple):
    """How a way did: means over the photos."""

    way: str
    steps: int
    psnr: float
    lift: float
    improved: float  # share of the photos
    spread: float  # over seeds, in levels of 8 bits
    seconds: float  # of one core, a photo


def alone(expert: Any, operation: str, scheduler: DDIMScheduler) -> Any:
    """A pipeline of one expert."""
    absent = {f"{name}_expert": None for name in (*MoFRRPipeline.operations, "shared")}
    kind: Any = MoFRRPipeline
    pipe = kind(
        scheduler=scheduler,
        router=None,
        merger=None,
        working_size=None,
        **{**absent, f"{operation}_expert": expert},
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def restoring(pipe: Any, operation: str, steps: int) -> Callable[[Tensor, int], Tensor]:
    """A call of a pipeline."""

    def restore(image: Tensor, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        options = {"num_inference_steps": steps, "output_type": "pt"}
        return pipe(image, operations={operation}, generator=generator, **options).images

    return restore


def ways(paper: Path, ours: Path, operation: str) -> Iterator[Way]:
    """Everything that is compared."""
    theirs = load_trained(WaveFRRExpert, paper).eval()
    if theirs.config.prediction_type != "epsilon":
        raise SystemExit(f"{paper} does not predict the noise: train it with preset=paper_tiny")
    schedule: Any = make_scheduler("epsilon")
    published = DDIMScheduler.from_config(schedule.config, timestep_spacing="leading")
    pipe = alone(theirs, operation, published)
    yield Way(f"paper, {AS_PUBLISHED}", 10, restoring(pipe, operation, 10))
    for steps in STEPS:
        pipe = alone(theirs, operation, schedule)
        yield Way("paper", steps, restoring(pipe, operation, steps))
    mine = alone(load_trained(WaveFRRExpert, ours).eval(), operation, make_scheduler())
    for steps in STEPS:
        yield Way("ours", steps, restoring(mine, operation, steps))
    shipped = MoFRRPipeline.from_pretrained(str(hub.folder()))
    shipped.set_progress_bar_config(disable=True)
    yield Way("shipped", 1, restoring(shipped, operation, 1))


def photos(faces: FaceSet, operation: str, split: str, seed: int) -> tuple[Tensor, Tensor]:
    """Retouched photos and what they were, N 3 S S in [0, 1]."""
    rng = np.random.default_rng(seed)
    recipes = [sample_recipe(rng, [operation], split=split) for _ in range(len(faces))]
    images = to_signed(faces.images)
    found, target = retouch_and_target(images, faces.landmarks, recipes, operation)
    return found.image / 2 + 0.5, target / 2 + 0.5


@torch.no_grad()
def measure(way: Way, images: Tensor, targets: Tensor) -> Found:
    """One way on all photos, one after the other, with two seeds."""
    gained, reached, spreads, seconds = [], [], [], []
    for place, (image, target) in enumerate(zip(images, targets, strict=True)):
        begun = time.thread_time()
        restored = way.restore(image[None], place)
        seconds.append(time.thread_time() - begun)
        other = way.restore(image[None], place + 10_000)
        spreads.append(float((restored - other).square().mean().sqrt()) * 255 / 2**0.5)
        before, after = (
            float(psnr(each * 2 - 1, target[None] * 2 - 1)[0]) for each in (image[None], restored)
        )
        reached.append(after)
        gained.append(after - before)
    lifts = np.array(gained)
    return Found(
        way.name,
        way.steps,
        float(np.mean(reached)),
        float(lifts.mean()),
        float((lifts > 0).mean()),
        float(np.mean(spreads)),
        float(np.median(seconds)),
    )


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--paper", type=Path, required=True, help="run folder")
    parser.add_argument("--ours", type=Path, required=True, help="run folder")
    parser.add_argument("--operation", default="whitening")
    parser.add_argument("--split", default="seen", choices=["seen", "unseen", "all"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    faces = load_faces(given.faces, given.size, given.limit)
    images, targets = photos(faces, given.operation, given.split, given.seed)
    came = float(psnr(images * 2 - 1, targets * 2 - 1).mean())
    print(f"{len(faces)} photos at {given.size} px, {given.operation}, came with {came:.2f} dB\n")
    print("| | steps | PSNR | lift | improved | spread over seeds, levels | s a photo |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for way in ways(model_folder(given.paper), model_folder(given.ours), given.operation):
        found = measure(way, images, targets)
        print(
            f"| {found.way} | {found.steps} | {found.psnr:.2f} | {found.lift:+.2f} | "
            f"{found.improved:.0%} | {found.spread:.2f} | {found.seconds:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
