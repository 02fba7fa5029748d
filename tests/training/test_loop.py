"""The loop: step by step, stopped and resumed to the bit, results written beside and renamed."""

import json
from functools import partial

import pytest
import torch

from frr.models.mofrr.router import RetouchRouter
from frr.pipelines.operations import OPERATIONS
from frr.training.data.pools import Fresh
from frr.training.loop import LoopConfig, Run, seed_step, train
from frr.training.run_folder import RunFolder, model_folder
from frr.training.stages.router import RouterStage, simulate
from frr.training.writing import replacing

CONFIG = LoopConfig(steps=4, warmup=1, save_seconds=0, log_every=1)


@pytest.fixture()
def make_stage(source):
    def make():
        torch.manual_seed(0)
        return RouterStage(
            RetouchRouter(OPERATIONS), Fresh(partial(simulate, source)), faces_per_batch=1
        )

    return make


@pytest.fixture()
def one_thread():
    """Two threads add gradients in an order of their own."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_resuming_repeats_the_run_to_the_bit(make_stage, tmp_path, one_thread):
    whole = make_stage()
    train(whole, CONFIG, tmp_path / "whole")
    parts = RunFolder(tmp_path / "parts")
    for progress in Run(make_stage(), CONFIG, parts, {}).steps():
        if progress.step == 3:  # its checkpoint is that of step 2
            break
    assert not parts.model.exists()
    resumed = make_stage()
    assert train(resumed, CONFIG, tmp_path / "parts") == parts.model
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    lines = [json.loads(line)["step"] for line in parts.log.read_text().splitlines()]
    assert lines == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="holds a checkpoint"):
        train(make_stage(), CONFIG, tmp_path / "parts", resume=False)


def test_a_run_that_is_out_of_time_goes_on(make_stage, tmp_path):
    assert train(make_stage(), CONFIG, tmp_path, seconds=0) is None
    state = RunFolder(tmp_path).load_checkpoint()
    assert state is not None and state["step"] == 1
    assert train(make_stage(), CONFIG, tmp_path) == tmp_path / "model"
    assert model_folder(tmp_path) == model_folder(tmp_path / "model") == tmp_path / "model"


def test_a_run_is_not_resumed_with_other_settings(make_stage, tmp_path):
    train(make_stage(), CONFIG, tmp_path, facts={"data": "some"}, seconds=0)
    kept = (tmp_path / "config.json").read_bytes()
    other = LoopConfig(steps=4, warmup=1, learning_rate=0.5)
    with pytest.raises(ValueError, match=r"learning_rate='0.5' is not what this run"):
        train(make_stage(), other, tmp_path, facts={"data": "some"})
    with pytest.raises(ValueError, match="data='some'"):
        train(make_stage(), CONFIG, tmp_path, facts={"data": "other"})
    assert (tmp_path / "config.json").read_bytes() == kept


def test_a_loss_that_is_not_finite_stops_the_run_before_it_harms_the_weights(make_stage, tmp_path):
    stage = make_stage()
    before = {name: value.clone() for name, value in stage.model.named_parameters()}
    stage.losses = lambda rng: {"presence": next(stage.model.parameters()).sum() * float("nan")}
    with pytest.raises(FloatingPointError, match="at step 1"):
        train(stage, CONFIG, tmp_path)
    assert all(torch.equal(p, before[n]) for n, p in stage.model.named_parameters())


def test_steps_are_seeded_apart():
    draws = [seed_step(0, step, process).random() for step in range(3) for process in range(2)]
    assert len(set(draws)) == 6


def test_what_fails_while_it_is_written_leaves_the_last_result(tmp_path):
    place = tmp_path / "model"
    with replacing(place) as beside:
        beside.mkdir()
        (beside / "weights").write_text("old")
    with pytest.raises(OSError, match="full"), replacing(place) as beside:
        beside.mkdir()
        raise OSError("the disk is full")
    assert (place / "weights").read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    with replacing(place) as beside:
        beside.mkdir()
    assert not list(place.iterdir()) and len(list(tmp_path.iterdir())) == 1
