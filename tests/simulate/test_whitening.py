"""Whitening: laws that hold for every algorithm, its regions, and worked numbers."""

import math

import pytest
import torch

from frr.pipelines.simulate import skin_rules, whitening
from frr.pipelines.simulate.colour import luma, rgb_to_lab, unit
from frr.pipelines.simulate.draws import BULK, number, strength
from frr.pipelines.simulate.landmarks import FaceRegions, canonical_mesh
from frr.pipelines.simulate.regions import skin_likelihood

SIZE = 96
SKIN, WALL = (0.75, 0.52, 0.42), (0.25, 0.45, 0.65)
OVAL, HARD_RULE, SKIN_COLOUR, PICTURE = 0.1, 0.21, 0.35, 0.9  # values of the first variation
LIFTS_BLACK = {"cool_lift", "colour_matrix", "style_lut", "milky_overlay"}
CLIPS = {"levels", "hsb", "beautify_tone", "cool_lift", "colour_matrix"}
TINTS = {"cool_lift", "colour_matrix", "style_lut"}
every_algorithm = pytest.mark.parametrize("name", whitening.ALGORITHMS)


def regions(images):
    points = canonical_mesh().expand(len(images), -1, -1)
    return FaceRegions(points, *images.shape[-2:], images)


def portraits(count=1):
    """A face of one skin colour, darker to the left, before a blue wall: B 3 H W in [-1, 1]."""
    wall = torch.tensor(WALL).view(1, 3, 1, 1).expand(count, -1, SIZE, SIZE)
    oval = regions(wall * 2 - 1).oval
    light = torch.linspace(0.8, 1.1, SIZE) + 0.02 * torch.randn(count, 1, SIZE, SIZE)
    face = torch.tensor(SKIN).view(1, 3, 1, 1) * light
    return (oval * face + (1 - oval) * wall).clamp(0, 1) * 2 - 1


def whiten(name, images, degrees, region=OVAL, rest=(0.5, 0.5, 0.5)):
    variations = torch.tensor([[region, *rest]]).expand(len(images), -1)
    degrees = torch.as_tensor(degrees).expand(len(images))
    return whitening.ALGORITHMS[name](images, degrees, variations, regions(images))


def over_skin(images, values):
    skin = regions(images).skin
    return (values * skin).sum((1, 2, 3)) / skin.sum((1, 2, 3))


@every_algorithm
def test_degree_zero_changes_no_bit_of_its_sample(name):
    images = portraits(3)
    edit = whiten(name, images, [0.0, 0.7, 0.0])
    assert torch.equal(edit.image[::2], images[::2])
    assert edit.mask[::2].abs().max() == 0
    assert not torch.equal(edit.image[1], images[1])


@every_algorithm
@pytest.mark.parametrize("region", [OVAL, HARD_RULE, SKIN_COLOUR, PICTURE])
def test_skin_gets_lighter_with_the_degree(name, region):
    images = portraits().expand(4, -1, -1, -1)
    edit = whiten(name, images, [0.1, 0.4, 0.7, 1.0], region)
    rise = over_skin(images, luma(unit(edit.image)) - luma(unit(images)))
    assert rise[0] > 0.002
    assert (rise[1:] > 1.3 * rise[:-1]).all()
    assert rise[-1] < 0.3
    assert edit.image.abs().max() <= 1


@every_algorithm
@pytest.mark.parametrize("tone", [0.35, 0.6, 1.0, 1.25])
def test_every_skin_gets_lighter_whatever_the_variations(name, tone):
    images = ((portraits().expand(24, -1, -1, -1) * 0.5 + 0.5) * tone).clamp(0, 1) * 2 - 1
    degrees = torch.rand(24).clamp_min(0.01)
    edit = whitening.ALGORITHMS[name](images, degrees, torch.rand(24, 4), regions(images))
    rise = over_skin(images, luma(unit(edit.image)) - luma(unit(images)))
    assert rise.min() > 0


@every_algorithm
def test_pixels_outside_the_mask_keep_every_bit(name):
    images = portraits()
    edit = whiten(name, images, 1.0)
    outside = (edit.mask == 0).expand_as(images)
    assert outside.float().mean() > 0.25
    assert torch.equal(edit.image[outside], images[outside])


@every_algorithm
def test_the_whole_picture(name):
    images = portraits()
    edit = whiten(name, images, 1.0, PICTURE)
    assert edit.mask.min() == 1
    corner = luma(unit(edit.image) - unit(images))[..., :8, :8]
    assert corner.min() > 0.005


@every_algorithm
def test_a_sample_does_not_depend_on_its_batch(name):
    images = portraits(3)
    degrees, variations = torch.tensor([0.3, 0.6, 1.0]), torch.rand(3, 4)
    algorithm = whitening.ALGORITHMS[name]
    together = algorithm(images, degrees, variations, regions(images))
    alone = algorithm(images[1:2], degrees[1:2], variations[1:2], regions(images[1:2]))
    assert torch.allclose(together.image[1:2], alone.image, atol=1e-5)
    assert torch.allclose(together.mask[1:2], alone.mask, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(whitening.ALGORITHMS) - LIFTS_BLACK))
def test_black_and_white_stay(name):
    images = torch.ones(2, 3, SIZE, SIZE)
    images[0] = -1
    image = whiten(name, images, 0.8, PICTURE).image
    assert torch.allclose(image, images, atol=0.02)


@pytest.mark.parametrize("name", sorted(set(whitening.ALGORITHMS) - TINTS))
def test_greys_get_no_strong_tint(name):
    images = torch.linspace(-1, 1, SIZE).expand(1, 3, SIZE, SIZE).contiguous()
    image = unit(whiten(name, images, 0.8, PICTURE, (1.0, 1.0, 1.0)).image)
    assert (image.amax(1) - image.amin(1)).max() < 0.05


@every_algorithm
def test_tones_keep_their_order(name):
    """No posterisation: a smooth ramp stays strictly rising, up to where it is clipped."""
    images = torch.linspace(-0.9, 0.5 if name in CLIPS else 0.9, SIZE)
    images = images.expand(1, 3, SIZE, SIZE).contiguous()
    image = whiten(name, images, 1.0, PICTURE).image
    assert (luma(image).diff(dim=-1) > 0).all()


@pytest.mark.parametrize("name", ["log_curve", "gamma_curve", "screen", "spline_curve", "levels"])
def test_tone_curves_act_on_each_channel_alone(name):
    images = portraits()
    other = images.clone()
    other[:, 2] = -other[:, 2]
    settings = (1.0, PICTURE, (0.5, 0.0, 0.5))
    one, two = (whiten(name, photo, *settings).image for photo in (images, other))
    assert torch.allclose(one[:, :2], two[:, :2], atol=1e-6)


def test_saturation_leaves_luma_alone():
    images = portraits() * 0.6
    rises = [
        luma(unit(whiten("hsb", images, 0.8, PICTURE, (0.5, tint, 0.5)).image)) for tint in (0, 1.0)
    ]
    assert torch.allclose(*rises, atol=1e-5)


def test_a_lut_takes_yellow_from_skin():
    images = portraits()
    image = whiten("style_lut", images, 0.85, PICTURE, (0.5, 0.5, 1.0)).image
    change = rgb_to_lab(unit(image)) - rgb_to_lab(unit(images))
    lightness, _, yellow = (over_skin(images, one).item() for one in change.split(1, 1))
    assert 4 < lightness < 12
    assert -18 < yellow < -6


def test_a_hard_rule_that_misses_the_face_gives_way():
    blue = portraits().flip(1)
    mask = whiten("log_curve", blue, 1.0, HARD_RULE).mask
    assert over_skin(blue, mask) > 0.5
    assert mask.unique().numel() > 100


def test_hard_rules_by_hand():
    colours = torch.tensor([SKIN, WALL, (0.2, 0.15, 0.12), (0.9, 0.9, 0.9)]).T.reshape(1, 3, 1, 4)
    face = regions(portraits())
    for rule in (skin_rules.kovac, skin_rules.crcb_box, skin_rules.hsv_rule):
        assert rule(colours, face).flatten()[[0, 1, 3]].tolist() == [1, 0, 0]
    assert skin_rules.kovac(colours, face).flatten()[2] == 0  # red must exceed 95 of 255


def test_skin_likelihood_follows_colour_near_the_face():
    images = portraits()
    face = regions(images)
    rgb = unit(images)
    rgb[..., 88:, 44:52] = torch.tensor(SKIN).view(3, 1, 1)
    likelihood = skin_likelihood(rgb, face)[0, 0]
    neck, beside = likelihood[90:, 44:52].mean(), likelihood[90:, 28:36].mean()
    assert neck > 0.35
    assert neck > 10 * beside
    assert over_skin(images, likelihood) > 0.7
    assert likelihood[:12, :12].max() < 0.05


def test_log_curve_by_hand():
    grey = torch.zeros(1, 3, SIZE, SIZE)
    image = whiten("log_curve", grey, BULK, PICTURE).image
    expected = math.log(1 + 1.0 / 2) / math.log(1 + 1.0)
    assert unit(image).mean().item() == pytest.approx(expected, abs=1e-5)


def test_families_held_out():
    assert set(whitening.HELD_OUT) == {"luma_gamma", "soft_light", "milky_overlay"}
    assert set(whitening.HELD_OUT) < set(whitening.ALGORITHMS)


def test_strength_by_hand():
    degrees = torch.tensor([0.0, BULK / 2, BULK, 1.0])
    found = strength(degrees, 0.01, 1.0, 4.0).flatten()
    assert found.tolist() == pytest.approx([0.01, 0.1, 1.0, 4.0])


def test_further_numbers_are_even_and_independent():
    variations = torch.rand(4000, 4)
    drawn = torch.stack([number(variations, index) for index in range(20)])
    assert torch.allclose(drawn.mean(1), torch.tensor(0.5), atol=0.03)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert (torch.corrcoef(drawn) - torch.eye(20)).abs().max() < 0.08
