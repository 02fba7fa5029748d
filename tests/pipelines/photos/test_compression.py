"""JPEG quality from pixels: known ones are found, whatever the crop; else silence."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from frr.pipelines.photos.compression import estimate_quality, quality_of_tables


def picture(side=300):
    """Soft shapes with grain, as photos have them."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(40, 216, (9, 9, 3), dtype=np.uint8))
    smooth = np.array(coarse.resize((side, side), Image.Resampling.BICUBIC)).astype(float)
    grain = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
    grain = np.array(grain.filter(ImageFilter.GaussianBlur(0.7))).astype(float) - 127.5
    return Image.fromarray((smooth + 0.25 * grain).clip(0, 255).astype(np.uint8))


def saved(image, quality, **options):
    file = BytesIO()
    image.save(file, "JPEG", quality=quality, **options)
    return Image.open(file)


def planes(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 127.5 - 1


def estimate(image):
    return estimate_quality(planes(image)).item()


@pytest.mark.parametrize("quality", [30, 40, 50, 60, 75, 85, 90, 93])
def test_known_qualities_are_found_wherever_the_crop_lies(quality):
    for subsampling in (0, 2):
        photo = planes(saved(picture(), quality, subsampling=subsampling))
        for top, left in ((0, 0), (3, 5)):
            found = estimate_quality(photo[..., top:, left:]).item()
            assert found == pytest.approx(quality, abs=2)


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_resized_or_turned_photos_tell_nothing(quality):
    photo = saved(picture(), quality)
    for scale in (0.8, 1.25):
        side = round(photo.width * scale)
        assert np.isnan(estimate(photo.resize((side, side), Image.Resampling.BICUBIC)))
    assert np.isnan(estimate(photo.rotate(3, Image.Resampling.BICUBIC)))


def test_the_last_save_counts_after_a_resize():
    twice = saved(saved(picture(), 50).resize((240, 240), Image.Resampling.BICUBIC), 85)
    assert estimate(twice) == pytest.approx(85, abs=2)


@pytest.mark.parametrize("image", [picture(), Image.new("RGB", (300, 300), "gray"), picture(20)])
def test_never_compressed_plain_or_tiny_photos_tell_nothing(image):
    assert np.isnan(estimate(image))


def test_photos_of_a_batch_are_judged_apart():
    photos = torch.cat([planes(saved(picture(), quality)) for quality in (40, 80)])
    assert estimate_quality(photos).tolist() == pytest.approx([40, 80], abs=2)
    assert estimate_quality(photos[:0]).shape == (0,)


@pytest.mark.parametrize("quality", [20, 50, 77, 95, 100])
def test_tables_of_files_name_their_quality(quality):
    assert quality_of_tables(saved(picture(64), quality).quantization) == quality


def test_no_table_no_quality():
    assert quality_of_tables({}) is None
