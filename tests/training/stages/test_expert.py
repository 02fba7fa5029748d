"""Stage `expert`: what is told, what is kept, and that it learns."""

import json

import numpy as np
import pytest
import torch

from frr.models.mofrr.expert import WaveFRRExpert
from frr.training.stages.expert import (
    ExpertStage,
    clean_estimate,
    make_scheduler,
    sample_timesteps,
)
from frr.training.stages.running import run_stage

SIZE = 64


def test_half_of_the_timesteps_are_pure_noise():
    steps = sample_timesteps(np.random.default_rng(0), 2000, make_scheduler())
    assert 0.45 < (steps == 999).float().mean() < 0.55
    assert steps.min() >= 0


def test_the_clean_band_follows_from_the_true_noise():
    scheduler = make_scheduler("epsilon")
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(5, 3, 4, 4, generator=generator) * 2 - 1
    noise = torch.randn(clean.shape, generator=generator)
    steps = torch.tensor([0, 10, 60, 140, 199])
    noisy = scheduler.add_noise(clean, noise, steps)
    found = clean_estimate(scheduler, noisy, noise, steps)
    assert torch.allclose(found, clean, atol=1e-3)
    wrong = clean_estimate(scheduler, noisy, noise + 1, steps)
    assert wrong.abs().max() <= 1 and wrong.isfinite().all()
    assert clean_estimate(make_scheduler(), noisy, noise, steps) is noise


def test_an_expert_that_predicts_noise_is_compared_with_the_noise(source, monkeypatch):
    torch.manual_seed(0)
    expert = WaveFRRExpert(prediction_type="epsilon")
    stage = ExpertStage(expert, source, "whitening", batch_size=2)
    assert stage.scheduler.config.prediction_type == "epsilon"
    assert stage.scheduler.config.num_train_timesteps == 200
    assert stage.scheduler.alphas_cumprod[-1] > 0
    drawn = []
    whole = torch.randn_like
    monkeypatch.setattr(torch, "randn_like", lambda like: drawn.append(whole(like)) or drawn[-1])
    losses = stage.losses(np.random.default_rng(0))
    assert all(loss.isfinite() for loss in losses.values())
    # an untrained denoiser ends in a layer that is not far from zero: what is left is the noise
    assert losses["simple"].item() == pytest.approx(drawn[0].square().mean().item(), rel=0.5)
    sum(losses.values()).backward()
    assert any(p.grad is not None and p.grad.any() for p in expert.denoiser.parameters())


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
