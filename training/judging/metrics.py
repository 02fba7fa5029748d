"""Numbers that results are judged by: PSNR and SSIM of photos, AUC and balanced accuracy of scores.

The photo metrics take B 3 H W tensors in [-1, 1] and give one float64 value per photo. The others
take one score per photo and whether the operation is really there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...pipelines.photos.quality import SSIM_WINDOW as SSIM_WINDOW
from ...pipelines.photos.quality import psnr as psnr
from ...pipelines.photos.quality import ssim as ssim


def roc_auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve: how often a positive outscores a negative, ties counting half.

    Args:
        scores: n numbers, higher meaning more likely present.
        labels: n booleans, whether it is present.

    Raises:
        ValueError: unless both kinds of label occur.
    """
    values, present = _check_scores(scores, labels)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    highest = np.cumsum(counts)
    ranks = (highest - (counts - 1) / 2)[inverse]  # tied scores share their mean rank

    positives = int(present.sum())
    negatives = len(present) - positives
    wins = ranks[present].sum() - positives * (positives + 1) / 2
    return float(wins / (positives * negatives))


def accuracy(decisions: ArrayLike, labels: ArrayLike) -> float:
    """Share of the decisions that agree with the labels."""
    decided, present = _check_decisions(decisions, labels)
    return float((decided == present).mean())


def balanced_accuracy(decisions: ArrayLike, labels: ArrayLike) -> float:
    """Mean of the shares of positives found and of negatives left alone.

    Raises:
        ValueError: unless both kinds of label occur.
    """
    decided, present = _check_decisions(decisions, labels)
    _check_both_kinds(present)
    return float((decided[present].mean() + (~decided[~present]).mean()) / 2)


def calibrate_threshold(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    max_false_positive_rate: float = 0.02,
    guarded: ArrayLike | None = None,
    tolerance: float = 0.01,
) -> float:
    """The threshold of high balanced accuracy that leaves enough guarded photos alone.

    An operation counts as found where its score is at least the threshold. Candidates lie halfway
    between neighbouring scores, and halfway from the extremes to 0 and 1. Among those whose false
    positive rate over the guarded photos is at most `max_false_positive_rate`, those are looked at
    whose balanced accuracy over all photos is the highest or nearly so. The one nearest to 0.5 is
    taken: where the scores part easily, what is best by a hair is chance, and 0.5 is what the
    scores mean. Of equally near ones it is the highest, which touches the fewest photos.

    Args:
        scores: n probabilities in [0, 1].
        labels: n booleans, whether the operation is present.
        max_false_positive_rate: cap on the share of guarded photos above the threshold.
        guarded: n booleans, the photos that the cap is about, none of which has the operation:
            for instance the untouched ones. None: all photos without the operation.
        tolerance: how far below the highest a balanced accuracy may lie.

    Raises:
        ValueError: for scores outside [0, 1], a guarded photo that has the operation, no guarded
            photo, or a cap that no threshold up to 1 can keep.
    """
    values, present = _check_scores(scores, labels)
    guard = ~present if guarded is None else np.asarray(guarded, dtype=bool)
    if values.min() < 0 or values.max() > 1:
        raise ValueError(f"Scores must lie in [0, 1], got {values.min():g} to {values.max():g}.")
    _check_guard(guard, present)

    edges = np.concatenate([[0.0], np.unique(values), [1.0]])
    candidates = (edges[1:] + edges[:-1]) / 2
    allowed = [t for t in candidates if (values >= t)[guard].mean() <= max_false_positive_rate]
    if not allowed:
        raise ValueError(
            f"No threshold up to 1 keeps the false positive rate at {max_false_positive_rate:g}: "
            f"{(values == 1)[guard].mean():.3f} of the guarded photos score 1. Train the router "
            "further or raise the cap."
        )
    accuracies = np.array([balanced_accuracy(values >= t, present) for t in allowed])
    good = np.array(allowed)[accuracies >= accuracies.max() - tolerance]
    return float(min(good, key=lambda t: (abs(t - 0.5), -t)))


def _check_scores(
    scores: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values, present = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    if values.shape != present.shape or values.ndim != 1:
        raise ValueError(
            f"Expected one score per label, got shapes {values.shape} and {present.shape}."
        )
    if not np.isfinite(values).all():
        raise ValueError(
            f"{int((~np.isfinite(values)).sum())} of {values.size} scores are not finite."
        )
    _check_both_kinds(present)
    return values, present


def _check_decisions(
    decisions: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    decided, present = np.asarray(decisions, dtype=bool), np.asarray(labels, dtype=bool)
    if decided.shape != present.shape or decided.ndim != 1 or not decided.size:
        raise ValueError(
            f"Expected one decision per label, got shapes {decided.shape} and {present.shape}."
        )
    return decided, present


def _check_guard(guard: NDArray[np.bool_], present: NDArray[np.bool_]) -> None:
    if guard.shape != present.shape:
        raise ValueError(f"guarded must mark {present.size} photos, got {guard.size} marks.")
    if not guard.any() or (guard & present).any():
        raise ValueError(
            f"guarded must mark photos without the operation, got {int(guard.sum())} marked, "
            f"{int((guard & present).sum())} of them with it."
        )


def _check_both_kinds(present: NDArray[np.bool_]) -> None:
    if present.all() or not present.any():
        raise ValueError(
            f"Expected photos with and without the operation, got {int(present.sum())} with and "
            f"{int((~present).sum())} without."
        )
