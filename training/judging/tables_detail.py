"""Further figures on judged photos: size by quality, identity, steadiness, honesty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .native_photos import JudgedPhoto
from .native_thresholds import balanced
from .tables_native import Thresholds, _mean, found_rows, lifts

GRID_SIZES = (256, 512, 768, 1024)
GRID_QUALITIES = (60, 75, 90)
LOSSLESS = "PNG"
BINS = 10
STEADY = 0.1
"""Change of a probability that another form of the same photo may bring."""


@dataclass(frozen=True)
class GridRow:
    """Photos of about one native side and one JPEG quality, over all algorithms.

    Attributes:
        native: side in pixels to which theirs is nearest.
        quality: "60", "75" or "90", whichever is nearest to the last one, or "PNG".
        photos: how many.
        given: mean lift in dB with operations given, over the retouched photos.
        router: with the router deciding.
        auc: AUC against untouched photos, by operation; None where there are not both.
    """

    native: int
    quality: str
    photos: int
    given: float | None
    router: float | None
    auc: Mapping[str, float | None]


@dataclass(frozen=True)
class IdentityRow:
    """Distances of face embeddings from the true photo, for one operation alone.

    Attributes:
        split: "seen" or "unseen" algorithms.
        operation: its name.
        photos: how many in which a face was found.
        retouched: mean distance of the photo as it came.
        given: with the operation undone.
        router: with the router deciding.
    """

    split: str
    operation: str
    photos: int
    retouched: float
    given: float
    router: float


@dataclass(frozen=True)
class SteadyRow:
    """How much the router's probabilities change with the form of the same photo.

    Attributes:
        form: "JPEG 90" or "resized by 0.8", against the photo as PNG.
        photos: "untouched" or "retouched".
        count: how many.
        mean: mean change over photos and operations.
        largest: the largest.
        steady: share of the photos where no probability changes by more than 0.1.
    """

    form: str
    photos: str
    count: int
    mean: float
    largest: float
    steady: float


@dataclass(frozen=True)
class HonestyRow:
    """One bin of an operation's reliability curve, at an even prior.

    Attributes:
        operation: its name.
        probability: mean probability in the bin.
        present: share of the photos where it was applied.
        weight: the bin's share of all photos.
    """

    operation: str
    probability: float
    present: float
    weight: float


def grid_rows(photos: Sequence[JudgedPhoto], thresholds: Thresholds) -> Iterator[GridRow]:
    """By native side and JPEG quality."""
    for native in GRID_SIZES:
        for quality in (*map(str, GRID_QUALITIES), LOSSLESS):
            own = [each for each in photos if place(each) == (native, quality)]
            if own:
                yield _grid_row(native, quality, own, thresholds)


def place(photo: JudgedPhoto) -> tuple[int, str]:
    """The native side and quality of the grid that are nearest to a photo's."""
    native = min(GRID_SIZES, key=lambda side: abs(side - photo.native))
    quality = min(GRID_QUALITIES, key=lambda each: abs(each - photo.quality))
    return native, str(quality) if photo.quality else LOSSLESS


def _grid_row(
    native: int, quality: str, photos: Sequence[JudgedPhoto], thresholds: Thresholds
) -> GridRow:
    retouched = [photo for photo in photos if photo.applied]
    together = [JudgedPhoto(**{**photo.__dict__, "split": "all"}) for photo in photos]
    return GridRow(
        native,
        quality,
        len(photos),
        _mean(lifts(retouched, lambda photo: photo.applied)),
        _mean(lifts(retouched, lambda photo: photo.found(thresholds))),
        {row.operation: row.untouched_auc for row in found_rows(together, thresholds)},
    )


def identity_rows(photos: Sequence[JudgedPhoto]) -> Iterator[IdentityRow]:
    """Each operation of each split of which distances were measured."""
    measured = [photo for photo in photos if photo.distances]
    for split, operation in dict.fromkeys((p.split, p.condition) for p in measured):
        own = [p.distances for p in measured if (p.split, p.condition) == (split, operation)]
        means = (
            float(np.mean([each[n] for each in own])) for n in ("retouched", "given", "router")
        )
        yield IdentityRow(split, operation, len(own), *means)


def steady_rows(photos: Sequence[JudgedPhoto]) -> Iterator[SteadyRow]:
    """Each other form of untouched and of retouched photos."""
    for form in dict.fromkeys(form for photo in photos for form in photo.forms):
        for word in ("untouched", "retouched"):
            own = [
                p for p in photos if form in p.forms and bool(p.applied) == (word == "retouched")
            ]
            if own:
                changes = np.array([_changes(photo, form) for photo in own])
                most = changes.max(1)
                figures = changes.mean(), most.max(), (most <= STEADY).mean()
                yield SteadyRow(form, word, len(own), *map(float, figures))


def _changes(photo: JudgedPhoto, form: str) -> list[float]:
    return [abs(photo.forms[form][n] - photo.probabilities[n]) for n in photo.operations]


def honesty_rows(photos: Sequence[JudgedPhoto]) -> Iterator[HonestyRow]:
    """The reliability curve of each operation, bins without photos left out."""
    for operation in photos[0].operations:
        present, weights = balanced(photos, operation)
        chances = np.array([photo.probabilities[operation] for photo in photos])
        bins = np.minimum((chances * BINS).astype(int), BINS - 1)
        for number in np.unique(bins[weights > 0]):
            own = np.where(bins == number, weights, 0)
            mean = float((own * chances).sum() / own.sum())
            share = float((own * present).sum() / own.sum())
            yield HonestyRow(operation, mean, share, float(own.sum() / weights.sum()))
