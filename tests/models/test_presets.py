"""Presets: sizes of `base` against the published ones, costs of both; nothing is run."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from frr.models.mofrr.expert import WaveFRRExpert
from frr.models.mofrr.merger import ExpertMerger
from frr.models.mofrr.router import RetouchRouter
from frr.models.mofrr.shared import SharedExpert
from frr.models.presets import PRESETS
from frr.pipelines.operations import OPERATIONS

CLASSES = {
    "router": RetouchRouter,
    "expert": WaveFRRExpert,
    "tonal_expert": WaveFRRExpert,
    "geometric_expert": WaveFRRExpert,
    "shared": SharedExpert,
    "merger": ExpertMerger,
}

NAMED = {name: {"operations": OPERATIONS} for name in ("router", "merger")}


@pytest.fixture(scope="module", params=PRESETS)
def networks(request):
    with torch.device("meta"):
        parts = {
            name: kind(**NAMED.get(name, {}), **PRESETS[request.param][name]).eval()
            for name, kind in CLASSES.items()
        }
    for network in parts.values():
        network.requires_grad_(False)
    return request.param, parts


def millions(network):
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def operations(call):
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def test_published_sizes(networks):
    preset, parts = networks
    if preset != "base":
        pytest.skip("published sizes are those of `base`")
    assert millions(parts["expert"].denoiser) == pytest.approx(20.77, rel=0.02)
    assert millions(parts["merger"]) == pytest.approx(31.05, rel=0.25)
    assert millions(parts["router"].trunk) == pytest.approx(5.9, rel=0.03)
    assert millions(parts["router"]) == pytest.approx(70, rel=0.25)
    assert millions(parts["expert"].degree_estimator) == pytest.approx(23.5, rel=0.01)


def test_tiny_fits_its_budget(networks):
    preset, parts = networks
    if preset != "tiny":
        pytest.skip("the budget is that of `tiny`")
    total = millions(parts["router"]) + millions(parts["shared"]) + millions(parts["merger"])
    total += millions(parts["tonal_expert"]) + millions(parts["expert"])
    total += 2 * millions(parts["geometric_expert"])
    assert total * 4 <= 40  # megabytes in float32


def test_the_merger_costs_at_most_a_quarter_of_an_expert(networks):
    _, parts = networks
    photo = torch.empty(1, 3, 256, 256, device="meta")
    degree = torch.empty(1, device="meta")
    residuals = torch.empty(1, len(OPERATIONS) + 1, 3, 256, 256, device="meta")
    probabilities = torch.empty(1, len(OPERATIONS), device="meta")
    expert = operations(lambda: parts["expert"](photo, degree))
    merger = operations(lambda: parts["merger"](photo, residuals, probabilities))
    assert merger <= expert / 4
