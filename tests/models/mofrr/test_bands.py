"""Large photos a part at a time: the same as whole, but for rounding."""

import pytest
import torch
import torch.nn.functional as F

from frr.models.mofrr import bands as module
from frr.models.mofrr.bands import bands, in_tiles
from frr.models.mofrr.native_view import look
from frr.models.mofrr.texture_expert import REACH, TextureExpert, without_light
from frr.models.mofrr.tone_expert import slice_tone
from frr.models.mofrr.warping import warp_smoothly


@pytest.fixture
def small(monkeypatch):
    """Parts as small as can be."""
    monkeypatch.setattr(module, "AT_ONCE", 900)
    monkeypatch.setattr(module, "TILE", 64)
    monkeypatch.setattr(module, "WHOLE", 0)


def rand(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(5)) * 2 - 1


@pytest.mark.parametrize("shape", [(2, 3, 50, 20), (1, 3, 7, 4000), (1, 3, 4000, 7), (1, 3, 1, 1)])
@pytest.mark.parametrize("multiple", [1, 4])
def test_bands_are_all_rows_once(small, shape, multiple):
    found = bands(torch.empty(shape), multiple)
    assert [row for band in found for row in range(band.start, band.stop)] == [*range(shape[2])]
    assert all(band.start % multiple == 0 for band in found)
    most = max(900, multiple * shape[0] * shape[3])
    assert all((band.stop - band.start) * shape[0] * shape[3] <= most for band in found)


def test_small_photos_are_seen_whole():
    seen = []
    in_tiles(lambda tile: seen.append(tile.shape) or tile, torch.zeros(1, 3, 640, 512), 80)
    assert seen == [(1, 3, 640, 512)]


def test_tiles_see_as_far_as_their_margin(small):
    photo = rand(2, 3, 136, 200)
    seen = []

    def mean(tile):
        seen.append(tuple(tile.shape[-2:]))
        return F.avg_pool2d(tile, 17, 1, 8, count_include_pad=False)

    assert torch.allclose(in_tiles(mean, photo, 8), mean(photo), atol=1e-6)
    assert max(seen[:-1]) == (80, 80) and len(seen) == 3 * 4 + 1


def test_a_texture_in_tiles_is_that_of_the_whole(small, monkeypatch):
    torch.manual_seed(0)
    expert, photo = TextureExpert(width=8, context_width=8).eval(), rand(1, 3, 300, 275)
    for parameter in expert.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    with torch.no_grad():
        tiles = expert.answer(photo, look(photo), torch.tensor([0.5])).residual
        monkeypatch.setattr(module, "WHOLE", 2**21)
        whole = expert.answer(photo, look(photo), torch.tensor([0.5])).residual
        monkeypatch.setattr(module, "WHOLE", 0)
        monkeypatch.setattr("frr.models.mofrr.texture_expert.REACH", REACH // 10 // 8 * 8)
        blind = expert.answer(photo, look(photo), torch.tensor([0.5])).residual
    scale = float(whole.abs().max())
    assert float((tiles - whole).abs().max()) < 1e-4 * scale
    assert float((blind - whole).abs().max()) > 1e-3 * scale  # so far a pixel does depend


def test_light_is_taken_off_in_bands(small):
    change, side = rand(1, 3, 128, 72), torch.tensor([72.0])
    expected = without_light(change, side)
    assert torch.allclose(without_light(change.clone(), side, in_place=True), expected, atol=1e-6)


def test_a_tone_in_bands_is_that_of_the_whole(small, monkeypatch):
    grid, photo = rand(2, 12, 4, 5, 5), rand(2, 3, 61, 40)
    found = slice_tone(grid, photo)
    monkeypatch.setattr(module, "AT_ONCE", 2**20)
    assert torch.allclose(found, slice_tone(grid, photo), atol=1e-6)


def test_rows_are_warped_as_in_the_whole():
    photo, flow = rand(1, 3, 40, 30), 3 * rand(1, 2, 40, 30)
    flow[:, :, 10:20] = 0
    whole = warp_smoothly(photo, flow)
    parts = [warp_smoothly(photo, flow[:, :, top : top + 7], top) for top in range(0, 40, 7)]
    assert torch.allclose(torch.cat(parts, 2), whole, atol=1e-6)
    assert torch.equal(parts[2][:, :, :6], photo[:, :, 14:20])
