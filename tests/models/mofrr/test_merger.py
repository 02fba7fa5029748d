"""ExpertMerger: the plain sum at first, nothing from nothing, clear refusals."""

import pytest
import torch

from frr.models.mofrr.merger import ExpertMerger

FOUR = ("whitening", "smoothing", "face_slimming", "eye_enlarging")


def disturbed_merger():
    torch.manual_seed(2)
    merger = ExpertMerger(FOUR).eval()
    with torch.no_grad():
        merger.gain_head.weight.normal_()
    return merger


@pytest.mark.parametrize("size", [(32, 32), (37, 51), (1, 3)])
def test_starts_as_the_sum_of_the_specialised_residuals(size):
    residuals, photo = torch.randn(2, 5, 3, *size), torch.rand(2, 3, *size)
    merged = ExpertMerger(FOUR).eval()(photo, residuals, torch.rand(2, 4))
    assert torch.allclose(merged, residuals[:, :4].sum(1), atol=1e-5)


def test_no_residual_gives_exactly_none():
    photo = torch.rand(2, 3, 33, 40)
    merged = disturbed_merger()(photo, torch.zeros(2, 5, 3, 33, 40), torch.rand(2, 4))
    assert torch.equal(merged, torch.zeros_like(photo))


def test_an_inactive_expert_adds_nothing():
    photo, residuals = torch.rand(1, 3, 32, 32), torch.randn(1, 5, 3, 32, 32)
    residuals[:, 1:] = 0
    merger, probabilities = disturbed_merger(), torch.rand(1, 4)
    gain = merger.gains(photo, residuals, probabilities)[:, :1]
    merged = merger(photo, residuals, probabilities)
    assert torch.allclose(merged, gain * residuals[:, 0], atol=1e-6)


def test_wrong_number_of_experts_is_refused():
    with pytest.raises(ValueError, match="4 residuals and 4 probabilities"):
        ExpertMerger(FOUR)(torch.zeros(1, 3, 8, 8), torch.zeros(1, 4, 3, 8, 8), torch.zeros(1, 4))


def test_probabilities_move_a_gain_as_a_whole():
    merger, photo, residuals = (
        ExpertMerger(FOUR).eval(),
        torch.rand(2, 3, 32, 32),
        torch.zeros(2, 5, 3, 32, 32),
    )
    with torch.no_grad():
        merger.gate[-1].weight.normal_(generator=torch.Generator().manual_seed(0))
    sure = merger.gains(photo, residuals, torch.tensor([[0.9, 0.1, 0.1, 0.1]]).expand(2, -1))
    unsure = merger.gains(photo, residuals, torch.tensor([[0.3, 0.1, 0.1, 0.1]]).expand(2, -1))
    moved = sure - unsure
    assert (moved.abs().amax((2, 3)) > 1e-3).all()
    assert torch.allclose(moved, moved[..., :1, :1].expand_as(moved), atol=1e-5)
