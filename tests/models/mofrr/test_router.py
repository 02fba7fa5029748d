"""RetouchRouter: shapes, meaning of its outputs, independence of the batch."""

import pytest
import torch
import torch.nn.functional as F

from frr.models.mofrr.granularity import TransformerBlock, pool_to
from frr.models.mofrr.router import RetouchRouter, RouterOutput

FOUR = ("whitening", "smoothing", "face_slimming", "eye_enlarging")


def test_probabilities_and_degrees_by_hand():
    output = RouterOutput(torch.tensor([[0.0]]), torch.zeros(1, 1, 5), torch.zeros(1, 1, 2, 2))
    assert output.probabilities.item() == 0.5
    assert output.degrees.item() == pytest.approx(0.6)  # mean of .2 .4 .6 .8 1


@pytest.mark.parametrize("size", [(32, 32), (45, 67), (128, 64)])
def test_any_size(size):
    output = RetouchRouter(FOUR).eval()(torch.rand(2, 3, *size) * 2 - 1)
    assert output.presence_logits.shape == (2, 4)
    assert output.degree_logits.shape == (2, 4, 5)
    assert output.location_logits.shape[:2] == (2, 4)
    assert ((output.degrees > 0) & (output.degrees <= 1)).all()


def test_a_block_can_be_asked_for_its_first_tokens_alone():
    block, tokens = TransformerBlock(8, 2).eval(), torch.rand(2, 5, 8)
    assert block(tokens, wanted=3).shape == (2, 3, 8)
    assert torch.allclose(block(tokens, wanted=3), block(tokens)[:, :3], atol=1e-6)


@pytest.mark.parametrize("shape", [(8, 8), (8, 12), (4, 3), (6, 4), (9, 7)])
def test_every_way_of_pooling_is_that_of_adaptive_cells(shape):
    features = torch.randn(2, 3, *shape)
    size = [min(4, side) for side in shape]
    mean, largest = pool_to(features, 4)
    assert torch.allclose(mean, F.adaptive_avg_pool2d(features, size), atol=1e-6)
    assert torch.equal(largest, F.adaptive_max_pool2d(features, size))


def test_batch_equals_single():
    router = RetouchRouter(FOUR).eval()
    photos = torch.rand(3, 3, 48, 48) * 2 - 1
    alone = torch.cat([router(photos[i : i + 1]).presence_logits for i in range(3)])
    assert torch.allclose(router(photos).presence_logits, alone, atol=1e-4)


def test_a_fifth_operation_is_configuration():
    operations = ("whitening", "smoothing", "face_slimming", "eye_enlarging", "lip_tinting")
    router = RetouchRouter(operations=operations).eval()
    assert router(torch.zeros(1, 3, 32, 32)).presence_logits.shape == (1, 5)
    assert tuple(router.config.thresholds) == (0.5,) * 5
    with pytest.raises(ValueError, match="2 thresholds"):
        RetouchRouter(FOUR, thresholds=(0.5, 0.5))
    with pytest.raises(ValueError, match="at least 3 stages"):
        RetouchRouter(FOUR, hidden_sizes=(16, 32), depths=(1, 1))


def test_saves_and_loads_with_its_thresholds(tmp_path):
    router = RetouchRouter(FOUR, thresholds=(0.1, 0.2, 0.3, 0.4)).eval()
    router.save_pretrained(tmp_path)
    loaded = RetouchRouter.from_pretrained(tmp_path)
    photo = torch.rand(1, 3, 32, 32)
    assert torch.allclose(loaded(photo).presence_logits, router(photo).presence_logits, atol=1e-5)
    assert tuple(loaded.config.thresholds) == (0.1, 0.2, 0.3, 0.4)
