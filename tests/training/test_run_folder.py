"""A run's folder: one trainer at a time, nothing of others replaced, what is damaged is named."""

import json
import os
from functools import partial

import pytest
import torch
from tiny_mofrr import ROUTER

from frr.models.mofrr.router import RetouchRouter
from frr.pipelines.operations import OPERATIONS
from frr.training.data.pools import Fresh
from frr.training.lock import LOCK_NAME, locked
from frr.training.loop import LoopConfig, Run, train
from frr.training.run_folder import RunFolder, load_trained
from frr.training.stages.router import RouterStage, simulate

CONFIG = LoopConfig(steps=3, warmup=1, save_seconds=0, log_every=1)


@pytest.fixture()
def make_stage(source):
    def make(network=None):
        torch.manual_seed(0)
        network = network or RetouchRouter(OPERATIONS, **ROUTER)
        return RouterStage(network, Fresh(partial(simulate, source)), faces_per_batch=1)

    return make


def steps_logged(folder: RunFolder) -> list[int]:
    return [json.loads(line)["step"] for line in folder.log.read_text().splitlines()]


def test_a_second_trainer_is_kept_out(make_stage, tmp_path):
    with locked(tmp_path), pytest.raises(ValueError, match="trained in by another process"):
        train(make_stage(), CONFIG, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {LOCK_NAME}
    assert train(make_stage(), CONFIG, tmp_path) == tmp_path / "model"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_trainer_that_was_killed_locks_nothing(tmp_path):
    child = os.fork()
    if child == 0:
        with locked(tmp_path):
            os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    with locked(tmp_path):
        pass


def test_log_lines_come_once_whenever_the_run_was_killed(make_stage, tmp_path):
    folder = RunFolder(tmp_path)
    for progress in Run(
        make_stage(), LoopConfig(**vars(CONFIG) | {"save_seconds": 1e9}), folder, {}
    ).steps():
        if progress.step == 2:
            break  # killed before the first checkpoint
    assert steps_logged(folder) == [1, 2] and not folder.checkpoint.exists()
    with folder.log.open("a") as log:
        log.write('{"step": 3, "lo')  # in the middle of a line
    train(make_stage(), CONFIG, tmp_path)
    assert steps_logged(folder) == [1, 2, 3]


@pytest.mark.parametrize("name", ["config.json", "log.jsonl"])
def test_files_of_something_else_are_not_replaced(make_stage, tmp_path, name):
    (tmp_path / name).write_text('{"name": "mine"}\n')
    with pytest.raises(ValueError, match=f"holds a {name} of something else"):
        train(make_stage(), CONFIG, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"name": "mine"}\n'


@pytest.mark.parametrize("name", ["seed", "learning_rate", "steps", "weight_decay"])
def test_settings_that_changed_are_refused_by_name(make_stage, tmp_path, name):
    train(make_stage(), CONFIG, tmp_path, seconds=0)
    kept = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    other = LoopConfig(**vars(CONFIG) | {name: 1 if name == "seed" else 2})
    with pytest.raises(ValueError, match=f"{name}='.*' is not what this run was started with"):
        train(make_stage(), other, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == kept


@pytest.fixture()
def stopped(make_stage, tmp_path):
    train(make_stage(), CONFIG, tmp_path, seconds=0)
    return RunFolder(tmp_path)


@pytest.mark.parametrize("damage", ["empty", "truncated", "junk", "another file of torch"])
def test_a_damaged_checkpoint_is_named(make_stage, stopped, damage):
    content = stopped.checkpoint.read_bytes()
    if damage == "another file of torch":
        torch.save({"weights": torch.zeros(1)}, stopped.checkpoint)
    else:
        spoilt = {"empty": b"", "truncated": content[: len(content) // 2], "junk": b"\x80junk" * 99}
        stopped.checkpoint.write_bytes(spoilt[damage])
    with pytest.raises(ValueError, match=r"checkpoint.pt is no .*checkpoint") as caught:
        train(make_stage(), CONFIG, stopped.path)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_network_is_named(make_stage, stopped):
    state = torch.load(stopped.checkpoint, weights_only=True)
    name = next(iter(state["model"]))
    for change in ({name: torch.zeros(1)}, {"more": torch.zeros(1)}):
        torch.save({**state, "model": {**state["model"], **change}}, stopped.checkpoint)
        with pytest.raises(ValueError, match="is of another network than this run's") as caught:
            train(make_stage(), CONFIG, stopped.path)
        assert "\n" not in str(caught.value)


def test_a_checkpoint_with_nan_is_not_continued(make_stage, stopped):
    state = torch.load(stopped.checkpoint, weights_only=True)
    next(iter(state["model"].values()))[:] = torch.nan
    torch.save(state, stopped.checkpoint)
    with pytest.raises(ValueError, match="NaN or infinite"):
        train(make_stage(), CONFIG, stopped.path)


def test_a_run_without_its_config_is_named(make_stage, stopped):
    stopped.config.unlink()
    with pytest.raises(ValueError, match=r"config.json is missing or damaged"):
        train(make_stage(), CONFIG, stopped.path)


def test_training_starts_from_networks_of_its_own_kind_only(tmp_path, make_stage):
    train(make_stage(), CONFIG, tmp_path)
    from frr.models.mofrr.merger import ExpertMerger

    with pytest.raises(ValueError, match="describes a RetouchRouter; expected a ExpertMerger"):
        load_trained(ExpertMerger, tmp_path)
