"""Bounds below which a router does not know, on made-up photos."""

import json

import numpy as np
import pytest

from frr.training.judging.native_bounds import QUALITIES, SIDES, smallest_known, untold
from frr.training.judging.native_photos import JudgedPhoto
from frr.training.judging.native_thresholds import calibrate_folder

NAMES = ("tan",)


def made(rng, blind, count=1200, lowest=150, highest=1000):
    """Values, and scores that tell except where blind."""
    values = rng.uniform(lowest, highest, count)
    present = np.arange(count) % 2 == 0
    scores = np.where(blind(values), 0, 2.5 * present) + rng.normal(size=count)
    return values, scores, present


def test_the_bound_is_where_knowledge_begins():
    rng = np.random.default_rng(0)
    assert smallest_known(*made(rng, lambda x: x < 420), SIDES) == 420
    assert smallest_known(*made(rng, lambda x: x < 0), SIDES) is None


def test_no_bound_where_nothing_is_known_anywhere():
    assert smallest_known(*made(np.random.default_rng(0), lambda x: x > 0), SIDES) is None


def test_a_gap_higher_up_is_no_bound():
    rng = np.random.default_rng(0)
    assert smallest_known(*made(rng, lambda x: abs(x - 600) < 100), SIDES) is None


def test_too_few_photos_say_nothing():
    rng = np.random.default_rng(0)
    assert smallest_known(*made(rng, lambda x: x < 420, count=30), SIDES) is None


def test_unknown_qualities_lie_above_every_bound():
    values, scores, present = made(np.random.default_rng(0), lambda x: x < 60, 1200, 25, 95)
    values[values > 80] = np.nan
    assert smallest_known(values, scores, present, QUALITIES) == 60


def photo(side, quality, applied, chance):
    return JudgedPhoto(
        condition="tan" if applied else "untouched",
        split="seen",
        face="a",
        native=side,
        side=side,
        quality=quality or 0,
        effects={"tan": 0.5 * applied},
        probabilities={"tan": chance},
        degrees={"tan": 0.5},
        decibels={"": 30, "tan": 31 if applied else 28},
        seen_quality=quality,
    )


def test_photos_below_a_bound():
    photos = [photo(200, None, 0, 0.5), photo(400, 50, 0, 0.5), photo(400, 90, 0, 0.5)]
    assert untold(photos, 300, 60).tolist() == [True, True, False]
    assert untold(photos, None, 60).tolist() == [False, True, False]
    assert not untold(photos, None, None).any()


def test_a_routers_config_learns_its_bounds(tmp_path):
    rng = np.random.default_rng(0)
    values, scores, present = made(rng, lambda x: x < 360)
    photos = [
        photo(int(side), None, int(here), float(1 / (1 + np.exp(1.2 - score))))
        for side, score, here in zip(values, scores, present, strict=True)
    ]
    (tmp_path / "router").mkdir()
    path = tmp_path / "router" / "config.json"
    path.write_text(json.dumps({"operations": NAMES, "temperature": None, "bias": None}))
    fit = calibrate_folder(tmp_path, photos)
    config = json.loads(path.read_text())
    assert config["smallest_side"] == [360] == list(fit.smallest_side)
    assert config["smallest_quality"] == [None]
    assert config["thresholds"] == pytest.approx(list(fit.thresholds))
