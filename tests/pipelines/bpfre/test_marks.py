"""Marks by contrast: moles are judged beside the skin around them, whatever its colour."""

import pytest
import torch

from frr.pipelines.bpfre.marks import find_marks

SIDE, PLACE = 384, (150, 230)
LIGHT, DARK = (0.75, 0.56, 0.47), (0.30, 0.20, 0.15)


def skin(colour: tuple[float, float, float]) -> torch.Tensor:
    """Skin with grain, 1 3 384 384 in [0, 1]."""
    grain = torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return torch.tensor(colour)[None, :, None, None] * (1 + 0.01 * grain)


def disc(radius: float) -> torch.Tensor:
    at = torch.arange(SIDE, dtype=torch.float32)
    away = ((at[:, None] - PLACE[0]) ** 2 + (at - PLACE[1]) ** 2).sqrt()
    return (radius + 0.5 - away).clamp(0, 1)[None, None]


def marks_at(photo: torch.Tensor) -> tuple[float, float]:
    """How much there is of a mole, and of a spot."""
    found = find_marks(photo * 2 - 1, torch.ones(1, 1, SIDE, SIDE))
    return float(found.moles[PLACE]), float(found.spots[PLACE])


@pytest.mark.parametrize("radius", [1.5, 5.0])
@pytest.mark.parametrize("colour", [LIGHT, DARK])
def test_a_mole_is_one_on_light_and_on_dark_skin_small_or_large(colour, radius):
    mole, spot = marks_at(skin(colour) * (1 - 0.45 * disc(radius)))
    assert mole > 0.8 and spot < 0.2


@pytest.mark.parametrize("colour", [LIGHT, DARK])
def test_what_is_faint_or_red_is_a_spot(colour):
    faint = skin(colour) * (1 - 0.15 * disc(4.0))
    red = skin(colour) * (1 - disc(4.0) * torch.tensor([0.0, 0.45, 0.45])[:, None, None])
    for photo in (faint, red):
        mole, spot = marks_at(photo)
        assert mole < 0.1 and spot > 0.8


def test_a_dot_in_glare_that_is_as_dark_as_the_skin_beyond_is_no_mole():
    glare = skin(DARK) + 0.35 * disc(16.0)
    mole, spot = marks_at(glare * (1 - 0.3 * disc(3.0)))
    assert mole < 0.1 and spot > 0.8


def test_an_evident_mole_stands_alone_and_groups_do_not():
    one = 1 - 0.6 * disc(2.0)
    group = one.clone()
    for down, right in ((0, 14), (14, 0), (0, -14), (-14, 0), (14, 14)):
        group = group * torch.roll(one, (down, right), (2, 3))
    for factor, expected in ((one, True), (1 - 0.27 * disc(2.0), False), (group, False)):
        found = find_marks(skin(LIGHT) * factor * 2 - 1, torch.ones(1, 1, SIDE, SIDE))
        assert float(found.moles[PLACE]) > 0.8
        assert (float(found.evident[PLACE]) > 0.8) == expected
