"""Stage `bpfre`: what a step draws, the losses' signs, what learns, resuming."""

import json

import numpy as np
import torch
import torch.nn.functional as F

from frr.models.bpfre.critic import PixelCritic
from frr.models.bpfre.retoucher import BlemishRetoucher, RetouchOutput
from frr.training.data.blemishes import BlemishSource
from frr.training.loop import LoopConfig, Run, train
from frr.training.losses import edit_weight
from frr.training.perceptual import haar_features
from frr.training.run_folder import RunFolder
from frr.training.stages.bpfre import BPFReStage, detection

SMALL = {"channels": (8, 8), "attention_width": 8, "style_width": 8}


def stage(squares, **more) -> BPFReStage:
    share = more.pop("pair_share", 1.0)
    torch.manual_seed(0)
    source = BlemishSource(squares, share, crop=more.pop("crop", 0))
    return BPFReStage(BlemishRetoucher(**SMALL), PixelCritic(channels=(8, 8)), source, **more)


def test_an_unpaired_batch_holds_a_quarter_of_each_kind(squares):
    draw = stage(squares, pair_share=0.2, unpaired=True, batch_size=8).draw(
        np.random.default_rng(0)
    )
    assert [len(draw.pairs.photo), len(draw.blemished), len(draw.clean)] == [4, 2, 2]
    draw = stage(squares, pair_share=0.2, batch_size=8).draw(np.random.default_rng(0))
    assert [len(draw.pairs.photo), len(draw.blemished), len(draw.clean)] == [6, 0, 2]


def test_losses_of_an_untrained_network_are_those_of_doing_nothing(squares):
    made = stage(squares, adversarial_weight=0.0)
    terms = made.losses(np.random.default_rng(0))
    batch = made.draw(np.random.default_rng(0)).pairs
    weight = edit_weight(batch.mask[:, 0])
    expected = ((batch.photo - batch.target).abs() * weight).mean()
    expected = expected + 0.5 * haar_features(batch.photo, batch.target, weight)
    torch.testing.assert_close(terms["coarse"], expected)
    torch.testing.assert_close(terms["refined"], expected)
    assert terms["clean"] == 0


def test_detection_alone_teaches_encoder_and_e2d_only(squares):
    made = stage(squares, detection_only=True)
    terms = made.losses(np.random.default_rng(0))
    assert set(terms) == {"map_coarse", "detect"}
    sum(terms.values()).backward()
    learning = {
        name.split(".")[0] for name, p in made.model.named_parameters() if p.grad is not None
    }
    assert learning == {"stem", "encoder", "e2d"}


def test_without_the_generator_nothing_behind_the_decoder_learns(squares):
    made = stage(squares, coarse_only=True, adversarial_weight=0.0)
    terms = made.losses(np.random.default_rng(0))
    assert set(terms) == {"map_coarse", "detect", "coarse", "clean", "map_clean"}
    sum(terms.values()).backward()
    learning = {
        name.split(".")[0] for name, p in made.model.named_parameters() if p.grad is not None
    }
    assert learning == {"stem", "encoder", "e2d", "decoder", "coarse_head"}


def test_a_second_phase_leaves_the_map_as_it_is(squares, tmp_path):
    made = stage(squares, keep_detection=True, adversarial_weight=0.0)
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    train(made, LoopConfig(steps=2, warmup=1, learning_rate=1e-2), tmp_path / "run")
    found = {"stem", "encoder", "e2d"}
    changed = {
        n.split(".")[0] for n, v in made.model.state_dict().items() if (v != before[n]).any()
    }
    assert changed and not changed & found


class Judge(torch.nn.Module):
    """A critic with one answer for every pixel."""

    def __init__(self, logit: float) -> None:
        super().__init__()
        self.logit = torch.nn.Parameter(torch.tensor(logit))

    def forward(self, photo):
        return self.logit.expand(len(photo), 1, *photo.shape[-2:])


def test_signs_of_the_adversarial_pair(squares):
    """Positive = clean: calling all clean pleases the retoucher and is wrong on two of three."""
    photo, ones = torch.zeros(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
    output = RetouchOutput(photo, photo, ones, ones)
    made = stage(squares, adversarial_weight=1.0)
    for logit in (-3.0, 3.0):
        made.critic = Judge(logit)
        terms = made._adversarial_terms(output, photo, photo)
        logits = torch.tensor(logit)
        torch.testing.assert_close(terms["deceive"], F.softplus(-logits))
        torch.testing.assert_close(terms["critic"], 2 * F.softplus(logits) + F.softplus(-logits))


def test_each_of_the_two_opponents_learns_only_from_its_own_terms(squares):
    made = stage(squares, adversarial_weight=1.0)
    made.losses(np.random.default_rng(0))["critic"].backward()
    assert all(p.grad is None or not p.grad.any() for p in made.model.parameters())
    assert any(p.grad is not None and p.grad.any() for p in made.critic.parameters())
    made.critic.zero_grad(set_to_none=True)
    made.losses(np.random.default_rng(0))["deceive"].backward()
    assert all(p.grad is None for p in made.critic.parameters())


def test_detection_prefers_the_right_map():
    gate = BlemishRetoucher(**SMALL).openness
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    weight = torch.ones_like(mask)
    values = [float(detection(gate, m, mask, weight)) for m in (mask, 0.5 * mask, 1 - mask)]
    assert values[0] < 0.1 and values[0] <= values[1] < values[2]


def test_a_resumed_run_is_the_run_that_was_stopped(squares, tmp_path):
    config = LoopConfig(
        steps=4, save_seconds=0.0, learning_rate=1e-3, warmup=1, log_every=1, threads=1
    )

    def run(folder, stops):
        for stop in stops:
            torch.manual_seed(5)
            made = stage(squares, batch_size=2, crop=32)
            running = Run(made, config, RunFolder(folder), {})
            for progress in running.steps():
                if progress.step == stop:
                    break
        return made

    whole, stopped = run(tmp_path / "whole", [4]), run(tmp_path / "stopped", [3, 4])
    for name in ("model", "critic"):
        for a, b in zip(
            getattr(whole, name).parameters(), getattr(stopped, name).parameters(), strict=True
        ):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").open()]
    assert {"coarse", "critic", "deceive", "map_refined"} <= set(log[-1])
