"""Stage `bpfre_healer`: what it asks for, and that it learns to find spots."""

import numpy as np
import pytest
import torch

from frr.models.bpfre.healer import SkinHealer
from frr.training.data.material import Material
from frr.training.data.natural import NaturalSkinItem
from frr.training.data.skin_variation import relit, varied, worn
from frr.training.stages.bpfre_healer import (
    HealerConfig,
    HealerStage,
    draw_amounts,
    wanted_spots,
)

SIDE = 64


class Spotted:
    """Grey squares with dark spots, half of them faint."""

    stored = True

    def draw(self, rng, count):
        photo = torch.full((count, 3, SIDE, SIDE), 160.0)
        spots, salience = (torch.zeros(count, 1, SIDE, SIDE) for _ in range(2))
        for face in range(count):
            for evident in (0, 1):
                row, column = rng.integers(8, SIDE - 8, 2)
                at = (slice(row - 2, row + 2), slice(column - 2, column + 2))
                photo[(face, slice(None), *at)] -= 70 if evident else 25
                spots[(face, 0, *at)] = 255
                salience[(face, 0, *at)] = 230 if evident else 60
        skin = torch.full((count, 1, SIDE // 4, SIDE // 4), 255.0)
        planes = (photo, skin, spots, salience, torch.zeros_like(spots))
        return NaturalSkinItem(*(each.to(torch.uint8) for each in planes))


def test_it_learns_to_find_spots():
    torch.manual_seed(0)
    model = SkinHealer(channels=(8, 8, 8), context=4, width=12)
    stage = HealerStage(model, Spotted(), batch_size=6)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    totals = []
    for step in range(30):
        terms = stage.losses(np.random.default_rng(step))
        assert set(terms) == {"skin", "spots", "lines"}
        loss = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(float(terms["spots"]))
    assert sum(totals[-5:]) < 0.6 * sum(totals[:5])


def test_faint_spots_are_wanted_at_large_amounts_alone():
    spots = torch.ones(4, 1, 1, 2)
    salience = torch.tensor([0.9, 0.3]).expand(4, 1, 1, 2)
    wanted = wanted_spots(spots, salience, torch.tensor([0.0, 0.05, 0.4, 1.0]))[:, 0, 0]
    assert wanted.tolist() == [[0, 0], [0, 0], [1, 0], [1, 1]]


def test_amounts_are_often_full_and_sometimes_none():
    amounts = draw_amounts(np.random.default_rng(0), 500)
    assert amounts.shape == (500, 5) and float(amounts.min()) >= 0 and float(amounts.max()) <= 1
    assert 0.2 < float((amounts[:, 0] == 1).float().mean()) < 0.5
    assert 0.01 < float((amounts[:, 0] == 0).float().mean()) < 0.1


def test_variations_keep_maps_on_their_photos():
    batch = Spotted().draw(np.random.default_rng(0), 4)
    for seed in range(6):
        made = varied(batch, np.random.default_rng(seed))
        side = made.photo.shape[-1]
        assert {tuple(each.shape[-2:]) for each in made[2:]} == {(side, side)}
        darkest = made.photo.mean(1).flatten(1).argmin(1, keepdim=True)
        assert float(made.spots.flatten(1).gather(1, darkest).min()) > 0.4


def test_it_wants_pools():
    with pytest.raises(ValueError, match="frr pool natural"):
        HealerConfig().build(Material(None))


def test_light_and_wear_keep_size_and_range():
    photo = torch.rand(8, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for made in (relit(photo, np.random.default_rng(0)), worn(photo, np.random.default_rng(0))):
        assert made.shape == photo.shape and float(made.abs().max()) <= 1
    kept = (worn(photo, np.random.default_rng(1)) == photo).flatten(1).all(1)
    assert kept.any() and not kept.all(), "some photos come as they were taken"
