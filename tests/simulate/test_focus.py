"""Depth of field: what stays sharp, what goes soft, and how."""

import numpy as np
import pytest
import torch

from frr.pipelines.simulate.focus import Focus, out_of_focus, sample_focus
from frr.pipelines.simulate.landmarks import CHIN, IRISES, canonical_mesh

POINTS = canonical_mesh()
LENS = Focus(widest=0.03, inner=0.8, edge=0.4, body=False, ragged=0.0)
PORTRAIT = Focus(widest=0.05, inner=1.05, edge=0.1, body=True, ragged=0.0)


def noise(side=256):
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def kept(focus, point, side=256):
    """The share of a photo's variance left around a point."""
    photo = noise(side)
    soft = out_of_focus(photo, POINTS, focus, np.random.default_rng(0))
    column, row = (int(n * side) for n in point)
    here = (..., slice(max(row - 6, 0), row + 6), slice(max(column - 6, 0), column + 6))
    return float(soft[here].var() / photo[here].var())


@pytest.mark.parametrize("focus", [LENS, PORTRAIT])
def test_eyes_are_sharp_and_corners_are_not(focus):
    for iris in IRISES:
        assert kept(focus, POINTS[iris]) == pytest.approx(1, abs=1e-3)
    assert kept(focus, (0.04, 0.05)) < 0.1 and kept(focus, (0.95, 0.3)) < 0.1


def test_a_portrait_mode_keeps_the_body_and_a_lens_need_not():
    below = POINTS[CHIN] + 0.05 * (POINTS[CHIN] - POINTS[10])
    assert kept(PORTRAIT, below) == pytest.approx(1, abs=1e-3) and kept(LENS, below) < 0.9


def test_softness_grows_outwards():
    wide = LENS._replace(inner=0.3, edge=1.2)
    left = [kept(wide, (x, float(POINTS[4, 1]))) for x in (0.45, 0.2, 0.05)]
    assert left[0] > left[1] > left[2]


def test_light_is_kept():
    """A blur in linear light keeps the light of a place, so a fine pattern gets brighter."""
    board = (torch.arange(256)[:, None] + torch.arange(256)) % 2 * 2.0 - 1
    soft = out_of_focus(board.expand(1, 3, -1, -1), POINTS, PORTRAIT, np.random.default_rng(0))
    corner = soft[..., 2:20, 2:20]
    light = ((corner + 1) / 2) ** 2.2
    assert light.mean() == pytest.approx(0.5, abs=0.01) and corner.mean() > 0.4


def test_draws_are_of_both_kinds_and_repeat():
    drawn = [sample_focus(np.random.default_rng(seed)) for seed in range(60)]
    assert drawn == [sample_focus(np.random.default_rng(seed)) for seed in range(60)]
    portraits = [each for each in drawn if each.edge <= 0.12]
    assert 15 < len(portraits) < 45 and all(each.body for each in portraits)
    assert all(0.005 <= each.widest <= 0.1 for each in drawn)
