"""Whitening: laws that hold for every algorithm, its regions, and worked numbers."""

import math

import pytest
import torch

from frr.pipelines.simulate import whitening
from frr.pipelines.simulate.colour import luma, unit
from frr.pipelines.simulate.landmarks import FaceRegions, canonical_mesh
from frr.pipelines.simulate.regions import skin_likelihood

SIZE = 96
SKIN, WALL = (0.75, 0.52, 0.42), (0.25, 0.45, 0.65)
OVAL, SKIN_COLOUR, PICTURE = 0.1, 0.5, 0.9  # values of the first variation
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
@pytest.mark.parametrize("region", [OVAL, SKIN_COLOUR, PICTURE])
def test_skin_gets_lighter_with_the_degree(name, region):
    images = portraits().expand(4, -1, -1, -1)
    edit = whiten(name, images, [0.1, 0.4, 0.7, 1.0], region)
    rise = over_skin(images, luma(unit(edit.image)) - luma(unit(images)))
    assert rise[0] > 0.004
    assert (rise.diff() > 0.008).all()
    assert rise[-1] < 0.25
    assert edit.image.abs().max() <= 1


@every_algorithm
def test_pixels_outside_the_mask_keep_every_bit(name):
    images = portraits()
    edit = whiten(name, images, 1.0)
    outside = (edit.mask == 0).expand_as(images)
    assert outside.float().mean() > 0.3
    assert torch.equal(edit.image[outside], images[outside])


@every_algorithm
def test_the_whole_picture(name):
    images = portraits()
    edit = whiten(name, images, 1.0, PICTURE)
    assert edit.mask.min() == 1
    corner = luma(unit(edit.image) - unit(images))[..., :8, :8]
    assert corner.min() > 0.01


@every_algorithm
def test_a_sample_does_not_depend_on_its_batch(name):
    images = portraits(3)
    degrees, variations = torch.tensor([0.3, 0.6, 1.0]), torch.rand(3, 4)
    algorithm = whitening.ALGORITHMS[name]
    together = algorithm(images, degrees, variations, regions(images))
    alone = algorithm(images[1:2], degrees[1:2], variations[1:2], regions(images[1:2]))
    assert torch.allclose(together.image[1:2], alone.image, atol=1e-5)
    assert torch.allclose(together.mask[1:2], alone.mask, atol=1e-5)


@every_algorithm
def test_black_and_white_stay(name):
    images = torch.ones(2, 3, SIZE, SIZE)
    images[0] = -1
    image = whiten(name, images, 1.0, PICTURE).image
    assert torch.allclose(image, images, atol=0.02)


@every_algorithm
def test_greys_get_no_strong_tint(name):
    images = torch.linspace(-1, 1, SIZE).expand(1, 3, SIZE, SIZE).contiguous()
    image = unit(whiten(name, images, 1.0, PICTURE, (1.0, 1.0, 1.0)).image)
    assert (image.amax(1) - image.amin(1)).max() < 0.05


@every_algorithm
def test_tones_keep_their_order(name):
    """No posterisation: a smooth ramp stays strictly rising."""
    images = torch.linspace(-0.9, 0.9, SIZE).expand(1, 3, SIZE, SIZE).contiguous()
    image = whiten(name, images, 1.0, PICTURE).image
    assert (luma(image).diff(dim=-1) > 0).all()


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
    image = whiten("log_curve", grey, 0.5, PICTURE).image
    beta = 0.6 * 0.5 * (1.4 + 0.6 * 0.5)
    expected = math.log(1 + beta / 2) / math.log(1 + beta)
    assert unit(image).mean().item() == pytest.approx(expected, abs=1e-5)


def test_four_algorithms_and_one_more_held_out():
    assert len(whitening.ALGORITHMS) >= 4
    assert set(whitening.HELD_OUT) < set(whitening.ALGORITHMS)
