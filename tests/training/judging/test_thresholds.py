"""Calibration of the router's thresholds, by hand and on a router whose answers are known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from frr.pipelines.operations import OPERATIONS
from frr.training.judging.thresholds import (
    RouterScores,
    calibrated_thresholds,
    score_faces,
    thresholds_from,
)


def scores(probabilities, degrees):
    column = np.array(probabilities)[:, None]
    return RouterScores(column, np.full_like(column, 0.5), np.array(degrees)[:, None])


def test_thresholds_by_hand():
    # .3 .4 untouched-or-other, .6 .9 present: halfway between .4 and .6
    assert thresholds_from(scores([0.3, 0.4, 0.6, 0.9], [0, 0, 0.5, 1.0])) == (0.5,)


def test_the_cap_is_about_untouched_photos_not_about_other_retouches():
    probabilities = np.array([[0.9, 0.0], [0.8, 0.9], [0.2, 0.1]])
    truth = np.array([[0.7, 0.0], [0.0, 0.7], [0.0, 0.0]])
    verdict = RouterScores(probabilities, probabilities, truth)
    assert verdict.untouched.tolist() == [False, False, True]
    assert thresholds_from(verdict, 0.0) == (pytest.approx(0.85), pytest.approx(0.5))
    # the first operation's .8 stands on a photo with the other one: not capped, but it counts
    swapped = verdict._replace(probabilities=np.array([[0.7, 0], [0.8, 0.9], [0.2, 0.1]]))
    assert thresholds_from(swapped, 0.0)[0] == pytest.approx(0.45)


class Router(torch.nn.Module):
    """Sees whitening as brightness: the mean of the photo, squashed to a probability."""

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(()))
        self.config = SimpleNamespace(operations=OPERATIONS)
        self.seen = []

    def forward(self, photo):
        assert not self.training
        self.seen.append(photo)
        brightness = (photo.mean((1, 2, 3)) * self.gain + 1) / 2
        shape = brightness[:, None].expand(-1, len(OPERATIONS))
        return SimpleNamespace(probabilities=shape, degrees=torch.full_like(shape, 0.6))


def test_every_face_is_scored_in_all_its_versions(three_faces):
    router = Router()
    verdict = score_faces(router, three_faces, batch_size=2)
    assert router.training  # left as it came
    versions = len(OPERATIONS) + 2  # untouched, each operation, mixed
    assert verdict.probabilities.shape == (3 * versions, len(OPERATIONS))
    assert (verdict.degrees == np.float32(0.6)).all()
    assert verdict.untouched.sum() == 3 and verdict.present[:, 0].sum() >= 3
    untouched = three_faces.images.float().mean((1, 2, 3)) / 255
    assert verdict.probabilities[-3:, 0] == pytest.approx(untouched.numpy(), abs=1e-5)
    again = score_faces(Router(), three_faces, batch_size=3)
    assert again.probabilities == pytest.approx(verdict.probabilities, abs=1e-6)


def test_calibrated_thresholds_keep_untouched_faces_untouched(three_faces):
    thresholds = calibrated_thresholds(Router(), three_faces, max_false_positive_rate=0.0)
    brightest = three_faces.images.float().mean((1, 2, 3)).max() / 255
    assert len(thresholds) == 4 and all(value > brightest for value in thresholds)
