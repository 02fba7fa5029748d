"""Stage `expert`: what is told, what is kept, and that it learns."""

import json

import numpy as np
import pytest
import torch

from frr.models.mofrr.expert import WaveFRRExpert
from frr.training.stages.expert import ExpertStage, make_scheduler, sample_timesteps
from frr.training.stages.running import run_stage

SIZE = 64


def test_half_of_the_timesteps_are_pure_noise():
    steps = sample_timesteps(np.random.default_rng(0), 2000, make_scheduler())
    assert 0.45 < (steps == 999).float().mean() < 0.55
    assert steps.min() >= 0


@pytest.mark.parametrize(("head", "operation"), [("warp", "face_slimming"), ("tone", "whitening")])
def test_kept_heads_stay_while_the_rest_of_the_expert_learns(source, head, operation):
    expert = WaveFRRExpert(**{f"has_{head}_head": True})
    before = {name: value.clone() for name, value in expert.state_dict().items()}
    stage = ExpertStage(expert, source, operation, batch_size=2, keep_heads=True)
    optimizer = torch.optim.SGD([p for p in expert.parameters() if p.requires_grad], lr=1.0)
    losses = stage.losses(np.random.default_rng(0))
    assert set(losses) == {"idem", "simple", "high", "space"}
    sum(losses.values()).backward()
    optimizer.step()
    changed = {
        name.partition(".")[0]
        for name, value in expert.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {"idem", "denoiser", "hfcam"}


def test_an_expert_learns_to_undo_whitening(faces_dir, tmp_path):
    settings = {"operation": "whitening", "steps": 25, "batch_size": 4, "size": SIZE}
    settings |= {"log_every": 1, "learning_rate": "2e-3", "warmup": 2, "ema_decay": 0.8}
    settings |= {"vary_light": "0", "vary_capture": "0", "min_degree": "0.7"}
    run_stage("expert", settings, tmp_path / "run", faces_dir)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").open()]
    assert [line["step"] for line in lines] == list(range(1, 26))
    space = [line["space"] for line in lines]
    assert np.mean(space[-5:]) < 0.8 * np.mean(space[:5])
