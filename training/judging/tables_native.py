"""Figures on judged photos: what restoration gains and harms, and what the router knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .conditions import MIXED, UNTOUCHED
from .metrics import roc_auc
from .native_photos import JudgedPhoto
from .native_thresholds import balanced, calibration_error

IMPROVED, HARMED = 0.05, -0.3  # dB
FAINT = ", faint"
"""Stands behind a condition for the photos on which it changed nothing that can be felt."""
SIZES = (0, 300, 420, 600, 850)
QUALITIES = (1, 70, 80, 90, 96)
Thresholds = Mapping[str, float]
Undone = Callable[[JudgedPhoto], Sequence[str]]


@dataclass(frozen=True)
class LiftRow:
    """What restoration does to the photos of one condition.

    Attributes:
        split: "seen" or "unseen" algorithms.
        condition: an operation, or "mixed"; with `FAINT` behind it the photos that the app changed
            too little to be felt, all of them otherwise.
        routing: "given", what was applied is undone, or "router", what is found.
        photos: how many.
        copy: mean PSNR in dB of the photos as they came.
        lift: mean rise of the PSNR in dB.
        median: median rise.
        improved: share of photos that rose by more than 0.05 dB.
        harmed: share of photos that fell by more than 0.3 dB.
        worst: the lowest rise; None in older files.
    """

    split: str
    condition: str
    routing: str
    photos: int
    copy: float
    lift: float
    median: float
    improved: float
    harmed: float
    worst: float | None = None


@dataclass(frozen=True)
class FoundRow:
    """What the router knows of one operation; None where there are no such photos.

    Attributes:
        split: "seen" or "unseen" algorithms.
        operation: its name.
        threshold: the probability from which it counts as found.
        untouched_auc: AUC of photos with it, alone or in mixtures, against untouched ones.
        mixed_auc: AUC within mixtures and other operations: with it against without it, where
            something else was done.
        pooled_auc: AUC of photos with it against all without it.
        alone: share found where it is alone.
        mixed: share found in mixtures.
        false_alarms: share of untouched photos where it is found.
        calibration: expected calibration error of its probability, at an even prior.
        degree_error: mean absolute error of its effect size, where it is present.
    """

    split: str
    operation: str
    threshold: float
    untouched_auc: float | None
    mixed_auc: float | None
    pooled_auc: float | None
    alone: float | None
    mixed: float | None
    false_alarms: float | None
    calibration: float | None
    degree_error: float | None


@dataclass(frozen=True)
class UntouchedRow:
    """What happens to photos that nobody retouched.

    Attributes:
        split: of which evaluation.
        photos: how many.
        touched: share on which anything is found.
        restored: mean PSNR in dB of the touched ones against what came in; None if there are none.
        worst: the lowest.
    """

    split: str
    photos: int
    touched: float
    restored: float | None
    worst: float | None


@dataclass(frozen=True)
class BinRow:
    """Photos of some size, or of some JPEG quality.

    Attributes:
        split: "seen" or "unseen" algorithms.
        bin: in words.
        photos: how many.
        given: mean lift in dB with operations given, over the retouched photos.
        router: with the router deciding.
        harmed: share of the retouched photos that the router's choice harms by more than 0.3 dB.
        touched: share of the untouched photos that it touches.
        auc: AUC against untouched photos, by operation.
    """

    split: str
    bin: str
    photos: int
    given: float | None
    router: float | None
    harmed: float | None
    touched: float | None
    auc: Mapping[str, float | None]


def lift_rows(photos: Sequence[JudgedPhoto], thresholds: Thresholds) -> Iterator[LiftRow]:
    """Each condition of each split, operations given, then the router deciding."""
    choices: dict[str, Undone] = {
        "given": lambda photo: photo.applied,
        "router": lambda photo: photo.found(thresholds),
    }
    for split in _unique(photo.split for photo in photos):
        retouched = [each for each in photos if each.split == split and each.applied]
        for condition in _unique(photo.condition for photo in retouched):
            rows = [photo for photo in retouched if photo.condition == condition]
            parts = {
                condition: [photo for photo in rows if photo.felt],
                condition + FAINT: [photo for photo in rows if not photo.felt],
            }
            for name, part in parts.items():
                for routing, undone in choices.items() if part else ():
                    yield _lift_row(split, name, routing, part, undone)


def _lift_row(
    split: str, condition: str, routing: str, photos: Sequence[JudgedPhoto], undone: Undone
) -> LiftRow:
    copy = np.array([photo.restored(()) for photo in photos])
    lift = lifts(photos, undone)
    return LiftRow(
        split,
        condition,
        routing,
        len(photos),
        float(copy.mean()),
        float(lift.mean()),
        float(np.median(lift)),
        float((lift > IMPROVED).mean()),
        float((lift < HARMED).mean()),
        float(lift.min()),
    )


def lifts(photos: Sequence[JudgedPhoto], undone: Undone) -> np.ndarray:
    """How much the PSNR of each photo rises, in dB."""
    return np.array([photo.restored(undone(photo)) - photo.restored(()) for photo in photos])


def found_rows(photos: Sequence[JudgedPhoto], thresholds: Thresholds) -> Iterator[FoundRow]:
    """Each operation of each split."""
    for split in _unique(photo.split for photo in photos):
        own = [photo for photo in photos if photo.split == split]
        for operation in own[0].operations:
            yield _found_row(split, operation, own, thresholds[operation])


def _found_row(
    split: str, operation: str, photos: Sequence[JudgedPhoto], threshold: float
) -> FoundRow:
    scores = np.array([photo.probabilities[operation] for photo in photos])
    present, weights = balanced(photos, operation)
    counted = (weights > 0) | ~present
    untouched = np.array([photo.condition == UNTOUCHED for photo in photos])
    mixed = np.array([photo.condition == MIXED for photo in photos])
    found, felt = scores >= threshold, present & counted
    effects = np.array([photo.effects[operation] for photo in photos])
    degrees = np.array([photo.degrees[operation] for photo in photos])
    return FoundRow(
        split,
        operation,
        threshold,
        _auc(scores, felt, felt | untouched),
        _auc(scores, felt, (felt & mixed) | (~present & ~untouched)),
        _auc(scores, felt, counted),
        _mean(found[felt & ~mixed]),
        _mean(found[felt & mixed]),
        _mean(found[untouched]),
        calibration_error(scores, present, weights) if weights.sum() else None,
        _mean(np.abs(degrees - effects)[felt]),
    )


def untouched_rows(photos: Sequence[JudgedPhoto], thresholds: Thresholds) -> Iterator[UntouchedRow]:
    """Each split's untouched photos."""
    for split in _unique(photo.split for photo in photos):
        own = [each for each in photos if each.split == split and not each.applied]
        touched = [photo for photo in own if photo.found(thresholds)]
        after = np.array([photo.restored(photo.found(thresholds)) for photo in touched])
        yield UntouchedRow(
            split,
            len(own),
            len(touched) / max(len(own), 1),
            _mean(after),
            float(after.min()) if len(after) else None,
        )


def size_rows(photos: Sequence[JudgedPhoto], thresholds: Thresholds) -> Iterator[BinRow]:
    """By native side."""
    words = [f"up to {below - 1} px" for below in SIZES[1:]] + [f"from {SIZES[-1]} px"]
    yield from _binned(photos, thresholds, words, lambda photo: _place(SIZES, photo.native))


def quality_rows(photos: Sequence[JudgedPhoto], thresholds: Thresholds) -> Iterator[BinRow]:
    """By the last JPEG quality."""
    words = [f"below {below}" for below in QUALITIES[1:]] + [f"from {QUALITIES[-1]}", "lossless"]

    def place(photo: JudgedPhoto) -> int:
        return _place(QUALITIES, photo.quality) if photo.quality else len(QUALITIES)

    yield from _binned(photos, thresholds, words, place)


def _place(edges: Sequence[int], value: int) -> int:
    return max(int(np.searchsorted(edges, value, "right")) - 1, 0)


def _binned(
    photos: Sequence[JudgedPhoto],
    thresholds: Thresholds,
    words: Sequence[str],
    place: Callable[[JudgedPhoto], int],
) -> Iterator[BinRow]:
    for split in _unique(photo.split for photo in photos):
        for number, word in enumerate(words):
            own = [each for each in photos if each.split == split and place(each) == number]
            if own:
                yield _bin_row(split, word, own, thresholds)


def _bin_row(
    split: str, word: str, photos: Sequence[JudgedPhoto], thresholds: Thresholds
) -> BinRow:
    retouched = [photo for photo in photos if photo.applied]
    untouched = [photo for photo in photos if not photo.applied]
    routed = lifts(retouched, lambda photo: photo.found(thresholds))
    found = {row.operation: row.untouched_auc for row in found_rows(photos, thresholds)}
    return BinRow(
        split,
        word,
        len(photos),
        _mean(lifts(retouched, lambda photo: photo.applied)),
        _mean(routed),
        _mean(routed < HARMED),
        _mean(np.array([bool(photo.found(thresholds)) for photo in untouched])),
        found,
    )


def _auc(scores: np.ndarray, present: np.ndarray, rows: np.ndarray) -> float | None:
    """AUC over some rows, None where they do not have both kinds."""
    chosen = present[rows]
    if chosen.all() or not chosen.any():
        return None
    return roc_auc(scores[rows], chosen)


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _unique(values: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(values))
