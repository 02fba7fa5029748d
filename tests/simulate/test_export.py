"""Export: identity without a request, Pillow's JPEG, resizing."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from frr.pipelines.simulate.export import apply_export
from frr.pipelines.simulate.recipe import Export

SIZE = 48


@pytest.fixture
def images():
    coarse = torch.rand(2, 3, 9, 9) * 1.8 - 0.9
    return F.interpolate(coarse, (SIZE, SIZE), mode="bilinear")


def error(one, two):
    return (one - two).abs().mean().item()


def test_nothing_asked_changes_no_bit(images):
    exported = apply_export(images, [Export(), Export()])
    assert torch.equal(exported, images)
    assert exported.data_ptr() != images.data_ptr()


def test_each_photo_has_its_own_export(images):
    exported = apply_export(images, [Export(), Export(jpeg_quality=50, scale=0.5)])
    assert torch.equal(exported[0], images[0])
    assert error(exported[1], images[1]) > 1e-3


def test_jpeg_is_pillows(images):
    pixels = ((images[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    file = BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=40)
    expected = np.asarray(Image.open(file))
    exported = apply_export(images[:1], [Export(jpeg_quality=40)])
    found = ((exported[0] + 1) * 127.5).round().permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(found, expected)


def test_lower_quality_loses_more(images):
    errors = [
        error(apply_export(images[:1], [Export(jpeg_quality=quality)]), images[:1])
        for quality in (95, 60, 20)
    ]
    assert errors == sorted(errors)
    assert 0 < 1.2 * errors[0] < errors[2]


def test_smaller_sizes_lose_more(images):
    errors = [
        error(apply_export(images[:1], [Export(scale=scale)]), images[:1])
        for scale in (1.0, 0.75, 0.3)
    ]
    assert errors[0] == 0
    assert errors == sorted(errors)


def test_resizing_averages_over_the_area():
    stripes = torch.ones(1, 3, SIZE, SIZE)
    stripes[..., ::2] = -1
    exported = apply_export(stripes, [Export(scale=0.5)])
    assert exported[..., 4:-4].abs().max() < 0.05


def test_a_wrong_number_of_exports_is_refused(images):
    with pytest.raises(ValueError, match="one export per photo, got 1 for 2"):
        apply_export(images, [Export()])
