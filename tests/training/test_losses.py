"""The losses: values worked by hand, and their minima where they should be."""

import math

import pytest
import torch

from frr.training.losses import (
    degree_classification,
    edit_weight,
    flow_error,
    high_bands,
    hybrid,
    log_error,
    presence_classification,
    soft_level,
    structural_similarity,
    total_variation,
)


def test_structural_similarity_is_that_of_scikit_image():
    skimage = pytest.importorskip("skimage.metrics")
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(1, 1, 24, 31, generator=generator, dtype=torch.float64)
    b = (a + torch.randn(a.shape, generator=generator, dtype=torch.float64) * 0.2).clamp(0, 1)
    expected = skimage.structural_similarity(a[0, 0].numpy(), b[0, 0].numpy(), data_range=1.0)
    assert structural_similarity(a, b, data_range=1.0).item() == pytest.approx(expected, abs=1e-10)


def test_hybrid_is_zero_for_equal_photos_and_grows():
    generator = torch.Generator().manual_seed(0)
    photo = torch.rand(2, 3, 32, 32, generator=generator) * 0.4 + 0.3
    noise = torch.randn(photo.shape, generator=generator)
    assert hybrid(photo, photo).item() == pytest.approx(0, abs=1e-5)
    near, far = hybrid(photo + 0.02, photo), hybrid(photo + noise * 0.3, photo)
    assert 0.02 <= near < far


def test_edit_weight_gives_a_small_region_its_share():
    mask = torch.zeros(1, 10, 10)
    mask[:, :2, :5] = 1  # a tenth of the photo
    weight = edit_weight(mask, share=0.5)
    assert weight.mean().item() == pytest.approx(1)
    assert weight[0, 0, 0, 0].item() == pytest.approx(0.5 + 0.5 * 10)
    assert torch.equal(edit_weight(torch.zeros(1, 4, 4)), torch.ones(1, 1, 4, 4))


def test_total_variation_by_hand():
    assert total_variation(torch.tensor([[0.0, 1.0], [0.0, 3.0]])).item() == 1 + 2


def test_high_bands_is_squared_error_plus_variation():
    clean = torch.zeros(1, 3, 3, 4, 4)
    assert high_bands(clean + 0.5, clean).item() == pytest.approx(0.25)  # constant: no variation


def test_flow_error_counts_the_moved_region_twice():
    flow, truth = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    mask = torch.zeros(1, 4, 4)
    truth[:, 0, 0, 0], mask[:, 0, 0] = 2.0, 1.0
    assert flow_error(flow, truth, mask).item() == pytest.approx(2 / 16 + 2)
    assert flow_error(truth, truth, mask).item() == 0


def test_soft_level_has_the_degree_as_expectation():
    degrees = torch.tensor([0.2, 0.25, 0.5, 0.9, 1.0])
    levels = torch.arange(1, 6) / 5
    assert torch.allclose(soft_level(degrees, 5) @ levels, degrees)
    assert soft_level(torch.tensor(0.05), 5).tolist() == [1, 0, 0, 0, 0]


def test_absent_operations_do_not_count_for_the_degree():
    logits = torch.randn(2, 4, 5)
    degrees = torch.tensor([[0.0, 0.4, 0.0, 0.0], [0.0] * 4])
    expected = -logits[0, 1].log_softmax(0)[1]
    assert degree_classification(logits, degrees).item() == pytest.approx(expected.item(), rel=1e-5)
    assert degree_classification(logits, torch.zeros(2, 4)).item() == 0


def test_presence_is_lowest_for_the_right_verdict():
    degrees = torch.tensor([[0.3, 0.0]])
    right, wrong = torch.tensor([[5.0, -5.0]]), torch.tensor([[-5.0, 5.0]])
    assert presence_classification(right, degrees) < 0.01 < presence_classification(wrong, degrees)


def test_each_photo_counts_alike_in_the_log_error():
    truth = torch.tensor([0.5, 0.05])[:, None, None, None].expand(2, 3, 4, 4)
    half = log_error(truth / 2, truth, floor=0.0, share=0.0)
    only = [log_error(row[None] / 2, row[None], floor=0.0, share=0.0) for row in truth]
    assert half == pytest.approx(sum(only).item() / 2)
    assert (log_error(0 * truth, truth, 0.0, 0.0) - half).item() == pytest.approx(math.log(4))
    assert log_error(truth, truth, floor=1e-4, share=0.0).item() == pytest.approx(math.log(1e-4))
