"""Stage `router`: what a batch holds, and batch statistics that stay."""

from functools import partial

import numpy as np
import pytest
import torch

from frr.models.mofrr.router import RetouchRouter
from frr.pipelines.operations import OPERATIONS
from frr.training.data.pools import Fresh
from frr.training.stages.router import RouterStage, simulate

SIZE = 64


@pytest.fixture()
def fresh(source):
    return Fresh(partial(simulate, source))


def test_a_router_batch_holds_each_face_in_all_versions(fresh):
    batch = RouterStage(RetouchRouter(OPERATIONS), fresh, faces_per_batch=2).draw(
        np.random.default_rng(0)
    )
    count = len(OPERATIONS)
    assert batch.photos.shape == (2, count + 2, 3, SIZE, SIZE)
    assert batch.photos.dtype == torch.uint8
    assert batch.masks.shape == (2, count + 2, count, SIZE // 8, SIZE // 8)
    found = batch.degrees > 0
    single = torch.tensor([[False] * count, *torch.eye(count).bool().tolist()])
    assert torch.equal(found[:, :-1], single.expand(2, -1, -1))
    assert (found[:, -1].sum(1) >= 2).all()
    assert (batch.masks.amax((-1, -2)) > 0).eq(found).all()
    changed = (batch.photos[:, 1:] != batch.photos[:, :1]).flatten(2).any(2)
    assert changed.all()


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_statistics_stay(fresh, frozen):
    router = RetouchRouter(OPERATIONS)
    before = {k: v.clone() for k, v in router.state_dict().items() if "running" in k}
    RouterStage(router, fresh, 1, frozen_statistics=frozen).losses(np.random.default_rng(0))
    after = router.state_dict()
    assert all(torch.equal(value, after[name]) == frozen for name, value in before.items())


def test_the_losses_are_presence_degree_and_location(fresh):
    stage = RouterStage(RetouchRouter(OPERATIONS), fresh, faces_per_batch=1)
    assert set(stage.losses(np.random.default_rng(0))) == {"presence", "degree", "location"}
