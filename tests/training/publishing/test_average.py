"""The mean of weights: of folders, of runs, of checkpoints."""

import pytest
import torch

from frr.models.mofrr.merger import ExpertMerger
from frr.models.mofrr.router import RetouchRouter
from frr.pipelines.operations import OPERATIONS
from frr.training.publishing.average import average
from frr.training.stages.running import run_stage


def filled(value):
    network = ExpertMerger(OPERATIONS, channels=(4, 8))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)
    return network


def test_the_mean_of_folders(tmp_path):
    for value in (1.0, 4.0):
        filled(value).save_pretrained(tmp_path / str(value))
    sources = [tmp_path / "1.0", tmp_path / "4.0"]
    made = average(sources)
    assert all(torch.equal(p, torch.full_like(p, 2.5)) for p in made.parameters())
    made = average(sources, (2, 1))
    assert all(torch.equal(p, torch.full_like(p, 2.0)) for p in made.parameters())
    assert tuple(made.config.channels) == (4, 8)


def test_a_checkpoint_counts_with_its_averaged_weights(faces_dir, tmp_path):
    settings = {"steps": 2, "batch_size": 1, "size": 64, "warmup": 0, "save_seconds": 0}
    run_stage("router", settings, tmp_path / "run", faces_dir)
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    model = RetouchRouter.from_pretrained(tmp_path / "run" / "model")
    made = average([checkpoint, tmp_path / "run"])
    assert isinstance(made, RetouchRouter)
    for name, value in made.state_dict().items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_networks_that_do_not_fit_are_named(tmp_path):
    filled(1.0).save_pretrained(tmp_path / "a")
    ExpertMerger(OPERATIONS, channels=(4, 4)).save_pretrained(tmp_path / "b")
    RetouchRouter(OPERATIONS).save_pretrained(tmp_path / "c")
    with pytest.raises(ValueError, match="different channels"):
        average([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(ValueError, match="different networks: ExpertMerger and RetouchRouter"):
        average([tmp_path / "a", tmp_path / "c"])
    with pytest.raises(ValueError, match="at least two"):
        average([tmp_path / "a"])
    with pytest.raises(ValueError, match="2 positive shares"):
        average([tmp_path / "a", tmp_path / "a"], [1.0, -1.0])
    with pytest.raises(ValueError, match="no trained network"):
        average([tmp_path / "a", tmp_path / "none"])
