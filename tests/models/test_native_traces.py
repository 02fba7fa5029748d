"""Traces at a photo's own size: one grid for all sizes, worked energies, blur and JPEG."""

import math

import pytest
import torch
from torch.nn import functional as F

from frr.models.native_traces import (
    CHANNELS,
    FINE_GRID,
    GRID,
    SPECTRUM,
    _split,
    block_spectrum,
    fine_details,
    native_traces,
    opponents,
    to_grid,
    traces_and_details,
)
from frr.models.wavelets import haar_analysis
from frr.pipelines.simulate.journey import Journey, Save, travel

FLOOR = math.log(1e-6) / 2 + 4.5
FINEST = slice(0, 9)  # nine details of the finest level, each orientation's grey first
FLAT, WHITE, BLACK = slice(54, 57), 57, 58


def noise(height=256, width=256, contrast=0.2):
    generator = torch.Generator().manual_seed(0)
    return contrast * torch.randn(1, 3, height, width, generator=generator).clamp(-3, 3)


def saved(photo, **settings):
    return travel(photo, [Journey((Save(**settings),))])


@pytest.mark.parametrize("size", [(64, 64), (200, 200), (301, 301), (512, 512), (75, 190)])
def test_photos_of_every_size_have_traces_of_one_shape(size):
    traces = native_traces(noise(*size).repeat(2, 1, 1, 1))
    assert traces.shape == (2, CHANNELS, GRID, GRID)
    assert traces.isfinite().all()
    assert torch.allclose(traces[0], traces[1])


@pytest.mark.parametrize("size", [200, 256, 301])
def test_a_plain_photo_hits_the_floor(size):
    traces = native_traces(torch.full((1, 3, size, size), 0.25))
    assert torch.allclose(traces[:, :54], torch.full_like(traces[:, :54], FLOOR), atol=1e-4)
    assert (traces[:, FLAT] == 1).all()
    assert not traces[:, [WHITE, BLACK]].any()


def test_white_and_black_are_counted():
    photo = torch.zeros(1, 3, 64, 64)
    photo[..., :32] = 1
    photo[..., :32, 32:] = -1
    traces = native_traces(photo)[0]
    assert traces[WHITE].mean() == 0.5 and (traces[WHITE, :, :16] == 1).all()
    assert traces[BLACK].mean() == 0.25 and (traces[BLACK, :16, 16:] == 1).all()


def test_stripes_by_hand():
    stripes = torch.full((1, 3, 256, 256), 0.1)
    stripes[..., ::2, :] = -0.1  # a row detail of each square: (-.2 - .2) / 2
    traces = native_traces(stripes)[0]
    assert torch.allclose(traces[0], torch.tensor(math.log(0.04 + 1e-6) / 2 + 4.5), atol=1e-4)
    assert torch.allclose(traces[1:27], torch.tensor(FLOOR), atol=1e-3)
    assert not traces[54].any() and (traces[55:57] == 1).all()


def test_colours_have_energies_of_their_own():
    photo = torch.zeros(1, 3, 256, 256)
    photo[:, 0, :, ::2], photo[:, 1, :, ::2], photo[:, 2, :, ::2] = 0.1, -0.05, -0.05
    grey, red, blue = opponents(photo)[0]
    assert not grey.any() and not blue.any()
    assert red.max() == pytest.approx(0.15)
    traces = native_traces(photo)[0]
    columns = 3  # the second orientation
    energy = math.log(0.15**2 + 1e-6) / 2 + 4.5
    assert torch.allclose(traces[columns + 1], torch.tensor(energy), atol=1e-4)
    others = [place for place in range(9) if place != columns + 1]
    assert torch.allclose(traces[others], torch.tensor(FLOOR), atol=1e-3)


def test_at_256_pixels_both_measures_are_one():
    traces = native_traces(noise())
    assert torch.equal(traces[:, :27], traces[:, 27:54])
    larger = native_traces(noise(512, 512))
    assert (larger[:, 27:36] < larger[:, FINEST] - 0.2).all(1).all(1).float().mean() > 0.9


def test_blurring_lowers_the_finest_energies():
    photo = noise(301, 301)
    sharp, soft = native_traces(photo), native_traces(F.avg_pool2d(photo, 3, 1, 1))
    assert (soft[:, FINEST] < sharp[:, FINEST] - 0.3).all()


def test_a_change_of_one_place_is_seen_there():
    photo = noise()
    changed = photo.clone()
    changed[..., 64:128, :64] *= 0.5
    difference = (native_traces(photo) - native_traces(changed))[0, FINEST].mean(0)
    assert (difference[8:16, :8] > 0.5).all()
    difference[8:16, :8] = 0
    assert difference.abs().max() < 1e-5


def test_jpeg_makes_details_flat():
    photo = noise(contrast=0.05)
    shares = [
        native_traces(saved(photo, **settings))[:, FLAT].mean()
        for settings in ({}, {"quality": 80}, {"quality": 40})
    ]
    assert shares[0] < 0.5 * shares[1] < 0.5 * shares[2]


@pytest.mark.parametrize("size", [(64, 96), (100, 51), (33, 32)])
def test_cells_hold_means(size):
    planes = torch.rand(2, 3, *size)
    assert torch.allclose(to_grid(planes), F.adaptive_avg_pool2d(planes, GRID), atol=1e-6)


def test_exact_to_what_single_precision_holds():
    for size in ((512, 512), (301, 200)):
        photo = saved(noise(*size, contrast=0.05), quality=70)
        whole, single = native_traces(photo.double()), native_traces(photo)
        assert (whole - single).abs().max() < 2e-4
        assert (whole - single).abs().mean() < 1e-5


def test_bands_by_one_convolution_are_those_of_the_transform():
    photo = noise(51, 40)
    low, details = haar_analysis(opponents(photo)[..., :50, :40])
    for given, colours in ((photo, True), (opponents(photo), False)):
        found = _split(given, colours)
        assert torch.allclose(found[0], low, atol=1e-6)
        assert torch.allclose(found[1], details.transpose(1, 2).flatten(1, 2), atol=1e-6)


@pytest.mark.parametrize("size", [(64, 64), (75, 190), (301, 301), (512, 512)])
def test_photos_of_every_size_have_spectra_of_one_shape(size):
    photo = noise(*size).repeat(2, 1, 1, 1)
    for measure, shape in (
        (block_spectrum, (SPECTRUM, GRID, GRID)),
        (fine_details, (3, FINE_GRID, FINE_GRID)),
    ):
        seen = measure(photo)
        assert seen.shape == (2, *shape) and seen.isfinite().all()
        assert torch.allclose(seen[0], seen[1])


@pytest.mark.parametrize("size", [(256, 256), (75, 190)])
def test_one_transform_serves_both_grids(size):
    photo = noise(*size)
    traces, fine = traces_and_details(photo)
    assert torch.equal(traces, native_traces(photo)) and torch.equal(fine, fine_details(photo))
    height, width = (side // 2 * 2 for side in size)
    _, details = haar_analysis(photo.mean(1, keepdim=True)[..., :height, :width])
    expected = to_grid(details[:, 0].square(), FINE_GRID).add(1e-6).log() / 2 + 4.5
    assert torch.allclose(fine, expected, atol=1e-4)


def test_a_wave_lies_in_the_band_of_its_frequency():
    at = torch.arange(256.0)
    wave = 0.3 * torch.cos((2 * at + 1) * 5 * math.pi / 16)  # the sixth of eight, across
    spectrum = block_spectrum(wave.expand(1, 3, 256, 256))[0, :24].mean((1, 2))
    bands = torch.cat((spectrum.new_full((1,), -9), spectrum)).view(5, 5)
    assert bands.argmax() == 3  # none down, fifth and sixth across
    energy = 0.3**2 / 2 / 2  # of the wave's square, over the two coefficients of the band
    assert bands[0, 3] == pytest.approx(math.log(energy + 1e-7) / 2 + 5, abs=1e-3)
    assert bands.flatten().sort().values[-2] < bands[0, 3] - 4


def test_white_noise_has_a_level_spectrum_and_blur_takes_its_end():
    plain = noise(contrast=0.1)
    spectrum = block_spectrum(plain)[0, :24].mean((1, 2))
    assert spectrum.std() < 0.15
    soft = F.avg_pool2d(plain, 3, 1, 1)
    lost = spectrum - block_spectrum(soft)[0, :24].mean((1, 2))
    assert lost[-1] > lost[0] + 0.5
    small = [block_spectrum(x)[0, 24:].mean((1, 2)) for x in (4 * plain, soft)]
    assert (small[0] < 0.4).all() and (small[1] > 0.95).all()


def test_the_beats_of_a_stretch_are_seen():
    photo = noise(512, 512)
    at = torch.linspace(-0.97, 0.97, 512)
    grid = torch.stack(torch.meshgrid(at, at, indexing="ij")[::-1], dim=-1)[None]
    stretched = F.grid_sample(photo, grid, "bilinear", align_corners=True)
    seen = [F.avg_pool2d(fine_details(x), 3, 1)[0, :, 8:-8, 8:-8] for x in (photo, stretched)]
    beats = [each.std(dim=(1, 2)) for each in seen]
    assert (beats[1] > 1.5 * beats[0]).all()
