"""RetouchSimulate: the beauty filter, to try the restoration on and to make pairs."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..pipelines.arguments import check_fraction
from ..pipelines.operations import label
from ..pipelines.photos.arrays import to_signed, to_unit
from ..pipelines.simulate import bank
from ..pipelines.simulate.recipe import OPERATIONS, Export, Recipe, Step
from ..pipelines.simulate.simulator import retouch
from . import host
from .host import io
from .inputs import seed_input, share_input
from .photos import read_image, write_image, write_mask

ANY = "any"
VARIATIONS = 4


def _inputs() -> list[Any]:
    """Inputs of RetouchSimulate."""
    return [
        io.Image.Input("image", tooltip="Pictures filled by one upright face."),
        *(
            share_input(name, 0.6, f"Degree of the {label(name)}: 0 none, 1 the strongest.")
            for name in OPERATIONS
        ),
        seed_input("Fixes the free choices of the algorithms, and which one any takes."),
        *(_algorithm(name) for name in OPERATIONS),
        io.Int.Input(
            "jpeg_quality",
            default=100,
            min=1,
            max=100,
            advanced=True,
            tooltip="Compression after the retouching, as an app's export; 100 is none.",
        ),
    ]


class RetouchSimulate(io.ComfyNode):
    """Retouches faces as beauty apps do."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows of the node."""
        return io.Schema(
            node_id="RetouchSimulate",
            display_name="Simulate Retouching",
            category="FRR",
            description=(
                "The beauty filter: whitens and smooths skin, slims the face, enlarges the eyes. "
                "Expects pictures filled by one upright face, as aligned crops are. All degrees 0 "
                "leave a picture as it is."
            ),
            search_aliases=[
                "beauty filter",
                "beautify",
                "skin smoothing",
                "whiten skin",
                "slim face",
                "whitening",
                "big eyes",
            ],
            inputs=_inputs(),
            outputs=[
                io.Image.Output(
                    "retouched", display_name="image", tooltip="The retouched pictures."
                ),
                io.Mask.Output("changed", display_name="mask", tooltip="Where an operation acted."),
                io.String.Output(
                    "recipe", tooltip="What was done, as JSON that frr simulate reads."
                ),
            ],
        )

    @classmethod
    def execute(cls, image: Tensor, seed: int, jpeg_quality: int, **chosen: Any) -> io.NodeOutput:
        """Retouch the pictures, all by the same recipe."""
        pixels, alpha = read_image(image)
        recipe = _recipe(seed, jpeg_quality, chosen)
        device = host.device()
        retouched, masks = [], []
        progress = host.Progress(len(pixels))
        for place, picture in enumerate(pixels.split(1), 1):
            signed = to_signed(picture.to(device))
            result = host.interruptible(partial(retouch, signed, [recipe]))
            changed = bool(recipe.steps) or recipe.export != Export()
            retouched.append(to_unit(result.image).to(pixels) if changed else picture)
            masks.append(result.masks.amax(1, keepdim=True).to(pixels))
            progress.reach(place / len(pixels))
        return io.NodeOutput(
            write_image(torch.cat(retouched), alpha), write_mask(torch.cat(masks)), recipe.to_json()
        )


def _algorithm(name: str) -> Any:
    return io.Combo.Input(
        f"{name}_algorithm",
        options=[ANY, *bank.algorithms(name)],
        default=ANY,
        advanced=True,
        tooltip=f"Which app's way of {label(name)} is imitated; any draws one by the seed.",
    )


def _recipe(seed: int, jpeg_quality: int, chosen: dict[str, Any]) -> Recipe:
    rng = np.random.default_rng(seed)
    steps = []
    for name in OPERATIONS:
        drawn = int(rng.integers(len(bank.algorithms(name))))
        variation = tuple(float(number) for number in rng.random(VARIATIONS))
        algorithm = chosen[f"{name}_algorithm"]
        algorithm = bank.algorithms(name)[drawn] if algorithm == ANY else algorithm
        if (degree := check_fraction(name, chosen[name])) > 0:
            steps.append(Step(name, algorithm, degree, variation))
    return Recipe(tuple(steps), Export(None if jpeg_quality == 100 else jpeg_quality))
