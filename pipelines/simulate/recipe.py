"""Recipes: which operations retouch a photo, by which algorithm, how strongly, in which order."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from ..operations import OPERATIONS as OPERATIONS
from . import bank

SPLITS = ("seen", "unseen", "all")
INTERPOLATIONS = ("any", "bilinear", "bicubic")
VARIATIONS = 4


class Step(NamedTuple):
    """One operation on one photo.

    Attributes:
        operation: name of the operation.
        algorithm: name of the algorithm in the bank.
        degree: strength, 0 (none) to 1 (strongest).
        variation: 4 numbers in [0, 1] that fix every free choice inside the algorithm. The last
            one of a geometric step is the simulator's: below a half it warps bilinearly, else
            bicubically.
    """

    operation: str
    algorithm: str
    degree: float
    variation: tuple[float, ...] = (0.5,) * VARIATIONS


@dataclass(frozen=True)
class Export:
    """What saving does to the photo after the last step.

    Attributes:
        jpeg_quality: 1 to 100, or None for no compression.
        scale: the photo is reduced to this share of its size and brought back; None leaves it.
    """

    jpeg_quality: int | None = None
    scale: float | None = None

    def __post_init__(self) -> None:
        if self.jpeg_quality is not None and not 1 <= self.jpeg_quality <= 100:
            raise ValueError(
                f"Expected a JPEG quality of 1 to 100 or None, got {self.jpeg_quality}."
            )
        if self.scale is not None and not 0 < self.scale <= 1:
            raise ValueError(f"Expected a scale in (0, 1] or None, got {self.scale}.")


@dataclass(frozen=True)
class Recipe:
    """Steps in the order of their application, each operation at most once, then the export.

    Raises:
        ValueError: For an unknown or repeated operation, an unknown algorithm, a degree or a
            variation outside [0, 1].
    """

    steps: tuple[Step, ...] = ()
    export: Export = Export()

    def __post_init__(self) -> None:
        for step in self.steps:
            _check(step)
        names = [step.operation for step in self.steps]
        if len(set(names)) < len(names):
            raise ValueError(f"Each operation may stand in a recipe once, got {names}.")

    def without(self, operation: str) -> Recipe:
        """The same recipe with one operation left out."""
        return Recipe(tuple(s for s in self.steps if s.operation != operation), self.export)

    def only(self, operation: str) -> Recipe:
        """The same recipe with all other operations left out."""
        return Recipe(tuple(s for s in self.steps if s.operation == operation), self.export)

    def degrees(self, operations: Iterable[str] = OPERATIONS) -> tuple[float, ...]:
        """The degree of each of `operations`, 0 where the recipe does not have it."""
        found = {step.operation: step.degree for step in self.steps}
        return tuple(found.get(operation, 0.0) for operation in operations)

    def to_json(self) -> str:
        """The recipe as JSON text."""
        steps = [step._asdict() for step in self.steps]
        return json.dumps({"steps": steps, "export": asdict(self.export)})

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read what `to_json` wrote.

        Raises:
            ValueError: If the text is not a valid recipe.
        """
        try:
            record = json.loads(text)
            steps = [Step(**{**s, "variation": tuple(s["variation"])}) for s in record["steps"]]
            export = Export(**record["export"])
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
            raise ValueError(
                f"Expected a recipe as written by Recipe.to_json, got {text[:80]!r} ({error})."
            ) from error
        return cls(tuple(steps), export)


def _check(step: Step) -> None:
    names = bank.algorithms(step.operation)
    if step.algorithm not in names:
        raise ValueError(
            f"Unknown algorithm {step.algorithm!r} of {step.operation}; choose one of {names}."
        )
    if not _is_share(step.degree):
        raise ValueError(f"Expected a degree in [0, 1] for {step.operation}, got {step.degree!r}.")
    if len(step.variation) != VARIATIONS or not all(map(_is_share, step.variation)):
        raise ValueError(
            f"Expected {VARIATIONS} variation numbers in [0, 1] for {step.operation}, "
            f"got {step.variation}."
        )


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def sample_recipe(
    rng: np.random.Generator,
    operations: Iterable[str],
    *,
    split: str = "seen",
    degrees: tuple[float, float] = (0.15, 1.0),
    interpolation: str = "any",
    export_probability: float = 0.0,
) -> Recipe:
    """Draw algorithms, degrees, variations and order for the given operations.

    Args:
        rng: source of all randomness.
        operations: the operations to apply, in any order; the recipe's order is random.
        split: "seen" algorithms (training), "unseen" ones (held out), or "all".
        degrees: range of the uniformly drawn degrees.
        interpolation: how geometric steps resample: "bilinear", "bicubic" or "any" of the two.
        export_probability: chance that the photo is exported with loss: JPEG quality 70 to 98,
            and in half of the cases a detour over 0.5 to 0.95 of its size.

    Returns:
        A valid recipe.

    Raises:
        ValueError: For an unknown operation, split or interpolation, or a range of degrees or
            a probability that is not within [0, 1].
    """
    if split not in SPLITS:
        raise ValueError(f"Expected a split among {SPLITS}, got {split!r}.")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(
            f"Expected an interpolation among {INTERPOLATIONS}, got {interpolation!r}."
        )
    low, high = degrees
    if not 0 <= low <= high <= 1:
        raise ValueError(f"Expected degrees as (low, high) within [0, 1], got {degrees}.")
    if not 0 <= export_probability <= 1:
        raise ValueError(f"Expected an export probability in [0, 1], got {export_probability}.")
    names = list(operations)
    steps = [
        _sample_step(rng, names[i], split, degrees, interpolation)
        for i in rng.permutation(len(names))
    ]
    return Recipe(tuple(steps), _sample_export(rng, export_probability))


def _sample_step(
    rng: np.random.Generator,
    operation: str,
    split: str,
    degrees: tuple[float, float],
    interpolation: str,
) -> Step:
    choices = {"seen": bank.seen, "unseen": bank.unseen, "all": bank.algorithms}[split](operation)
    algorithm = choices[rng.integers(len(choices))]
    variation = rng.random(VARIATIONS)
    if operation in bank.GEOMETRIC and interpolation != "any":
        variation[-1] = variation[-1] / 2 + (0.5 if interpolation == "bicubic" else 0.0)
    degree = float(rng.uniform(*degrees))
    return Step(operation, algorithm, degree, tuple(float(v) for v in variation))


def _sample_export(rng: np.random.Generator, probability: float) -> Export:
    lossy, reduced = rng.random(2) < (probability, 0.5)
    quality, scale = int(rng.integers(70, 99)), float(rng.uniform(0.5, 0.95))
    if not lossy:
        return Export()
    return Export(jpeg_quality=quality, scale=scale if reduced else None)
