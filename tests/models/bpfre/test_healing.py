"""Healing: nothing without maps or amounts, pores kept, spots filled from what is around them."""

import pytest
import torch

from frr.models.bpfre.healer import SkinHealer, gate
from frr.models.bpfre.healing import SkinMaps, plan
from frr.models.bpfre.kinds import KINDS
from frr.models.bpfre.own_size import WINDOW, at_own_size, heal
from frr.models.bpfre.planes import blur, luma, mean_around

SIDE = 256


def maps(skin=0.0, spots=0.0, lines=0.0) -> SkinMaps:
    planes = (torch.as_tensor(each, dtype=torch.float32) for each in (skin, spots, lines))
    return SkinMaps(*(each.expand(1, 1, SIDE, SIDE) for each in planes))


def disc(radius: float, row: int = 128, column: int = 128) -> torch.Tensor:
    at = torch.arange(SIDE, dtype=torch.float32)
    away = ((at[:, None] - row) ** 2 + (at - column) ** 2).sqrt()
    return (radius + 1 - away).clamp(0, 1)[None, None]


def amounts(**given: float) -> torch.Tensor:
    return torch.tensor([[given.get(kind, 0.0) for kind in KINDS]])


@pytest.fixture
def skin() -> torch.Tensor:
    """Even skin with grain of one pixel."""
    generator = torch.Generator().manual_seed(0)
    grain = 0.02 * torch.randn(1, 1, SIDE, SIDE, generator=generator)
    return torch.tensor([0.5, 0.1, -0.1])[None, :, None, None] + grain


def test_a_blur_keeps_constants_and_narrows_impulses():
    assert torch.allclose(blur(torch.full((1, 2, 40, 50), 0.3), 6.0), torch.tensor(0.3), atol=1e-5)
    impulse = torch.zeros(1, 1, 65, 65)
    impulse[..., 32, 32] = 1
    for sigma in (0.8, 1.5, 3.0, 5.0):
        seen = blur(impulse, sigma)
        at = torch.arange(65.0) - 32
        spread = float((seen.sum(-2).flatten() * at**2).sum() / seen.sum())
        assert spread**0.5 == pytest.approx(sigma, rel=0.25)


def test_a_weighted_mean_ignores_what_has_no_weight():
    planes = torch.cat((torch.zeros(1, 1, 32, 16), torch.ones(1, 1, 32, 16)), dim=3)
    weights = (1 - planes).clamp_min(1e-6)
    assert float(mean_around(planes, weights, 3.0)[..., :18].max()) < 1e-2


def test_nothing_changes_without_maps_or_without_amounts(skin):
    everything = torch.ones(1, 5)
    assert torch.equal(heal(skin, maps(), everything, SIDE), skin)
    full = maps(skin=1.0, spots=disc(4), lines=disc(2, 40))
    assert torch.equal(heal(skin, full, torch.zeros(1, 5), SIDE), skin)


def test_a_spot_is_filled_and_the_rest_keeps_every_bit(skin):
    spot = disc(4)
    photo = skin - 0.4 * spot
    healed = heal(photo, maps(skin=1.0, spots=disc(6)), amounts(spots=1.0), SIDE)
    outside = (disc(6) == 0).expand_as(photo)
    assert torch.equal(healed[outside], photo[outside])
    inside = (spot > 0.5).expand_as(photo)
    before, after = (photo - skin)[inside].abs().mean(), (healed - skin)[inside].abs().mean()
    assert after < 0.12 * before


def test_a_filled_spot_has_the_grain_of_the_skin(skin):
    photo = skin - 0.5 * disc(5) * (1 + torch.sign(torch.randn(1, 1, SIDE, SIDE)))
    healed = heal(photo, maps(skin=1.0, spots=disc(7)), amounts(spots=1.0), SIDE)
    inside = disc(4)[0, 0] > 0.5
    grain = luma(healed)[0, 0][inside].std()
    assert 0.6 < float(grain / luma(skin).std()) < 1.6


def test_pores_stay_where_tone_is_evened(skin):
    at = torch.arange(SIDE, dtype=torch.float32)
    blotches = 0.06 * torch.sin(at / SIDE * 60)[None, None, None].expand(1, 1, SIDE, SIDE)
    photo = skin + blotches
    healed = heal(photo, maps(skin=1.0), amounts(unevenness=1.0), SIDE)
    before, after = (blur(luma(each) - luma(skin), 2.0) for each in (photo, healed))
    assert float(after[..., 20:-20].std() / before[..., 20:-20].std()) < 0.9
    grain = [luma(each) - blur(luma(each), 0.5) for each in (photo, healed)]
    assert float(grain[1].std() / grain[0].std()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("kind", "mark"),
    [("redness", (0.1, -0.15, -0.12)), ("shine", (0.35, 0.35, 0.35))],
)
def test_a_kind_acts_on_its_own_mark_alone(skin, kind, mark):
    photo = skin + blur(disc(12), 4.0) * torch.tensor(mark)[None, :, None, None]
    inside = (disc(5) > 0.5).expand_as(photo)
    others = {other: 1.0 for other in KINDS if other in ("redness", "shine") and other != kind}
    change = (heal(photo, maps(skin=1.0), amounts(**{kind: 1.0}), SIDE) - photo)[inside]
    foreign = (heal(photo, maps(skin=1.0), amounts(**others), SIDE) - photo)[inside]
    assert change.abs().mean() > 5 * foreign.abs().mean()


def test_what_was_planned_small_is_done_to_photos_of_any_size(skin):
    photo = skin - 0.4 * disc(4)
    healing = plan(photo, maps(skin=1.0, spots=disc(6)), amounts(spots=1.0), SIDE)
    large = torch.nn.functional.interpolate(photo, (512, 512), mode="bicubic")
    healed = at_own_size(large, healing, 512)
    corner = (..., slice(0, 200), slice(0, 200))
    assert torch.equal(healed[corner], large[corner])
    assert float((healed - large)[..., 250:262, 250:262].mean()) > 0.25


def test_a_gate_is_closed_below_and_open_above():
    shares = torch.tensor([0.0, 0.2, 0.4, 0.6, 1.0])
    assert gate(shares, 0.2, 0.6).tolist() == pytest.approx([0, 0, 0.5, 1, 1])
    assert float(gate(torch.tensor(0.1999), 0.2, 0.6)) == 0


@pytest.mark.parametrize("size", [(64, 64), (67, 91), (33, 130)])
def test_a_healer_answers_at_the_photos_size(size):
    torch.manual_seed(0)
    healer = SkinHealer(channels=(8, 8, 8), context=4, width=8).eval()
    found = healer(torch.rand(2, 3, *size) * 2 - 1, torch.ones(2, 5))
    assert all(tuple(each.shape) == (2, 1, *size) for each in found)
    assert all(float(each.min()) >= 0 and float(each.max()) <= 1 for each in found)


@pytest.mark.parametrize("side", [300, 700])
def test_a_hard_edged_spot_leaves_no_ring(skin, side):
    size = (side, side)
    smooth = torch.nn.functional.interpolate(skin, size, mode="bicubic")
    at = (torch.arange(float(side)) + 0.5) * SIDE / side
    away = ((at[:, None] - 128) ** 2 + (at - 128) ** 2).sqrt()
    photo = smooth - 0.4 * (away < 5)
    small = torch.nn.functional.interpolate(photo, (SIDE, SIDE), mode="area")
    healing = plan(small, maps(skin=1.0, spots=disc(6.5)), amounts(spots=1.0), SIDE)
    rim = ((away - 5).abs() < 0.7).expand(1, 3, side, side)
    before, after = (
        (each - smooth)[rim].abs().mean() for each in (photo, at_own_size(photo, healing, side))
    )
    assert after < 0.3 * before


def test_windows_join_without_a_seam(skin):
    photo = torch.nn.functional.interpolate(skin - 0.3 * disc(5), (600, 600), mode="bicubic")
    small = torch.nn.functional.interpolate(photo, (SIDE, SIDE), mode="area")
    healing = plan(small, maps(skin=1.0, spots=disc(7)), torch.ones(1, 5), SIDE)
    whole = at_own_size(photo, healing, 600)
    shifted = healing._replace(borrowed=torch.zeros_like(healing.borrowed))
    plain = at_own_size(photo, shifted, 600) - photo
    seam = (plain[..., WINDOW, :] - plain[..., WINDOW - 1, :]).abs().mean()
    usual = (plain[..., WINDOW + 9, :] - plain[..., WINDOW + 8, :]).abs().mean()
    assert whole.shape == photo.shape and seam < 2 * usual + 1e-4
