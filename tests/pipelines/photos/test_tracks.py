"""Tracks: jitter taken out, motion kept, gaps filled, faces kept apart."""

import numpy as np
import pytest

from frr.pipelines.photos.faces import Alignment
from frr.pipelines.photos.tracks import follow


def at(x: float, y: float, side: float = 100.0) -> Alignment:
    return Alignment(x - side / 2, y - side / 2, side, 0.0)


def centres(track) -> np.ndarray:
    return np.array([face.corners().mean(0).tolist() for face in track])


def test_jitter_is_taken_out():
    rng = np.random.default_rng(0)
    noisy = 200 + rng.normal(0, 2, (60, 2))
    (track,) = follow([[at(*place)] for place in noisy])
    steps = np.diff(centres(track), axis=0).std()
    assert steps < 0.15 * np.diff(noisy, axis=0).std()
    assert np.abs(centres(track) - 200).max() < 3


def test_steady_motion_stays_to_its_ends():
    (track,) = follow([[at(100 + 3 * t, 200 - t, 100 * 1.01**t)] for t in range(30)])
    expected = np.array([[100 + 3 * t, 200 - t] for t in range(30)])
    assert np.abs(centres(track) - expected).max() < 1e-2
    sides = [face.side for face in track]
    assert sides == pytest.approx([100 * 1.01**t for t in range(30)], rel=1e-4)


def test_gaps_are_filled_and_blinks_of_the_detector_left_out():
    frames = [[] if t in (4, 5, 6) else [at(100 + t, 100)] for t in range(20)]
    frames[9].append(at(400, 400, 50))
    (track,) = follow(frames)
    assert all(face is not None for face in track)
    assert centres(track)[5, 0] == pytest.approx(105, abs=0.05)


def test_two_people_stay_two_in_any_order():
    frames = [[at(100, 100, 80), at(300, 100, 120)][:: 1 if t % 2 else -1] for t in range(10)]
    first, second = follow(frames)
    assert np.allclose(centres(first)[:, 0], 300) and np.allclose(centres(second)[:, 0], 100)


def test_nobody_and_one_frame():
    assert follow([]) == [] and follow([[], []]) == []
    ((only,),) = follow([[at(50, 60)]])
    assert only is not None and only.side == pytest.approx(100)
