"""Colour spaces against scikit-image."""

import numpy as np
import pytest
import torch
from skimage import color as reference

from frr.pipelines.simulate import colour, tone_tables


@pytest.fixture
def rgb():
    """Random colours, the corners of the cube and a dark ramp: 1 3 H W in [0, 1]."""
    corners = torch.tensor([[r, g, b] for r in (0.0, 1) for g in (0.0, 1) for b in (0.0, 1)])
    ramp = torch.linspace(0, 0.06, 48)[:, None].expand(-1, 3)
    return torch.cat((torch.rand(200, 3), corners, ramp)).T.reshape(1, 3, 16, 16)


def as_reference(images):
    return images[0].permute(1, 2, 0).double().numpy()


def assert_close(found, expected, tolerance):
    np.testing.assert_allclose(as_reference(found), expected, rtol=0, atol=tolerance)


def test_lab(rgb):
    assert_close(colour.rgb_to_lab(rgb), reference.rgb2lab(as_reference(rgb)), 0.02)


def test_lab_of_greys_is_neutral():
    greys = torch.linspace(0, 1, 16).view(1, 1, 4, 4).expand(-1, 3, -1, -1)
    lab = colour.rgb_to_lab(greys)
    assert lab[:, 1:].abs().max() < 0.02
    assert lab[0, 0, 0, 0].item() == pytest.approx(0, abs=1e-4)
    assert lab[0, 0, -1, -1].item() == pytest.approx(100, abs=1e-3)


def test_lab_and_back(rgb):
    assert_close(colour.lab_to_rgb(colour.rgb_to_lab(rgb)), as_reference(rgb), 2e-4)


def test_lab_outside_the_gamut_is_clipped():
    vivid = torch.tensor([50.0, 120.0, -120.0]).view(1, 3, 1, 1)
    rgb = colour.lab_to_rgb(vivid)
    assert rgb.isfinite().all()
    assert rgb.min() >= 0
    assert rgb.max() <= 1
    assert_close(rgb, reference.lab2rgb(as_reference(vivid)), 1e-3)


def test_linear_light(rgb):
    linear = colour.srgb_to_linear(rgb)
    xyz = reference.rgb2xyz(as_reference(rgb))
    expected = xyz @ np.linalg.inv(reference.colorconv.xyz_from_rgb).T
    assert_close(linear, expected, 1e-5)
    assert_close(colour.linear_to_srgb(linear), as_reference(rgb), 1e-5)


def test_ycbcr(rgb):
    studio = reference.rgb2ycbcr(as_reference(rgb))
    full = (studio - [16, 128, 128]) / [219, 224, 224]
    assert_close(colour.rgb_to_ycbcr(rgb), full, 1e-4)
    assert_close(colour.ycbcr_to_rgb(colour.rgb_to_ycbcr(rgb)), as_reference(rgb), 1e-5)


def test_luma_is_y(rgb):
    assert torch.allclose(colour.luma(rgb), colour.rgb_to_ycbcr(rgb)[:, :1])


def test_ranges():
    images = torch.tensor([-1.5, -1.0, 0.0, 1.0, 1.5]).view(1, 1, 1, 5)
    assert colour.unit(images).flatten().tolist() == [0, 0, 0.5, 1, 1]
    assert colour.signed(colour.unit(images)).flatten().tolist() == [-1, -1, 0, 1, 1]


def test_curves_are_looked_up_with_linear_interpolation():
    table = torch.rand(2, 3, 11)
    rgb = torch.rand(2, 3, 4, 5)
    rgb[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    found = tone_tables.apply_curve(rgb, table)
    for sample in range(2):
        for channel in range(3):
            expected = np.interp(
                rgb[sample, channel], np.linspace(0, 1, 11), table[sample, channel]
            )
            np.testing.assert_allclose(found[sample, channel], expected, atol=1e-5)


def test_monotone_spline_meets_its_knots_and_never_falls():
    x = torch.tensor([[0.0, 0.2, 0.6, 1.0], [0.0, 0.3, 0.5, 1.0]])
    y = torch.tensor([[0.0, 0.2, 0.6, 1.0], [0.0, 0.5, 0.5, 1.0]])
    table = tone_tables.monotone_spline(x, y)
    inputs = torch.linspace(0, 1, tone_tables.NODES)
    assert torch.allclose(table[0, 0], inputs, atol=1e-5)  # knots on a line give the line
    assert (table.diff(dim=-1) >= -1e-6).all()
    met = np.interp(x[1], inputs, table[1, 0])
    np.testing.assert_allclose(met, y[1], atol=5e-3)


def test_a_lut_reproduces_what_is_linear_in_each_channel():
    gain = torch.tensor([0.5, 0.9]).view(2, 1, 1, 1)
    rgb = torch.rand(2, 3, 6, 7)
    lut = tone_tables.make_lut(lambda colours: colours.flip(1) * gain, 2, rgb)
    assert torch.allclose(tone_tables.apply_lut(rgb, lut), rgb.flip(1) * gain, atol=1e-5)


def test_a_lut_of_lab_is_near_the_exact_map(rgb):
    def lighter(colours):
        lab = colour.rgb_to_lab(colours)
        return colour.lab_to_rgb(torch.cat((lab[:, :1] * 0.9 + 8, lab[:, 1:] * 0.9), dim=1))

    found = tone_tables.apply_lut(rgb, tone_tables.make_lut(lighter, 1, rgb))
    assert (found - lighter(rgb)).abs().mean() < 0.004
