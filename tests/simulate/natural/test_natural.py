"""The retoucher of natural skin: spots go, moles and grain stay, all else keeps its bits."""

import pytest
import torch

from frr.models.bpfre.planes import blur, luma
from frr.pipelines.simulate.landmarks import canonical_mesh
from frr.pipelines.simulate.natural.retoucher import maps_of, retouch_naturally, survey, to_working

SIDE = 512
SPOT, MOLE = (0.62, 0.34), (0.62, 0.66)  # row and column, in shares: the cheeks


def disc(place: tuple[float, float], radius: float, side: int = SIDE) -> torch.Tensor:
    at = (torch.arange(side, dtype=torch.float32) + 0.5) / side
    away = ((at[:, None] - place[0]) ** 2 + (at - place[1]) ** 2).sqrt()
    return ((radius - away) * side + 0.5).clamp(0, 1)[None, None]


def face(side: int = SIDE) -> torch.Tensor:
    """A picture of skin with grain, a red spot and a dark mole: 1 3 side side in [-1, 1]."""
    generator = torch.Generator().manual_seed(0)
    grain = 0.015 * torch.randn(1, 1, side, side, generator=generator)
    skin = torch.tensor([0.55, 0.1, -0.1])[None, :, None, None] + grain
    spot = blur(disc(SPOT, 0.008, side), 0.002 * side)
    mole = disc(MOLE, 0.006, side)
    skin = skin + spot * torch.tensor([-0.02, -0.3, -0.25])[None, :, None, None]
    return (skin + mole * torch.tensor([-0.55, -0.5, -0.45])[None, :, None, None]).clamp(-1, 1)


@pytest.fixture(scope="module")
def points() -> torch.Tensor:
    return canonical_mesh()[None]


@pytest.fixture(scope="module")
def found(points):
    return survey(face(), points)


def at(plane: torch.Tensor, place: tuple[float, float]) -> float:
    height, width = plane.shape[-2:]
    return float(plane[..., int(place[0] * height), int(place[1] * width)].mean())


def test_a_spot_is_found_and_a_mole_is_no_spot(found):
    assert at(found.marks.spots, SPOT) > 0.9 and at(found.marks.moles, SPOT) < 0.1
    assert at(found.marks.moles, MOLE) > 0.9 and at(found.marks.spots, MOLE) < 0.1
    assert at(found.skin, MOLE) < 0.1, "nothing is evened on a mole"
    assert float((found.marks.spots > 0.5).float().mean()) < 0.01


def test_features_are_no_skin_to_look_for_marks_on(found, points):
    for index in (468, 473, 13, 52):  # irises, lips, a brow
        column, row = points[0, index].tolist()
        assert at(found.skin, (row, column)) < 0.3


def test_faint_spots_need_a_larger_amount(found):
    shares = [float(maps_of(found, amount).spots.sum()) for amount in (0.0, 0.3, 0.7, 1.0)]
    assert shares[0] == 0 and shares == sorted(shares) and shares[-1] > 0


@pytest.mark.parametrize("side", [SIDE, 700])
def test_the_spot_goes_and_the_mole_stays(points, side):
    photo = face(side)
    spots_only = retouch_naturally(photo, points, torch.tensor([1.0, 0, 0, 0, 0]))
    studio = retouch_naturally(photo, points, torch.ones(5))
    around = at(photo, (SPOT[0] - 0.04, SPOT[1]))
    for result in (spots_only, studio):
        before, after = (abs(at(each, SPOT) - around) for each in (photo, result))
        assert after < 0.4 * before
        mole = (result - photo).abs() * disc(MOLE, 0.005, side)
        assert float(mole.max()) < 0.02
    changed = (spots_only != photo).any(1).float().mean()
    assert 0 < float(changed) < 0.02
    assert torch.equal(studio[..., : side // 10, :], photo[..., : side // 10, :])


def test_grain_stays(points):
    photo = face()
    studio = retouch_naturally(photo, points, torch.ones(5))
    cheek = (..., slice(300, 360), slice(320, 380))
    grain = [(luma(each) - blur(luma(each), 0.8))[cheek].std() for each in (photo, studio)]
    assert float(grain[1] / grain[0]) == pytest.approx(1, abs=0.05)


def test_amounts_of_zero_change_nothing(points):
    photo = face()
    assert torch.equal(retouch_naturally(photo, points, torch.zeros(5)), photo)


def test_marks_are_sought_at_the_working_size():
    assert tuple(to_working(torch.zeros(1, 3, 1024, 1280)).shape[-2:]) == (512, 640)
    assert tuple(to_working(torch.zeros(1, 3, 300, 400)).shape[-2:]) == (300, 400)
