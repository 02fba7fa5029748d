"""Filters against references, worked numbers and laws."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from frr.pipelines.simulate import filters, neighbours


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


@pytest.mark.parametrize("sigma", [0.5, 1.3, 2.9, 3.1, 7.0, 20.0])
def test_blur_is_nearly_a_gaussian(sigma):
    """Wide ones run on reduced grids, where a step edge is the hardest case."""
    images = torch.zeros(1, 1, 128, 160)
    images[..., 80:] = 1.0
    found = filters.blur(images, torch.tensor([sigma]))[0, 0, 64]
    expected = ndimage.gaussian_filter1d(images[0, 0, 64].numpy(), sigma, mode="nearest")
    np.testing.assert_allclose(found[40:120], expected[40:120], atol=0.02)


def test_blur_of_mixed_widths_is_that_of_each_alone():
    images, sigmas = torch.rand(3, 2, 50, 61), torch.tensor([0.7, 9.0, 2.0])
    together = filters.blur(images, sigmas)
    for index in range(3):
        alone = filters.blur(images[index : index + 1], sigmas[index : index + 1])
        assert torch.allclose(together[index : index + 1], alone, atol=1e-5)


@pytest.mark.parametrize("size", [(40, 64), (97, 130)])
def test_enlarging_is_bilinear(size):
    images = torch.rand(2, 3, 13, 17)
    expected = torch.nn.functional.interpolate(images, size, mode="bilinear", align_corners=False)
    assert torch.allclose(filters.enlarge(images, size), expected, atol=1e-5)


@pytest.mark.parametrize("step", [1, 3])
def test_median_of_nine(step):
    images = (torch.rand(1, 3, 20, 22) * 255).to(torch.uint8)
    found = neighbours.median_of_nine(images, step)
    footprint = np.zeros((2 * step + 1,) * 2, bool)
    footprint[::step, ::step] = True
    for channel in range(3):
        plane = images[0, channel].numpy()
        expected = ndimage.median_filter(plane, footprint=footprint, mode="nearest")
        np.testing.assert_array_equal(found[0, channel], expected)


def test_weighted_mean_by_hand():
    row = torch.tensor([0.0, 0.1, 0.9]).view(1, 1, 1, 3)
    taps = [((0, 1), 0.5)]
    found = neighbours.weighted_mean(row, taps, lambda d: (1 - 5 * d.abs()).clamp_min(0))
    assert found.flatten().tolist() == pytest.approx([0.025 / 1.25, 0.1 - 0.025 / 1.25, 0.9])


def test_weighted_mean_along_both_axes_in_strips():
    images = torch.rand(1, 3, 150, 140)
    steps = [(1, 1.0), (4, 0.3)]

    def weigh(difference):
        return (1 - difference.abs()).clamp_min(0)

    found = neighbours.weighted_mean_along(images, steps, weigh)
    for down, right in ((0, 1), (1, 0)):
        taps = [((down * step, right * step), share) for step, share in steps]
        images = neighbours.weighted_mean(images, taps, weigh)
    assert torch.allclose(found, images, atol=1e-6)


def test_sparse_mean_by_hand():
    image = torch.zeros(1, 1, 5, 5)
    image[..., 2, 2] = 1.0
    found = neighbours.sparse_mean(image, [((0, 1), 0.5), ((2, -1), 0.25)])
    assert found.sum().item() == pytest.approx(1.0)
    assert found[0, 0, 2].tolist() == pytest.approx([0, 0.2, 0.4, 0.2, 0])
    assert found[0, 0, 0, 3].item() == pytest.approx(0.1)
