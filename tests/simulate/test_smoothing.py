"""Smoothing: laws that hold for every algorithm, and the filters against references."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from frr.pipelines.simulate import filters, smoothing
from frr.pipelines.simulate.landmarks import FaceRegions, canonical_mesh

SIZE = 96
every_algorithm = pytest.mark.parametrize("name", smoothing.ALGORITHMS)


def regions(images):
    points = canonical_mesh().expand(len(images), -1, -1)
    return FaceRegions(points, *images.shape[-2:], images)


def skins(count=1, noise=0.08):
    """Skin-coloured noise: B 3 H W in [-1, 1]."""
    skin = torch.tensor((0.4, 0.1, -0.1)).view(1, 3, 1, 1).expand(count, -1, SIZE, SIZE)
    return skin + noise * torch.randn(count, 1, SIZE, SIZE)


def smooth(name, images, degrees, variations=(0.9, 0.5, 0.5, 0.0)):
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


@every_algorithm
def test_texture_fades_with_the_degree(name):
    images = skins().expand(4, -1, -1, -1)
    image = smooth(name, images, [0.1, 0.4, 0.7, 1.0]).image
    inside = regions(images).skin > 0.99
    spread = torch.stack([one[0][mask[0]].std() for one, mask in zip(image, inside, strict=True)])
    start = images[0, 0][inside[0, 0]].std()
    assert spread[0] < 0.97 * start
    assert (spread.diff() < -0.01 * start).all()
    assert spread[-1] > 0.02 * start


@every_algorithm
def test_strong_edges_stay(name):
    """A contour within the skin, such as the side of a nose in hard light."""
    images = skins(noise=0.0).clone()
    images[..., SIZE // 2 :] -= 0.8
    image = smooth(name, images, 0.5).image
    row = SIZE // 2
    step = image[0, 0, row, SIZE // 2 - 6] - image[0, 0, row, SIZE // 2 + 6]
    assert step > 0.5 * 0.8


@every_algorithm
def test_even_skin_stays(name):
    images = skins(noise=0.0)
    assert torch.allclose(smooth(name, images, 1.0).image, images, atol=2e-3)


@every_algorithm
def test_eyes_and_background_keep_every_bit_when_spared(name):
    images = skins()
    face = regions(images)
    edit = smooth(name, images, 1.0)
    spared = (face.skin == 0).expand_as(images)
    assert torch.equal(edit.image[spared], images[spared])
    assert spared[0, 0, :4, :4].all()
    eye = (canonical_mesh()[468] * SIZE).long()
    assert spared[0, 0, eye[1], eye[0]]


@every_algorithm
def test_the_last_variation_lets_eyes_have_a_share(name):
    images = skins()
    eye = (canonical_mesh()[468] * SIZE).long()
    shares = [
        smooth(name, images, 1.0, (0.9, 0.5, 0.5, leak)).mask[0, 0, eye[1], eye[0]].item()
        for leak in (0.0, 0.5, 1.0)
    ]
    assert shares == pytest.approx([0.0, 0.2, 0.4], abs=0.02)


@every_algorithm
def test_the_first_variation_adds_the_neck(name):
    images = skins()
    masks = [smooth(name, images, 1.0, (region, 0.5, 0.5, 0.0)).mask for region in (0.1, 0.9)]
    neck = (..., slice(90, 96), slice(40, 56))
    assert masks[0][neck].mean() > 0.3
    assert masks[1][neck].mean() < 0.05


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


def test_gaussian_with_a_width_for_each_sample():
    images, sigmas = torch.rand(2, 1, 40, 56), torch.tensor([1.0, 2.5])
    found = filters.gaussian(images, sigmas)[..., 12:-12, 12:-12]
    for index, sigma in enumerate(sigmas.tolist()):
        expected = ndimage.gaussian_filter(images[index, 0].numpy(), sigma, truncate=6)
        np.testing.assert_allclose(found[index, 0], expected[12:-12, 12:-12], atol=1e-3)


def test_box_with_a_width_for_each_sample():
    images = torch.rand(2, 1, 24, 30)
    found = filters.box(images, torch.tensor([1.0, 1.5]))[..., 4:-4, 4:-4]
    for index, kernel in enumerate(([1, 1, 1], [0.5, 1, 1, 1, 0.5])):
        weights = np.outer(kernel, kernel) / np.sum(kernel) ** 2
        expected = ndimage.convolve(images[index, 0].numpy(), weights)
        np.testing.assert_allclose(found[index, 0], expected[4:-4, 4:-4], atol=1e-6)


def test_linear_filters_keep_constants_up_to_the_border():
    images = torch.full((1, 2, 17, 23), 0.3)
    width = torch.tensor([3.0])
    for image in (filters.gaussian(images, width), filters.box(images, width)):
        assert torch.allclose(image, images, atol=1e-6)


def test_guided_filter_against_its_definition():
    guide, images = torch.rand(1, 1, 20, 20), torch.rand(1, 3, 20, 20)
    radius, epsilon = torch.tensor([2.0]), torch.tensor([0.01])

    def mean(values):
        return filters.box(values, radius)

    covariance = mean(images * guide) - mean(images) * mean(guide)
    slope = covariance / (mean(guide * guide) - mean(guide) ** 2 + 0.01)
    expected = mean(slope) * guide + mean(mean(images) - slope * mean(guide))
    found = filters.guided(images, guide, radius, epsilon, 1)
    assert torch.allclose(found, expected, atol=1e-5)


def test_one_bilateral_pass_by_hand():
    image = torch.zeros(1, 1, 3, 3)
    image[..., 1, 1] = 1.0
    found = filters.bilateral(image, image, torch.tensor([0.5]), 1)
    near = np.exp(-0.5 / 0.25)
    assert found[0, 0, 1, 1].item() == pytest.approx(1 / (1 + 4 * near + 4 * 0.7 * near), abs=1e-6)
    corner = 0.7 * near / (1 + 2 + 0.7 * near)
    assert found[0, 0, 0, 0].item() == pytest.approx(corner, abs=1e-6)


def test_diffusion_keeps_the_mean_and_lowers_the_variance():
    images = (torch.rand(1, 3, 24, 24) * 0.1).expand(2, -1, -1, -1)
    found = filters.diffuse(images, images[:, :1], torch.tensor([0.005, 0.3]), 5)
    assert torch.allclose(found.mean((2, 3)), images.mean((2, 3)), atol=1e-6)
    cautious, bold = (found.var((2, 3)) / images.var((2, 3))).mean(1).tolist()
    assert bold < 0.7 * cautious < 0.5


def test_soft_core_by_hand():
    detail = torch.tensor([-0.1, 0.0, 0.1, 10.0]).view(1, 1, 1, 4)
    found = filters.soft_core(detail, torch.tensor([0.1])).flatten()
    assert found.tolist() == pytest.approx([-0.05, 0.0, 0.05, 10.0], abs=2e-3)
