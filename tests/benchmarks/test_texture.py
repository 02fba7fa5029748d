"""The texture benchmark: its measures on textures of known spectra."""

import math

import pytest
import torch


def noise(count=200, smooth=False):
    drawn = torch.randn(count, 32, 32, generator=torch.Generator().manual_seed(1))
    if smooth:
        drawn = torch.nn.functional.avg_pool2d(drawn[:, None], 3, 1, 1)[:, 0]
    return drawn


def test_white_noise_has_the_same_power_in_every_band():
    from benchmarks.texture import power

    found = power(noise())
    assert found.std() / found.mean() < 0.05
    louder = 10 * torch.log10(power(2 * noise()) / found)
    assert louder == pytest.approx([20 * math.log10(2)] * len(found), abs=1e-3)


def test_blur_takes_the_highest_bands_most():
    from benchmarks.texture import gram, power

    lost = 10 * torch.log10(power(noise(smooth=True)) / power(noise()))
    assert (lost[1:6] < lost[:5]).all() and lost[0] > -3 and lost[5] < -10
    one, other = gram(noise()), gram(noise(smooth=True))
    assert (one - other).norm() > 0.3 * one.norm()


def test_patches_lie_on_skin_alone():
    from benchmarks.texture import patches

    grey, skin = torch.zeros(1, 1, 96, 96), torch.zeros(1, 1, 96, 96)
    skin[..., :48, :] = 1
    grey[..., :48, :] = 1
    cut = patches(grey, skin)
    assert len(cut) == 2 * 5 and (cut == 1).all()
