"""Calibration of a router that reads photos at their own size: its probabilities and thresholds.

Probabilities are made honest by logistic regression on validation people; thresholds then follow
from what finding an operation is worth in dB, while nearly all untouched photos stay untouched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..writing import write_json
from .native_bounds import Bounds, bounds_of, untold
from .native_photos import JudgedPhoto, least_felt

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
CEILING = 45.0
"""PSNR in dB above which a difference is seen by nobody, so that more is worth nothing."""
NEVER = 1.0
_RIDGE = 1e-3
_ROUNDS = 100
_SLOPES = 0.05, 20.0


class RouterFit(NamedTuple):
    """What goes into a router's config, for its K operations."""

    temperature: tuple[float, ...]
    bias: tuple[float, ...]
    thresholds: tuple[float, ...]
    smallest_side: Bounds = ()
    smallest_quality: Bounds = ()


class Scale(NamedTuple):
    """Calibrated logits are logits / temperature + bias."""

    temperature: float = 1.0
    bias: float = 0.0


UNCALIBRATED = Scale()


def balanced(photos: Sequence[JudgedPhoto], operation: str) -> tuple[Bools, Floats]:
    """Where an operation is present, and weights with which the others say nothing of it; both n.

    Among photos with the same number of other operations, those with it weigh as much together as
    those without: as much as the fewer of the two are many. Where it was applied and changed
    nothing to be felt, a photo counts neither way.
    """
    effects = np.array([photo.effects[operation] for photo in photos])
    others = np.array([len({*photo.applied} - {operation}) for photo in photos])
    present, felt = effects > 0, effects >= least_felt(operation)
    weights = np.zeros(len(photos))
    for count in np.unique(others):
        with_it = (others == count) & present & felt
        without = (others == count) & ~present
        for rows in (with_it, without):
            weights[rows] = min(with_it.sum(), without.sum()) / max(rows.sum(), 1)
    return present, weights


def fit_scale(logits: Floats, present: Bools, weights: Floats) -> Scale:
    """Weighted logistic regression of presence on logits, all n.

    Raises:
        ValueError: no weight on photos with, or on photos without the operation.
    """
    if not (weights[present].sum() > 0 and weights[~present].sum() > 0):
        raise ValueError(
            "Expected photos with and without the operation beside as many others, got weights "
            f"{weights[present].sum():g} and {weights[~present].sum():g}."
        )
    inputs = np.stack((logits, np.ones_like(logits)), axis=1)
    share = weights / weights.sum()
    solution, prior = np.array([1.0, 0.0]), np.array([1.0, 0.0])
    for _ in range(_ROUNDS):
        chance = _sigmoid(inputs @ solution)
        slope = inputs.T @ (share * (chance - present)) + _RIDGE * (solution - prior)
        curve = inputs.T @ (inputs * (share * chance * (1 - chance))[:, None])
        step = np.linalg.solve(curve + _RIDGE * np.eye(2), slope)
        solution = solution - step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    gain = float(np.clip(solution[0], *_SLOPES))
    return Scale(1 / gain, float(solution[1]))


def raw_logits(probabilities: Floats, scale: Scale = UNCALIBRATED) -> Floats:
    """The logits before calibration by `scale`, of probabilities after it."""
    kept = np.clip(probabilities, 1e-7, 1 - 1e-7)
    return (np.log(kept / (1 - kept)) - scale.bias) * scale.temperature


def calibration_error(
    probabilities: Floats, present: Bools, weights: Floats, bins: int = 10
) -> float:
    """Expected calibration error: mean over bins of |share present - mean probability|."""
    place = np.minimum((probabilities * bins).astype(int), bins - 1)
    gaps = weights * (present - probabilities)
    return float(sum(abs(gaps[place == b].sum()) for b in range(bins)) / weights.sum())


class Candidate(NamedTuple):
    """A threshold, its mean gain in dB, and which untouched photos it touches, as bits."""

    threshold: float
    gain: float
    touched: int


def candidates(probabilities: Floats, worth: Floats, untouched: Bools) -> list[Candidate]:
    """The best threshold for each set of untouched photos that it would touch, fewest first.

    Args:
        probabilities: n.
        worth: n, the weighted gain of undoing the operation on each photo, in dB.
        untouched: n, the photos to be left alone.
    """
    order = np.argsort(-probabilities, kind="stable")
    bits = {row: 1 << number for number, row in enumerate(np.flatnonzero(untouched))}
    best: dict[int, Candidate] = {0: Candidate(NEVER, 0.0, 0)}
    gain, touched = 0.0, 0
    for place, row in enumerate(order):
        gain, touched = gain + float(worth[row]), touched | bits.get(row, 0)
        here = probabilities[row]
        below = probabilities[order[place + 1]] if place + 1 < len(order) else 0.0
        if here > below and (touched not in best or gain > best[touched].gain):
            best[touched] = Candidate(float(here + below) / 2, gain, touched)
    rising = np.maximum.accumulate([-np.inf, *(each.gain for each in best.values())])
    return [each for each, before in zip(best.values(), rising, strict=False) if each.gain > before]


def choose_thresholds(options: Sequence[Sequence[Candidate]], budget: int) -> tuple[Candidate, ...]:
    """One candidate of each operation: together the largest gain that keeps to the budget.

    Args:
        options: for each operation, what `candidates` gave.
        budget: untouched photos that may be touched by one operation or another.
    """
    chosen: dict[int, tuple[float, tuple[Candidate, ...]]] = {0: (0.0, ())}
    for each in options:
        following: dict[int, tuple[float, tuple[Candidate, ...]]] = {}
        for before, (gain, picks) in chosen.items():
            for option in each:
                touched, total = before | option.touched, gain + option.gain
                if touched.bit_count() <= budget and (
                    touched not in following or total > following[touched][0]
                ):
                    following[touched] = total, (*picks, option)
        chosen = following
    return max(chosen.values(), key=lambda pick: pick[0])[1]


def worths(photos: Sequence[JudgedPhoto], operation: str, caution: float) -> Floats:
    """What undoing one operation alone gains on each photo, n, in dB; losses count `caution`."""
    capped = [
        min(photo.restored([operation]), CEILING) - min(photo.restored([]), CEILING)
        for photo in photos
    ]
    gains = np.array(capped)
    return np.where(gains < 0, caution * gains, gains)


def fit_router(
    photos: Sequence[JudgedPhoto],
    scales: Mapping[str, Scale] | None = None,
    *,
    touched_share: float = 0.05,
    caution: float = 1.0,
) -> RouterFit:
    """Calibrates a router on photos of validation people.

    Args:
        photos: judged in all conditions, with each operation undone alone.
        scales: the calibration that the router already had when it judged them.
        touched_share: share of the untouched photos that may be touched at all.
        caution: how much a loss in dB counts against a gain.

    Raises:
        ValueError: no untouched photos, or none with an operation, or a choice was not measured.
    """
    untouched = np.array([not photo.applied for photo in photos])
    if not untouched.any():
        raise ValueError("Expected untouched photos among those judged, got none.")
    fitted, options, bounds = [], [], []
    for name in photos[0].operations:
        before = (scales or {}).get(name, UNCALIBRATED)
        logits = raw_logits(np.array([photo.probabilities[name] for photo in photos]), before)
        present, weights = balanced(photos, name)
        scale = Scale(*(round(value, 4) for value in fit_scale(logits, present, weights)))
        chances = _sigmoid(logits / scale.temperature + scale.bias)
        worth = weights * worths(photos, name, caution) / weights.sum()
        bounds.append(bounds_of(photos, name, present & (weights > 0)))
        chances[untold(photos, *bounds[-1])] = 0
        fitted.append(scale)
        options.append(candidates(chances, worth, untouched))
    chosen = choose_thresholds(options, int(touched_share * untouched.sum()))
    temperature, bias = zip(*fitted, strict=True)
    sides, qualities = zip(*bounds, strict=True)
    thresholds = tuple(round(pick.threshold, 6) for pick in chosen)
    return RouterFit(temperature, bias, thresholds, sides, qualities)


def scales_of(config: Mapping[str, Any]) -> dict[str, Scale]:
    """The calibration that a router's config holds, by operation."""
    names = config["operations"]
    temperature = config.get("temperature") or [1.0] * len(names)
    bias = config.get("bias") or [0.0] * len(names)
    return {n: Scale(t, b) for n, t, b in zip(names, temperature, bias, strict=True)}


def calibrate_folder(
    folder: Path, photos: Sequence[JudgedPhoto], *, touched_share: float = 0.05, caution: float = 1
) -> RouterFit:
    """Calibrates the router of a model folder on photos that it judged, and writes its config.

    Args:
        folder: of a pipeline, with `router/config.json`.
        photos: see `fit_router`.
        touched_share: see `fit_router`.
        caution: see `fit_router`.

    Raises:
        ValueError: the folder's router has no calibration, or has other operations; or as above.
    """
    path = folder / "router" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if "temperature" not in config:
        raise ValueError(f"{path} is of a {config.get('_class_name')}, which is not calibrated so")
    if tuple(config["operations"]) != photos[0].operations:
        raise ValueError(
            f"{path} is of a router of {', '.join(config['operations'])}; the photos were judged "
            f"by one of {', '.join(photos[0].operations)}"
        )
    fit = fit_router(photos, scales_of(config), touched_share=touched_share, caution=caution)
    write_json(path, {**config, **{name: list(values) for name, values in fit._asdict().items()}})
    return fit


def _sigmoid(logits: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
