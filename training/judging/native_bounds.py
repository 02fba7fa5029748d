"""Below which size and quality a router does not know: bounds measured on photos that it judged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .metrics import roc_auc
from .native_photos import JudgedPhoto

KNOWN = 0.7
"""AUC against untouched photos from which a router is said to know."""
LEAST = 20
"""Photos with an operation, and untouched ones, that a range takes to be measured."""
SIDES = (200, 256, 300, 360, 420, 512, 600, 700, 850)
QUALITIES = (30, 40, 50, 60, 70, 75, 80, 85, 90)
Bounds = tuple[int | None, ...]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def smallest_known(
    values: Floats, scores: Floats, present: Bools, edges: Sequence[int]
) -> int | None:
    """The edge below which, range by range from the lowest, scores do not know.

    Args:
        values: n, what the ranges are of; NaN where it is not known.
        scores: n.
        present: n, what the scores are to tell.
        edges: ascending; a range with too few photos is joined with the next.

    Returns:
        None where the lowest range is known already, or where the rest is not known either, so that
        it is not for this that the scores fail.
    """
    bound, lowest = None, -np.inf
    for edge in edges:
        inside = (values >= lowest) & (values < edge)
        if (known := _knows(scores, present, inside)) is None:
            continue
        if known:
            break
        bound = lowest = edge
    if bound is None or not _knows(scores, present, ~(values < bound)):
        return None
    return bound


def _knows(scores: Floats, present: Bools, inside: Bools) -> bool | None:
    """Whether some scores know; None where they are too few."""
    chosen = present[inside]
    if min(chosen.sum(), (~chosen).sum()) < LEAST:
        return None
    return roc_auc(scores[inside], chosen) >= KNOWN


def bounds_of(photos: Sequence[JudgedPhoto], operation: str, felt: Bools) -> tuple[int | None, ...]:
    """The smallest side and the smallest quality for one operation.

    Args:
        photos: judged, n.
        operation: its name.
        felt: n, where it was applied so that it can be felt.
    """
    untouched = np.array([not photo.applied for photo in photos])
    rows = felt | untouched
    scores = np.array([photo.probabilities[operation] for photo in photos])[rows]
    sides, qualities = sides_and_qualities(photos)
    return tuple(
        smallest_known(values[rows], scores, felt[rows], edges)
        for values, edges in ((sides, SIDES), (qualities, QUALITIES))
    )


def sides_and_qualities(photos: Sequence[JudgedPhoto]) -> tuple[Floats, Floats]:
    """What the bounds are of, both n: side in pixels, and quality where the pixels show it."""
    sides = np.array([photo.side for photo in photos], float)
    seen = [np.nan if photo.seen_quality is None else photo.seen_quality for photo in photos]
    return sides, np.array(seen, float)


def untold(photos: Sequence[JudgedPhoto], side: int | None, quality: int | None) -> Bools:
    """Photos that lie below the bounds, n."""
    sides, qualities = sides_and_qualities(photos)
    return (sides < (side or 0)) | (qualities < (quality or 0))
