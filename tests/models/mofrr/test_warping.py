"""Photos moved by flows, linearly and smoothly."""

import pytest
import torch

from frr.models.mofrr.warping import warp, warp_smoothly


@pytest.mark.parametrize("move", [warp, warp_smoothly])
def test_a_flow_of_zeros_changes_no_bit(move):
    photo = torch.rand(2, 3, 21, 34) * 2 - 1
    flow = torch.zeros(2, 2, 21, 34)
    assert torch.equal(move(photo, flow), photo)
    flow[:, 0, 5:9, 7] = 0.6
    moved = move(photo, flow)
    moved[:, :, 5:9, 7] = photo[:, :, 5:9, 7]
    assert torch.equal(moved, photo)


@pytest.mark.parametrize("move", [warp, warp_smoothly])
def test_whole_pixels_by_hand(move):
    photo = torch.rand(1, 3, 12, 16) * 2 - 1
    flow = torch.zeros(1, 2, 12, 16)
    flow[:, 0], flow[:, 1] = 2, -1
    moved = move(photo, flow)
    assert torch.allclose(moved[..., 2:-2, 2:-4], photo[..., 1:-3, 4:-2], atol=1e-4)


def test_bicubic_keeps_what_bilinear_loses():
    at = torch.arange(64.0)
    wave = 0.8 * torch.sin(at * 0.8).expand(1, 3, 64, 64)
    flow = torch.zeros(1, 2, 64, 64)
    flow[:, 0] = 0.5
    expected = 0.8 * torch.sin((at + 0.5) * 0.8).expand(1, 3, 64, 64)
    losses = [
        (move(wave, flow) - expected)[..., 4:-4].abs().max() for move in (warp, warp_smoothly)
    ]
    assert losses[1] < 0.4 * losses[0]


def test_smooth_warps_stay_in_the_range_of_photos():
    photo = torch.ones(1, 3, 32, 32)
    photo[..., ::4] = -1
    moved = warp_smoothly(photo, torch.full((1, 2, 32, 32), 0.4))
    assert moved.min() >= -1 and moved.max() <= 1
    half = warp_smoothly(photo.bfloat16(), torch.full((1, 2, 32, 32), 0.4))
    assert half.dtype == torch.bfloat16
