"""PixelCritic: what its spectral norms ask of whoever loads it."""

import torch

from frr.models.bpfre.critic import PixelCritic


def test_weights_may_be_stored_in_float8():
    critic = PixelCritic(channels=(8, 8)).eval()
    photo = torch.rand(1, 3, 16, 16) * 2 - 1
    expected = critic(photo)
    critic.enable_layerwise_casting(torch.float8_e4m3fn, torch.float32)
    assert critic.head.weight.dtype == torch.float8_e4m3fn
    assert torch.allclose(critic(photo), expected, atol=0.1)
