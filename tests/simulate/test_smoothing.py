"""Smoothing: laws that hold for every algorithm, and what sets some apart."""

import pytest
import torch

from frr.pipelines.simulate import smoothing
from frr.pipelines.simulate.colour import luma, rgb_to_ycbcr, unit
from frr.pipelines.simulate.landmarks import FaceRegions, canonical_mesh
from frr.pipelines.simulate.smoothing_region import even

SIZE = 96
ON_FACE = {  # algorithms that never leave the face's mask
    "guided_blur", "self_guided_blur", "pyramid_coring", "frequency_separation",
    "linear_separation", "low_layer", "wavelet_damping", "median", "heal_spots",
    "dodge_and_burn", "anisotropic_diffusion",
}  # fmt: skip
TONED = {"ring_highpass", "green_levels", "curve_highpass"}
"""High-pass engines: their tone shifts a little, and they know no face."""
STRENGTHENS_EDGES = TONED
every_algorithm = pytest.mark.parametrize("name", smoothing.ALGORITHMS)


def regions(images):
    points = canonical_mesh().expand(len(images), -1, -1)
    return FaceRegions(points, *images.shape[-2:], images)


def skins(count=1, noise=0.08):
    """Skin-coloured noise: B 3 H W in [-1, 1]."""
    skin = torch.tensor((0.4, 0.1, -0.1)).view(1, 3, 1, 1).expand(count, -1, SIZE, SIZE)
    return skin + noise * torch.randn(count, 1, SIZE, SIZE)


def smooth(name, images, degrees, variations=(0.95, 0.3, 0.5, 0.0)):
    variations = torch.tensor([variations]).expand(len(images), -1)
    degrees = torch.as_tensor(degrees).expand(len(images))
    return smoothing.ALGORITHMS[name](images, degrees, variations, regions(images))


@every_algorithm
def test_degree_zero_changes_no_bit_of_its_sample(name):
    images = skins(3)
    edit = smooth(name, images, [0.0, 0.7, 0.0])
    assert torch.equal(edit.image[::2], images[::2])
    assert edit.mask[::2].abs().max() == 0
    assert not torch.equal(edit.image[1], images[1])


@pytest.mark.parametrize("name", sorted(set(smoothing.ALGORITHMS) - {"heal_spots"}))
def test_texture_fades_with_the_degree(name):
    images = skins(noise=0.03 if name in STRENGTHENS_EDGES else 0.08).expand(4, -1, -1, -1)
    image = smooth(name, images, [0.1, 0.4, 0.7, 1.0]).image
    inside = regions(images).skin > 0.99
    spread = torch.stack([one[1][mask[0]].std() for one, mask in zip(image, inside, strict=True)])
    start = images[0, 1][inside[0, 0]].std()
    assert spread[0] < 0.998 * start
    assert (spread.diff() < -0.004 * start).all()
    assert spread[-1] > 0.02 * start


@every_algorithm
def test_the_mean_tone_of_skin_hardly_changes(name):
    images = skins(4, noise=0.15).clamp(-1, 1)
    edit = smoothing.ALGORITHMS[name](
        images, torch.full((4,), 0.8), torch.rand(4, 4), regions(images)
    )
    skin = regions(images).skin
    shift = ((luma(unit(edit.image)) - luma(unit(images))) * skin).sum((1, 2, 3)) / skin.sum(
        (1, 2, 3)
    )
    assert shift.abs().max() < (0.03 if name in TONED else 0.01)


@every_algorithm
def test_strong_edges_stay(name):
    """A contour within the skin, such as the side of a nose in hard light."""
    images = skins(noise=0.0).clone()
    images[..., SIZE // 2 :] -= 0.8
    image = smooth(name, images, 0.5).image
    row = SIZE // 2
    step = image[0, 0, row, SIZE // 2 - 6] - image[0, 0, row, SIZE // 2 + 6]
    assert step > 0.5 * 0.8


@pytest.mark.parametrize("name", sorted(set(smoothing.ALGORITHMS) - TONED))
def test_even_skin_stays(name):
    images = skins(noise=0.0)
    assert torch.allclose(smooth(name, images, 1.0).image, images, atol=5e-3)


@pytest.mark.parametrize("name", sorted(set(smoothing.ALGORITHMS) - TONED))
def test_eyes_and_background_keep_every_bit_when_spared(name):
    images = skins()
    face = regions(images)
    edit = smooth(name, images, 1.0)
    spared = (face.skin == 0).expand_as(images)
    assert torch.equal(edit.image[spared], images[spared])
    assert spared[0, 0, :4, :4].all()
    eye = (canonical_mesh()[468] * SIZE).long()
    assert spared[0, 0, eye[1], eye[0]]


@pytest.mark.parametrize("name", sorted(set(smoothing.ALGORITHMS) - TONED))
def test_the_last_variation_lets_eyes_have_a_share(name):
    images = skins()
    eye = (canonical_mesh()[468] * SIZE).long()
    shares = [
        smooth(name, images, 1.0, (0.95, 0.3, 0.5, leak)).mask[0, 0, eye[1], eye[0]].item()
        for leak in (0.0, 0.5, 1.0)
    ]
    assert shares == pytest.approx([0.0, 0.2, 0.4], abs=0.02)


@pytest.mark.parametrize("name", sorted(ON_FACE))
def test_the_first_variation_adds_the_neck(name):
    images = skins()
    masks = [smooth(name, images, 1.0, (region, 0.3, 0.5, 0.0)).mask for region in (0.1, 0.9)]
    neck = (..., slice(90, 96), slice(40, 56))
    assert masks[0][neck].mean() > 0.3
    assert masks[1][neck].mean() < 0.05


@pytest.mark.parametrize("name", sorted(TONED))
def test_high_pass_engines_have_no_face_mask(name):
    images = skins()
    assert smooth(name, images, 1.0, (0.1, 0.3, 0.5, 0.0)).mask.min() == 1
    assert smooth(name, images, 1.0, (0.6, 0.3, 0.5, 0.0)).mask[..., 90:, :].max() > 0.99


@every_algorithm
def test_a_sample_does_not_depend_on_its_batch(name):
    images = skins(3)
    degrees, variations = torch.tensor([0.3, 0.6, 1.0]), torch.rand(3, 4)
    algorithm = smoothing.ALGORITHMS[name]
    together = algorithm(images, degrees, variations, regions(images))
    alone = algorithm(images[1:2], degrees[1:2], variations[1:2], regions(images[1:2]))
    assert torch.allclose(together.image[1:2], alone.image, atol=1e-5)


@every_algorithm
@pytest.mark.parametrize("size", [(33, 50), (300, 270)])
def test_any_size(name, size):
    images = torch.rand(1, 3, *size) * 2 - 1
    image = smooth(name, images, 1.0).image
    assert image.shape == images.shape
    assert image.isfinite().all()
    assert image.abs().max() <= 1


@pytest.mark.parametrize("name", ["local_statistics", "dodge_and_burn"])
def test_light_changes_but_no_colour(name):
    images = skins().clamp(-0.9, 0.9)
    images[:, 2] += 0.1 * torch.rand_like(images[:, 2])
    change = rgb_to_ycbcr(unit(smooth(name, images, 1.0).image)) - rgb_to_ycbcr(unit(images))
    assert change[:, 0].abs().max() > 0.01
    assert change[:, 1:].abs().max() < 1e-5


def test_pores_stay_where_only_the_low_layer_is_smoothed():
    """A fine chequered pattern survives; a blotch of 3 % of the face's width does not."""
    rows = torch.arange(256)
    pores = 0.02 * ((rows[:, None] + rows) % 2 * 2 - 1)
    images = skins(noise=0.0)[..., :1, :1].expand(1, 3, 256, 256) + pores
    blotch = 0.1 * (-0.5 * ((rows[:, None] - 150) ** 2 + (rows - 100) ** 2) / 3.0**2).exp()
    image = smooth("low_layer", images + blotch, 1.0).image
    assert (image - images)[0, 0, 150, 100] < 0.6 * 0.1
    fine = image[0, 0, 140:160, 90:110]
    assert (fine[:, 1:] - fine[:, :-1]).abs().mean() == pytest.approx(0.04, rel=0.1)


def test_spots_are_healed_and_the_rest_stays():
    rows = torch.arange(256)
    images = skins(noise=0.0)[..., :1, :1].expand(1, 3, 256, 256).clone()
    spot = (-0.5 * ((rows[:, None] - 160) ** 2 + (rows - 90) ** 2) / 1.5**2).exp()
    edit = smooth("heal_spots", images - 0.3 * spot, 0.5)
    healed = (edit.image - images)[0, 0]
    assert healed[160, 90].abs() < 0.08
    assert healed[:140].abs().max() < 1e-3


def test_half_of_the_samples_keep_their_light():
    """A ramp of light over the whole face is evened in about half of the draws, never fully."""
    images = skins(noise=0.0) + torch.linspace(-0.2, 0.2, SIZE)
    images = images.expand(64, -1, -1, -1)
    variations = torch.rand(64, 4)
    variations[:, 0] = 0.95
    face = regions(images)
    image = smoothing.ALGORITHMS["guided_blur"](images, torch.full((64,), 0.5), variations, face)[0]
    line = image[:, 0, 60, 36:60]
    slope = (line[:, -1] - line[:, 0]) / (images[:, 0, 60, 59] - images[:, 0, 60, 36])
    evened = (slope < 0.96).float().mean()
    assert 0.3 < evened < 0.65
    assert slope.min() > 0.6


def test_evening_brings_both_sides_nearer_to_their_mean():
    images = (skins(noise=0.0) + torch.linspace(-0.2, 0.2, SIZE)) * 0.5 + 0.5
    face = regions(images * 2 - 1)
    image = even(images, face, torch.tensor([0.5]))
    before, after = (one[0, 0, 60, 58] - one[0, 0, 60, 38] for one in (images, image))
    assert 0.4 * before < after < 0.75 * before
    assert torch.equal(even(images, face, torch.tensor([0.0])), images)


def test_families_held_out():
    assert set(smoothing.HELD_OUT) == TONED | {"anisotropic_diffusion"}
    assert set(smoothing.HELD_OUT) < set(smoothing.ALGORITHMS)
