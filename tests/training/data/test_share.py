"""Processes of one run: parts of pools that meet and do not overlap, equal parts of a batch."""

import numpy as np
import pytest
import torch

from frr.training.data.material import choose_device
from frr.training.data.native_batches import ChainPools
from frr.training.data.share import WHOLE, Share


@pytest.mark.parametrize("total", [3, 7, 64])
def test_spans_hold_every_item_once(total):
    spans = [Share(place, 3).span(total) for place in range(3)]
    assert [item for span in spans for item in span] == list(range(total))
    assert max(map(len, spans)) - min(map(len, spans)) <= 1
    assert WHOLE.span(total) == range(total)


def test_what_cannot_be_shared_is_named():
    with pytest.raises(ValueError, match="2 items"):
        Share(0, 3).span(2)
    with pytest.raises(ValueError, match=r"batch_size=20 .* set it to 16 or 24"):
        Share(0, 8).of_batch(20)
    with pytest.raises(ValueError, match="set it to 8"):
        Share(0, 8).of_batch(5)
    assert Share(1, 4).of_batch(20) == 5


def test_a_process_knows_its_share_from_the_launcher(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert Share.of_process() == WHOLE
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert Share.of_process() == (2, 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("") == torch.device("cuda", 1)
    assert choose_device("cpu") == torch.device("cpu")


def test_processes_draw_from_their_own_chains(native_pool):
    whole = ChainPools((native_pool,))
    halves = [ChainPools((native_pool,), share=Share(place, 2)) for place in range(2)]
    assert [len(half) for half in halves] == [3, 3] and len(whole) == 6
    for place, half in enumerate(halves):
        for mine, same in zip(half.at([0, 2]), whole.at([3 * place, 3 * place + 2]), strict=True):
            assert torch.equal(mine, same)
    lasting = [0, 2, 3]  # the side of the photo follows its framing
    drawn = [half.draw(np.random.default_rng(0), 2).about[:, lasting] for half in halves]
    kept = [half.at([0, 1, 2]).about[:, lasting] for half in halves]
    for rows, own in zip(drawn, kept, strict=True):
        assert all(any(torch.equal(row, other) for other in own) for row in rows)
