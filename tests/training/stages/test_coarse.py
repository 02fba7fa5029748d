"""Stages `warp` and `tone`: what the heads are taught, and that they alone learn."""

from functools import partial

import numpy as np
import pytest
import torch

from frr.models.mofrr.expert import WaveFRRExpert
from frr.training.data.pools import Fresh
from frr.training.stages.coarse import (
    CoarseBatch,
    ToneConfig,
    ToneStage,
    WarpConfig,
    WarpStage,
    low_band,
    retouch_with_flow,
    retouch_with_tone,
    simulate,
)

KINDS = {
    "warp": (WarpStage, retouch_with_flow, "face_slimming"),
    "tone": (ToneStage, retouch_with_tone, "whitening"),
}


class Kept:
    """Batches that come from the same stored items."""

    stored = True

    def __init__(self, items: CoarseBatch) -> None:
        self.items = items

    def draw(self, rng, count):
        rows = torch.as_tensor(rng.integers(len(self.items.low), size=count))
        return CoarseBatch(*(part[rows] for part in self.items))


def fresh(source, head):
    _, retouch, operation = KINDS[head]
    return Fresh(partial(simulate, source, operation, retouch))


@pytest.mark.parametrize(("head", "other"), [("warp", "tone"), ("tone", "warp")])
def test_a_coarse_stage_trains_its_head_and_the_degree_alone(source, head, other):
    kind, batches = KINDS[head][0], fresh(source, head)
    expert = WaveFRRExpert(**{f"has_{head}_head": True})
    stage = kind(expert, batches, batch_size=3)
    sum(stage.losses(np.random.default_rng(0)).values()).backward()
    assert getattr(expert, f"{head}_head").out.weight.grad.abs().sum() > 0
    assert expert.degree_estimator.head.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in expert.denoiser.parameters())
    for without in ({}, {f"has_{other}_head": True}):
        with pytest.raises(ValueError, match=f"no {head} head"):
            kind(WaveFRRExpert(**without), batches)


def test_the_low_band_is_the_experts():
    photo = torch.rand(2, 3, 40, 64) * 2 - 1
    assert torch.allclose(low_band(photo), WaveFRRExpert().bands(photo)[0], atol=1e-6)


@pytest.mark.parametrize("kind", [WarpConfig, ToneConfig])
def test_an_operation_of_another_kind_is_refused(kind):
    with pytest.raises(ValueError, match="operation=NAME"):
        kind(operation="smoothing")
    with pytest.raises(ValueError, match="multiple of 8"):
        kind(operation="whitening" if kind is ToneConfig else "face_slimming", size=100)


def test_a_mirrored_photo_has_the_mirrored_flow(source):
    items = fresh(source, "warp").draw(np.random.default_rng(0), 1)
    stage = WarpStage(WaveFRRExpert(has_warp_head=True), Kept(items), 8)
    (known,) = items.truth
    drawn = stage.draw(np.random.default_rng(0))
    plain = torch.tensor([torch.equal(flow, known) for flow in drawn.truth])
    assert plain.any() and not plain.all()
    turned = torch.stack((-known[0].flip(-1), known[1].flip(-1)))
    assert all(torch.equal(flow, turned) for flow in drawn.truth[~plain])
    assert torch.equal(drawn.traces[0, -3:], drawn.traces[1, -3:])  # the position stays


def test_the_tone_head_is_taught_what_whitening_did_to_the_low_band(source):
    items = fresh(source, "tone").draw(np.random.default_rng(1), 24)
    stage = ToneStage(WaveFRRExpert(has_tone_head=True), Kept(items))
    present = items.degree > 0
    assert present.any() and not present.all()
    assert (items.truth[present].mean((1, 2, 3)) < 0).all()  # whitening brightened
    assert (items.truth[~present].abs() < 1e-3).all()
    drawn = stage.draw(np.random.default_rng(0))
    rows = [[torch.equal(low, each) for each in items.low] for low in drawn.low]
    turned = [[torch.equal(low.flip(-1), each) for each in items.low] for low in drawn.low]
    assert torch.tensor(rows).any() and torch.tensor(turned).any()
    for row, low in enumerate(torch.tensor(turned)):
        if low.any():
            assert torch.equal(drawn.truth[row], items.truth[low.nonzero()[0, 0]].flip(-1))
