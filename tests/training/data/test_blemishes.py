"""Blemished faces for training: who has pairs, what differs, windows."""

import numpy as np
import pytest
import torch

from frr.training.data.blemishes import BlemishSource


def test_faces_are_divided_into_pairs_blemished_and_clean_ones(squares):
    source = BlemishSource(squares, pair_share=0.2)
    groups = [
        set(group.tolist()) for group in (source.paired, source.blemished_only, source.clean_only)
    ]
    assert [len(group) for group in groups] == [2, 4, 4]
    assert set.union(*groups) == set(range(10))
    with pytest.raises(ValueError, match="share of pairs"):
        BlemishSource(squares, pair_share=0.0)


def test_photo_and_target_differ_only_in_the_mask(squares):
    source = BlemishSource(squares, zoom=1.0)
    batch = source.draw(np.random.default_rng(1), source.paired, 4)
    outside = (batch.mask == 0).expand_as(batch.photo)
    assert torch.equal(batch.photo[outside], batch.target[outside])
    assert not torch.equal(batch.photo, batch.target)
    again = source.draw(np.random.default_rng(1), source.paired, 4)
    assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True))


def test_windows_have_the_side_asked_for(squares):
    source = BlemishSource(squares, crop=32)
    assert source.draw(np.random.default_rng(0), source.paired, 6).photo.shape == (6, 3, 32, 32)
    assert source.draw_clean(np.random.default_rng(0), source.paired, 3).shape == (3, 3, 32, 32)


def test_limited_paintings_come_back(squares):
    """With one painting a face and one face, two draws show the same blemishes."""
    source = BlemishSource(squares, pair_share=0.1, paintings=1, zoom=1.0)
    totals = {
        round(float(source.draw(np.random.default_rng(i), source.paired, 1).mask.sum()), 2)
        for i in range(4)
    }
    assert len(totals) == 1
