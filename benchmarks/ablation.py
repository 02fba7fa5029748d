"""What each part of a set of experts that answer at once does: each off, for each operation.

    python -m benchmarks.ablation --faces faces --source real_test --limit 20

Photos are made as for `frr evaluate --world real`, each with one operation, which is undone. Means
of the lift in dB of PSNR over the photo as it came; parts are switched off in the trained networks.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from frr import MoFRRPipeline, hub
from frr.models.mofrr import texture_expert
from frr.models.mofrr.native_view import NativeView
from frr.pipelines.mofrr.composing import compose
from frr.pipelines.mofrr.direct import DirectEdit
from frr.pipelines.simulate.effects import FELT
from frr.training.data.native_capture import NativeFaces, open_faces
from frr.training.judging.evaluate_native import Judge, decibels
from frr.training.judging.native_world import Photo, World, photos_of_all

Lifts = dict[tuple[str, str], list[float]]
COLUMNS = "operation", "family", "photos"


def restored(expert: Any, image: Tensor, view: NativeView, degree: float) -> Tensor:
    """A photo 1 3 H W as an expert restores it."""
    told = image.new_tensor([degree])
    answer = expert.answer(image, view, told)
    edit = DirectEdit(torch.arange(1), answer.flow, answer.residual, told)
    return image + compose(image, {"expert": edit.applied(image, 1.0)})


def without_traces(view: NativeView) -> NativeView:
    """What is seen without the local energies: none of them differs from place to place."""
    flat = view.traces.mean((-2, -1), keepdim=True).expand_as(view.traces)
    return view._replace(traces=flat)


def without_colour(view: NativeView) -> NativeView:
    """What is seen without the colour image: the mean colour everywhere."""
    return view._replace(colour=view.colour.mean((-2, -1), keepdim=True).expand_as(view.colour))


def variants(
    expert: Any, image: Tensor, view: NativeView, told: float, guess: float, true: float
) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """What is compared, by name: each restores the photo.

    Args:
        expert: the network.
        image: 1 3 H W in [-1, 1].
        view: what is seen of it.
        told: what the expert is told in the pipeline; NaN for no degree.
        guess: the router's degree.
        true: the true one.
    """
    unknown, share = float("nan"), expert.config.unknown_share

    def of(degree: float, seen: NativeView = view) -> Callable[[], Tensor]:
        return lambda: restored(expert, image, seen, degree)

    def unhedged() -> Tensor:
        expert.register_to_config(unknown_share=1.0)
        try:
            return restored(expert, image, view, unknown)
        finally:
            expert.register_to_config(unknown_share=share)

    yield "as shipped", of(told)
    yield "no hedging", unhedged
    yield "no traces", of(told, without_traces(view))
    yield "no colour image", of(told, without_colour(view))
    yield "router's degree told", of(guess)
    yield "true degree told", of(true)
    if isinstance(expert, texture_expert.TextureExpert):

        def in_other_light() -> Tensor:
            with patch.object(
                texture_expert, "without_light", lambda change, side, in_place=False: change
            ):
                return restored(expert, image, view, told)

        yield "light not held", in_other_light


@torch.no_grad()
def measure(pipe: Any, faces: NativeFaces, world: World, limit: int) -> dict[str, Lifts]:
    """Lifts in dB by variant, then by operation and family."""
    judge, lifts = Judge(pipe), defaultdict(lambda: defaultdict(list))
    for split, _, photo in photos_of_all(faces, world, judge.operations, limit):
        name = photo.condition
        if name in judge.operations and photo.effects[name] >= FELT.get(name, 0.08):
            _add(lifts, judge, photo, split)
    return lifts


def _add(lifts: dict[str, Lifts], judge: Judge, photo: Photo, split: str) -> None:
    name, image = photo.condition, photo.image
    place = judge.operations.index(name)
    routing = judge.pipe.route(image)
    told, guess = routing.degrees[0, place].item(), routing.estimate.expected[0, place].item()
    expert = getattr(judge.pipe, f"{name}_expert")
    before = decibels(image, photo.target)
    every = variants(expert, image, routing.sight.view, told, guess, photo.effects[name])
    for title, restore in every:
        lifts[title][name, split].append(decibels(restore(), photo.target) - before)


def as_markdown(lifts: dict[str, Lifts]) -> str:
    """A table: a row for each operation and family, a column for each variant."""
    rows = [[*COLUMNS, *lifts], ["---"] * 2 + ["---:"] * (1 + len(lifts))]
    for key, values in lifts["as shipped"].items():
        means = [
            f"{sum(each[key]) / len(each[key]):+.2f}" if key in each else ""
            for each in lifts.values()
        ]
        rows.append([*key, str(len(values)), *means])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main() -> None:
    """Measures, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--source", action="append", default=[])
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--model", default=str(hub.folder()))
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--sides", default="300,420,512")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    sides = tuple(int(side) for side in given.sides.split(","))
    pipe = MoFRRPipeline.from_pretrained(given.model)
    faces = open_faces(given.faces, given.source, given.without)
    print(as_markdown(measure(pipe, faces, World(given.seed, sides=sides), given.limit)))


if __name__ == "__main__":
    main()
