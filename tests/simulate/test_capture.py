"""Photos as they were taken: framings by hand and on drawn dots, and one camera for a batch."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from frr.pipelines.simulate.capture import Framing, blur, sample_framing, shoot

FRAMINGS = [
    Framing(64),
    Framing(64, zoom=0.8),
    Framing(48, zoom=1.1, turn=0.1),
    Framing(90, turn=-0.2, shift=(0.03, -0.05)),
    Framing(57, zoom=0.9, turn=0.15, shift=(-0.04, 0.02), mirrored=True),
    Framing(31, mirrored=True),
]


def dot(x, y, side=64, sigma=2.0):
    """A bright dot at shares x, y of a dark crop."""
    at = (torch.arange(side) + 0.5) / side
    square = (at - x).square() + (at - y)[:, None].square()
    return (2 * torch.exp(-square * side**2 / (2 * sigma**2)) - 1).expand(1, 3, -1, -1)


def centre(photo):
    """Shares of width and height of what is bright."""
    weights = (photo[0, 0] + 1).clamp_min(0.02) - 0.02
    at = (torch.arange(photo.shape[-1]) + 0.5) / photo.shape[-1]
    return torch.stack(((weights.sum(0) * at).sum(), (weights.sum(1) * at).sum())) / weights.sum()


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("place", [(0.5, 0.5), (0.3, 0.4), (0.62, 0.7)])
def test_points_lie_where_the_image_shows_them(framing, place):
    photo = framing.image(dot(*place))
    assert photo.shape == (1, 3, framing.side, framing.side)
    expected = framing.points(torch.tensor([place]))[0]
    assert (centre(photo) - expected).abs().max() < 0.15 / framing.side + 0.002


def test_points_by_hand():
    def at(x, y, **framing):
        return Framing(64, **framing).points(torch.tensor([[x, y]]))[0].tolist()

    assert at(0.2, 0.3) == pytest.approx([0.2, 0.3], abs=1e-6)
    assert at(0.2, 0.3, mirrored=True) == pytest.approx([0.8, 0.3], abs=1e-6)
    assert at(0.25, 0.5, zoom=0.5) == pytest.approx([0.0, 0.5], abs=1e-6)
    assert at(0.6, 0.5, shift=(0.1, 0.0)) == pytest.approx([0.5, 0.5], abs=1e-6)
    assert at(0.5, 1.0, turn=math.pi / 2) == pytest.approx([1.0, 0.5], abs=1e-6)


def test_the_whole_crop_at_its_own_size_is_the_crop():
    crop = torch.rand(2, 3, 40, 40) * 2 - 1
    assert torch.allclose(Framing(40).image(crop), crop, atol=1e-5)
    mirrored = Framing(40, mirrored=True).image(crop)
    assert torch.allclose(mirrored, crop.flip(-1), atol=1e-5)


def test_a_reduction_is_antialiased():
    stripes = torch.ones(1, 3, 96, 96)
    stripes[..., ::2] = -1
    assert Framing(31).image(stripes)[..., 2:-2, 2:-2].abs().max() < 0.1


def test_framings_follow_the_seed_and_their_bounds():
    drawn = [sample_framing(np.random.default_rng(seed), 64) for seed in range(200)]
    assert drawn == [sample_framing(np.random.default_rng(seed), 64) for seed in range(200)]
    assert all(0.77 <= each.zoom <= 1.13 for each in drawn)
    assert all(abs(share) <= 0.05 for each in drawn for share in each.shift)
    assert 60 < sum(each.mirrored for each in drawn) < 140


def test_what_stands_upright_is_reduced_once():
    crop = torch.rand(1, 3, 200, 200, generator=torch.Generator().manual_seed(0)) - 0.5
    for seed in range(6):
        framing = sample_framing(np.random.default_rng(seed), 64, upright=1.0)
        size = round(64 / framing.zoom)
        reduced = F.interpolate(crop, (size, size), mode="bicubic", antialias=True)
        left, top = (round((size - 64) / 2 + share * size) for share in framing.shift)
        if min(left, top) < 0 or max(left, top) + 64 > size:
            continue  # mirrored at a border
        there = reduced[..., top : top + 64, left : left + 64]
        photo = framing.image(crop)
        photo = photo.flip(-1) if framing.mirrored else photo
        assert torch.allclose(photo[..., 2:-2, 2:-2], there[..., 2:-2, 2:-2], atol=2e-3)


def test_one_camera_for_the_whole_batch():
    photo = torch.rand(1, 3, 32, 32) * 2 - 1
    batch, before = photo.repeat(2, 1, 1, 1), photo.clone()
    changed = 0
    for seed in range(12):
        shot = shoot(batch, np.random.default_rng(seed))
        assert torch.equal(shot[0], shot[1])
        assert torch.equal(shot, shoot(batch, np.random.default_rng(seed)))
        assert shot.min() >= -1 and shot.max() <= 1
        changed += not torch.allclose(shot, batch, atol=1e-3)
    assert torch.equal(batch[:1], before)
    assert changed >= 8


@pytest.mark.parametrize("sigma", [0.7, 1.5, 3.0])
def test_blur_is_gaussian(sigma):
    point = torch.zeros(1, 2, 41, 41)
    point[..., 20, 20] = 1
    spread = blur(point, sigma)
    assert torch.allclose(spread.sum((2, 3)), torch.ones(1, 2), atol=1e-5)
    at = torch.arange(41.0) - 20
    variance = (spread[0, 0].sum(0) * at.square()).sum()
    assert variance == pytest.approx(sigma**2, rel=0.12)
    plain = torch.full((1, 3, 9, 12), 0.3)
    assert torch.allclose(blur(plain, sigma), plain, atol=1e-6)
