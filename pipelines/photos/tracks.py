"""Faces followed over the frames of a clip: a crop for each frame, moving as smoothly as the face.

What a detector says jitters by a few pixels from frame to frame, and edits of such crops shimmer.
Each track's place, size and turn are fitted by a line over neighbouring frames, weighted by their
distance in time (locally weighted regression, Cleveland 1979).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .faces import Alignment

SPREAD = 3.0  # frames: standard deviation of the weights
REACH = 0.5  # sides of a crop that a face may move between two sightings
LONGEST_GAP = 12  # frames without a sighting that are filled
SHARE = 0.2  # of the frames that a face must be seen in

Track = list[Alignment | None]  # for each frame; None: the face is not there


def follow(frames: Sequence[Sequence[Alignment]]) -> list[Track]:
    """Link the faces of F frames, fill gaps and smooth; the face that is largest first.

    Args:
        frames: for each frame its faces, in any order.

    Returns:
        Tracks of F entries each. Faces seen in less than a fifth of the frames are left out.
    """
    tracks: list[dict[int, Alignment]] = []
    for place, faces in enumerate(frames):
        _link(tracks, place, faces)
    enough = max(1, math.ceil(SHARE * len(frames)))
    kept = [track for track in tracks if len(track) >= enough]
    kept.sort(key=lambda track: -float(np.median([face.side for face in track.values()])))
    return [_smoothed(track, len(frames)) for track in kept]


def _link(tracks: list[dict[int, Alignment]], place: int, faces: Sequence[Alignment]) -> None:
    """Give each face of a frame to the nearest track that can have moved there, or to a new one."""
    pairs = []
    for number, track in enumerate(tracks):
        last = max(track)
        if place - last <= LONGEST_GAP:
            pairs += [(_distance(track[last], face), number, i) for i, face in enumerate(faces)]
    taken: set[int] = set()
    given: set[int] = set()
    for distance, number, i in sorted(pairs):
        if distance < REACH and number not in taken and i not in given:
            tracks[number][place] = faces[i]
            taken.add(number)
            given.add(i)
    tracks += [{place: face} for i, face in enumerate(faces) if i not in given]


def _distance(first: Alignment, second: Alignment) -> float:
    """How far apart two crops are, in sides; sizes count as distances do."""
    a, b = _numbers(first), _numbers(second)
    return math.hypot(a[0] - b[0], a[1] - b[1]) / min(first.side, second.side) + abs(a[2] - b[2])


def _numbers(face: Alignment) -> tuple[float, float, float, float]:
    """Centre in pixels, logarithm of the side, turn in radians."""
    x = face.left + (face.across_x - face.across_y) / 2
    y = face.top + (face.across_y + face.across_x) / 2
    return x, y, math.log(face.side), math.atan2(face.across_y, face.across_x)


def _face(x: float, y: float, size: float, turn: float) -> Alignment:
    across_x, across_y = math.exp(size) * math.cos(turn), math.exp(size) * math.sin(turn)
    return Alignment(
        x - (across_x - across_y) / 2, y - (across_y + across_x) / 2, across_x, across_y
    )


def _smoothed(track: dict[int, Alignment], count: int) -> Track:
    times = np.array(sorted(track), dtype=float)
    values = np.array([_numbers(track[int(time)]) for time in times])
    values[:, 3] = np.unwrap(values[:, 3])
    smooth: Track = [None] * count
    for place in range(int(times[0]), int(times[-1]) + 1):
        smooth[place] = _face(*_fitted(times - place, values))
    return smooth


def _fitted(away: np.ndarray, values: np.ndarray) -> list[float]:
    """The value at 0 of a line through n values at n times, n 4, near ones counting most."""
    near = np.abs(away) <= max(4 * SPREAD, float(np.abs(away).min()))
    away, values = away[near], values[near]
    weights = np.exp(-0.5 * (away / SPREAD) ** 2) + 1e-9
    mean = np.average(away, weights=weights)
    middle = np.average(values, axis=0, weights=weights)
    spread = float((weights * (away - mean) ** 2).sum())
    if spread < 1e-6:
        return middle.tolist()
    slope = ((weights * (away - mean))[:, None] * (values - middle)).sum(0) / spread
    return (middle - slope * mean).tolist()
