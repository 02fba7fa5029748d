"""Pools: stored once, read item by item, the same after a stop."""

import time
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from frr.training.data import pool_files, pools
from frr.training.data.pools import PoolConfig, StoredPool, describe_pool, fill_pool, open_pool


class Numbers(NamedTuple):
    whole: Tensor
    broken: Tensor


def simulate(rng, count):
    whole = torch.as_tensor(rng.integers(0, 255, (count, 3)), dtype=torch.uint8)
    return Numbers(whole, torch.as_tensor(rng.random((count, 2)), dtype=torch.float32))


@pytest.fixture(autouse=True)
def small_files(monkeypatch):
    monkeypatch.setattr(pools, "FILE_ITEMS", 4)
    monkeypatch.setattr(pool_files, "AT_ONCE", 3)


def make(folder, items, stop_after=None, resume=False, **settings):
    config = PoolConfig(items=items, **settings)
    open_pool(folder, config, {"stage": "numbers"}, resume)
    counts = []
    for stored in fill_pool(folder, config, simulate):
        counts.append(stored)
        if len(counts) == stop_after:
            break
    return counts


def test_items_come_back_as_they_were_stored(tmp_path):
    assert make(tmp_path / "pool", 10) == [4, 8, 10]
    pool = StoredPool((tmp_path / "pool",), Numbers)
    assert len(pool) == 10 and describe_pool(tmp_path / "pool")["settings"]["items"] == 10
    first = simulate(np.random.default_rng((0, 0)), 3)
    for row in range(3):
        item = pool.item(row)
        assert torch.equal(item.whole[0], first.whole[row])
        assert torch.equal(item.broken[0], first.broken[row].half())
    drawn = pool.draw(np.random.default_rng(1), 50)
    assert drawn.whole.shape == (50, 3) and drawn.broken.dtype == torch.float32
    known = {tuple(pool.item(row).whole[0].tolist()) for row in range(10)}
    assert {tuple(row) for row in drawn.whole.tolist()} == known


def test_several_pools_are_one(tmp_path):
    make(tmp_path / "a", 5)
    make(tmp_path / "b", 3, seed=1)
    both = StoredPool((tmp_path / "a", tmp_path / "b"), Numbers)
    second = StoredPool((tmp_path / "b",), Numbers)
    assert len(both) == 8
    assert torch.equal(both.item(5).whole, second.item(0).whole)


def test_a_stopped_pool_goes_on_with_the_same_items(tmp_path):
    make(tmp_path / "whole", 10)
    make(tmp_path / "parts", 10, stop_after=1)
    with pytest.raises(ValueError, match=r"lacks 2 of its 3 files.*--resume"):
        describe_pool(tmp_path / "parts")
    with pytest.raises(ValueError, match="holds a pool"):
        make(tmp_path / "parts", 10)
    for change, name in (({"items": 11}, "items=10"), ({"items": 10, "seed": 2}, "seed=0")):
        with pytest.raises(ValueError, match=name):
            make(tmp_path / "parts", resume=True, **change)
    make(tmp_path / "parts", 10, resume=True, threads=1)
    for path in (tmp_path / "whole").glob("*.safetensors"):
        assert path.read_bytes() == (tmp_path / "parts" / path.name).read_bytes()


def noisy(rng, count):
    """Items of numpy's and of torch's draws, with a moment's work."""
    time.sleep(0.01)
    return Numbers(simulate(rng, count).whole, torch.rand(count, 2))


def test_time_that_is_up_within_a_file_keeps_what_was_made(tmp_path, monkeypatch):
    monkeypatch.setattr(pools, "FILE_ITEMS", 64)
    config = PoolConfig(items=70)
    for folder in ("whole", "parts"):
        open_pool(tmp_path / folder, config, {"stage": "numbers"}, False)
    list(fill_pool(tmp_path / "whole", config, noisy))
    counts, calls = [], 0
    while not counts or counts[-1] < 70:
        counts += fill_pool(tmp_path / "parts", config, noisy, time.time() + 0.005)
        calls += 1
    assert calls > 6 and counts == sorted(counts)
    names = {path.name for path in (tmp_path / "parts").iterdir()}
    assert names == {"pool.json", "items_00000.safetensors", "items_00001.safetensors"}
    for path in (tmp_path / "whole").glob("*.safetensors"):
        assert path.read_bytes() == (tmp_path / "parts" / path.name).read_bytes()


def test_no_group_is_begun_that_would_end_too_late(tmp_path, monkeypatch):
    monkeypatch.setattr(pools, "FILE_ITEMS", 64)
    now = [1000.0]
    monkeypatch.setattr(pool_files.time, "time", lambda: now[0])

    def slow(rng, count):
        now[0] += 10
        return simulate(rng, count)

    config = PoolConfig(items=64)
    open_pool(tmp_path / "pool", config, {"stage": "numbers"}, False)
    assert list(fill_pool(tmp_path / "pool", config, slow, until=1035)) == [9]
    assert now[0] == 1030
    assert list(fill_pool(tmp_path / "pool", config, slow, until=1000)) == [9, 12]


def test_a_file_that_cannot_be_written_leaves_no_half_one(tmp_path):
    def fail(rng, count):
        raise OSError("no space left")

    config = PoolConfig(items=4)
    open_pool(tmp_path / "pool", config, {"stage": "numbers"}, False)
    with pytest.raises(OSError, match="no space"):
        list(fill_pool(tmp_path / "pool", config, fail))
    assert [path.name for path in (tmp_path / "pool").iterdir()] == ["pool.json"]
    with pytest.raises(ValueError, match="holds no pool"):
        describe_pool(tmp_path)
