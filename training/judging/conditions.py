"""Test conditions: what is done to each face, the same in every run with the same seed.

A face's recipe hangs only on the seed, the split, the condition and the face's name: not on the
batch size, nor on which other faces or conditions are looked at.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from torch import Tensor

from ...pipelines.simulate.recipe import OPERATIONS, Export, Recipe, sample_recipe
from ...pipelines.simulate.simulator import retouch
from ..data.faces import FaceSet, to_bytes

MIXED = "mixed"
UNTOUCHED = "untouched"
EXPORT_QUALITIES = (85, 95)
EXPORT_SCALES = (0.75, 1.0)


class Condition(NamedTuple):
    """What is done to the faces.

    Attributes:
        split: "seen" or "unseen" algorithms (or "all").
        kind: the name of the only operation, "mixed" (2 or more operations, how many and which
            drawn evenly, in random order) or "untouched".
        exported: whether the photo is saved with loss afterwards: reduced to 0.75 to 1 of its
            size and back, and JPEG of quality 85 to 95.
    """

    split: str
    kind: str
    exported: bool = False


def conditions_of(
    split: str, exported: bool = False, operations: Sequence[str] = OPERATIONS
) -> list[Condition]:
    """Each single operation, then mixed (when there are two or more), then untouched."""
    kinds = [*operations, *([MIXED] if len(operations) > 1 else []), UNTOUCHED]
    return [Condition(split, kind, exported) for kind in kinds]


def face_seed(seed: int, *words: str) -> int:
    """A number below 2^63 that hangs on the seed and the words only."""
    digest = np.random.SeedSequence([seed, zlib.crc32("/".join(words).encode())])
    return int(digest.generate_state(1, np.uint64)[0]) >> 1


def recipe_for(
    condition: Condition, name: str, seed: int, operations: Sequence[str] = OPERATIONS
) -> Recipe:
    """The recipe of one face under one condition.

    An exported face has the very steps that it has when it is not exported.
    """
    rng = np.random.default_rng(face_seed(seed, condition.split, condition.kind, name))
    chosen: Sequence[str] = (condition.kind,)
    if condition.kind == MIXED:
        count = int(rng.integers(2, len(operations) + 1))
        chosen = [operations[int(i)] for i in rng.permutation(len(operations))[:count]]
    elif condition.kind == UNTOUCHED:
        chosen = ()
    recipe = sample_recipe(rng, chosen, split=condition.split)

    if condition.exported:
        low, high = EXPORT_QUALITIES
        quality, scale = int(rng.integers(low, high + 1)), float(rng.uniform(*EXPORT_SCALES))
        recipe = replace(recipe, export=Export(jpeg_quality=quality, scale=scale))
    return recipe


def retouched_faces(faces: FaceSet, recipes: Sequence[Recipe]) -> Tensor:
    """The faces after their recipes, B 3 S S uint8: photos come from files of 8 bits.

    Rounding matters: untouched faces lie on whole levels, and a router must not be able to tell
    retouched ones by values between them.
    """
    operations = dict.fromkeys(step.operation for recipe in recipes for step in recipe.steps)
    pixels = retouch(faces.pixels(), recipes, faces.landmarks, tuple(operations)).image
    return to_bytes(pixels)
