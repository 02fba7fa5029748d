"""Stage `merger`: the photos and gates that it learns from."""

import dataclasses

import numpy as np
import pytest
import torch

from frr.models.mofrr.expert import WaveFRRExpert
from frr.models.mofrr.merger import ExpertMerger
from frr.models.mofrr.router import RetouchRouter
from frr.models.mofrr.shared import SharedExpert
from frr.pipelines.operations import OPERATIONS
from frr.training.data.faces import to_signed
from frr.training.data.pools import Fresh
from frr.training.losses import hybrid
from frr.training.stages.merger import MergerStage, Restorations

SIZE = 64


@pytest.fixture()
def restorations(source):
    experts = [*(WaveFRRExpert() for _ in OPERATIONS), SharedExpert()]
    return Restorations(source, RetouchRouter(OPERATIONS), experts)


@pytest.fixture()
def merging(restorations):
    return MergerStage(ExpertMerger(OPERATIONS), Fresh(restorations.simulate), batch_size=2)


def test_the_merger_sees_photos_of_every_kind(restorations):
    rng = np.random.default_rng(0)
    counts = np.array([len(restorations.draw_operations(rng)) for _ in range(400)])
    assert (counts == 0).mean() == pytest.approx(restorations.untouched_share, abs=0.05)
    assert (counts == 1).mean() == pytest.approx(restorations.single_share, abs=0.06)
    assert set(counts) == set(range(len(OPERATIONS) + 1))


def test_the_merger_sees_gates_as_the_pipeline_sets_them(merging):
    present = torch.rand(300, len(OPERATIONS)) < 0.5
    probabilities = torch.rand(300, len(OPERATIONS)) * 0.98 + 0.01
    active, gates = merging.route(np.random.default_rng(0), present, probabilities)
    given = ((gates == 0) | (gates == 1)).all(1)
    assert given.float().mean().item() == pytest.approx(merging.given_share, abs=0.1)
    assert torch.equal(active[given], gates[given] == 1)
    wrong = (active[given] != present[given]).float().mean().item()
    assert wrong == pytest.approx(merging.wrong_share, abs=0.03)

    found, (low, high) = ~given, merging.thresholds
    assert torch.equal(gates[found], probabilities[found])
    assert active[found][probabilities[found] >= high].all()
    assert not active[found][probabilities[found] < low].any()
    between = (probabilities[found] > low) & (probabilities[found] < high)
    assert active[found][between].any() and not active[found][between].all()


class Kept:
    """The same batch again and again."""

    stored = True

    def __init__(self, batch) -> None:
        self.batch = batch

    def draw(self, rng, count):
        return self.batch


def test_experts_that_change_nothing_leave_the_merger_nothing_to_gain(merging):
    batch = merging.batches.draw(np.random.default_rng(0), 2)
    assert batch.residuals.shape == (2, len(OPERATIONS) + 1, 3, SIZE, SIZE)
    assert not batch.residuals.any()
    merging = dataclasses.replace(merging, batches=Kept(batch))
    loss = merging.losses(np.random.default_rng(0))["space"]
    photo, clean = to_signed(batch.photos), to_signed(batch.clean)
    assert loss.item() == pytest.approx(hybrid(photo, clean).item(), abs=1e-6)


def test_an_expert_that_does_not_run_counts_for_nothing(merging, restorations):
    with torch.no_grad():
        for expert in restorations.experts[:-1]:
            expert.hfcam[0].tail[-1].bias.fill_(0.5)
    batch = restorations.simulate(np.random.default_rng(0), 2)
    assert batch.residuals[:, :-1].abs().amax((2, 3, 4)).min() > 0.01
    never = dataclasses.replace(
        merging, batches=Kept(batch), given_share=0.0, thresholds=(1.1, 1.2)
    )
    loss = never.losses(np.random.default_rng(0))["space"]
    expected = hybrid(to_signed(batch.photos), to_signed(batch.clean))
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)


def test_networks_that_do_not_fit_are_named(source, restorations):
    with pytest.raises(ValueError, match=f"{len(OPERATIONS)} experts"):
        Restorations(source, RetouchRouter(OPERATIONS), restorations.experts[:-1])
    router = RetouchRouter(operations=("whitening",))
    with pytest.raises(ValueError, match="the router is for"):
        Restorations(source, router, restorations.experts)
