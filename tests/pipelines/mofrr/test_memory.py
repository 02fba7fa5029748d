"""What is asked for networks that read photos at their own size, against what they hold."""

from functools import partial

import pytest
import torch

from frr.models.mofrr.flow_expert import FlowExpert
from frr.models.mofrr.native_router import NativeRouter
from frr.models.mofrr.texture_expert import TextureExpert
from frr.models.mofrr.tone_expert import ToneExpert
from frr.pipelines.mofrr.direct import answer_at_once
from frr.pipelines.mofrr.experts import Task
from frr.pipelines.mofrr.memory import bytes_for_picture
from frr.pipelines.operations import OPERATIONS

SIDE = 384


@pytest.mark.parametrize(
    "make",
    [
        partial(NativeRouter, OPERATIONS),
        FlowExpert,
        ToneExpert,
        TextureExpert,
        lambda: TextureExpert(width=48),
    ],
)
def test_memory_asked_for_is_what_is_held_and_not_far_more(make, root, monkeypatch):
    monkeypatch.syspath_prepend(str(root))
    from benchmarks.activations import Peak

    network, photo = make().eval(), torch.rand(1, 3, SIDE, SIDE) * 2 - 1
    active, degrees = torch.ones(1, 1, dtype=torch.bool), torch.full((1, 1), 0.5)
    task = Task(photo, active, degrees, torch.zeros(1, 1, 3, 8, 8))
    part = "router" if isinstance(network, NativeRouter) else "smoothing_expert"
    with torch.inference_mode(), Peak() as held:
        if part == "router":
            network(photo)
        else:
            answer_at_once({0: network}, task)
    asked = bytes_for_picture(part, network, SIDE, SIDE)
    assert held.most < asked < 2 * held.most
    assert bytes_for_picture(part, network, 2 * SIDE, SIDE) == 2 * asked
