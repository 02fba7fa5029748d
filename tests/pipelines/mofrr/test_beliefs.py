"""What is believed of a degree: hand-worked numbers, laws of the draws, a router's settings."""

import pytest
import torch
from by_operation import values
from tiny_native import NATIVE_ROUTER

from frr.models.mofrr.native_router import NativeRouter
from frr.pipelines.mofrr.beliefs import (
    PRIOR,
    believe,
    density,
    edges,
    quantiles,
    seeds_of,
    spread_out,
)
from frr.pipelines.operations import OPERATIONS

TWO = torch.tensor([0.25, 0.75])


def test_levels_share_the_degrees_between_them():
    assert edges(2).tolist() == [0, 0.75, 1]
    assert edges(4).tolist() == [0, 0.375, 0.625, 0.875, 1]
    assert edges(1).tolist() == [0, 1]


def test_quantiles_by_hand():
    shares = torch.tensor([0.0, 0.125, 0.25, 0.625, 1.0])
    expected = [0, 0.375, 0.75, 0.875, 1]
    assert quantiles(TWO, shares).tolist() == pytest.approx(expected, abs=1e-3)


def test_density_is_of_mass_one():
    belief = torch.tensor(PRIOR)
    middle = (torch.arange(1000) + 0.5) / 1000
    assert density(belief, middle).mean().item() == pytest.approx(1, abs=0.01)
    assert density(TWO, torch.tensor([0.1, 0.9])).tolist() == pytest.approx([1 / 3, 3])


def test_quantiles_of_even_shares_have_the_distributions_levels():
    belief = torch.tensor([0.1, 0.5, 0.2, 0.2])
    degrees = quantiles(belief, (torch.arange(1000) + 0.5) / 1000)
    counts = torch.histogram(degrees, edges(4)).hist / 1000
    assert torch.allclose(counts, belief, atol=0.005)
    assert (degrees.diff() >= 0).all()


def test_certainty_leaves_one_level():
    degrees = quantiles(torch.tensor([0.0, 1.0, 0.0, 0.0]), torch.linspace(0.01, 0.99, 50))
    assert degrees.min() > 0.374 and degrees.max() < 0.626


def test_settings_flatten_and_mix():
    logits = torch.tensor([[[2.0, 0.0], [2.0, 0.0]]])
    assert torch.allclose(believe(logits, {}), logits.softmax(-1))
    flat = believe(logits, {"degree_temperature": (2.0, 1.0)})
    assert torch.allclose(flat[0], torch.tensor([[1.0, 0.0], [2.0, 0.0]]).softmax(-1))
    prior = ((1.0, 3.0), (1.0, 1.0))
    mixed = believe(logits, {"degree_mixing": (1.0, 0.0), "degree_prior": prior})
    assert torch.allclose(mixed[0, 0], TWO)
    assert torch.allclose(mixed[0, 1], logits[0, 1].softmax(-1))


@pytest.mark.parametrize("count", [2, 5, 8])
def test_one_sample_in_each_part_of_a_distribution(count):
    shares = spread_out(3, 4, count)
    assert shares.shape == (4, count)
    parts = (shares * count).floor().long().sort(1).values
    assert (parts == torch.arange(count)).all()
    assert torch.equal(shares, spread_out(3, 4, count))
    assert not torch.equal(shares, spread_out(4, 4, count))


def test_a_seed_counts_and_not_what_was_drawn_from_it():
    generator = torch.Generator().manual_seed(5)
    torch.rand(3, generator=generator)
    assert seeds_of(generator, 2) == [5, 5]
    assert seeds_of([generator, torch.Generator().manual_seed(6)], 2) == [5, 6]
    torch.manual_seed(0)
    first = seeds_of(None, 2)
    assert first[0] == first[1] != seeds_of(None, 1)[0]


def test_the_routers_settings_are_optional_and_checked():
    assert NativeRouter(OPERATIONS, **NATIVE_ROUTER).config.degree_temperature is None
    with pytest.raises(ValueError, match="degree_temperature"):
        NativeRouter(OPERATIONS, **NATIVE_ROUTER, degree_temperature=values(1.0, smoothing=0.0))
    with pytest.raises(ValueError, match=f"2 degree_mixing came for {len(OPERATIONS)}"):
        NativeRouter(OPERATIONS, **NATIVE_ROUTER, degree_mixing=(0.5, 0.5))
