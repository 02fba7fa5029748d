"""Effect sizes: worked numbers of hand-made changes, and growth with every slider."""

import pytest
import torch

from frr.pipelines.operations import OPERATIONS
from frr.pipelines.simulate import bank, effects
from frr.pipelines.simulate.colour import lab_to_rgb, rgb_to_lab
from frr.pipelines.simulate.landmarks import FaceRegions, canonical_mesh
from frr.pipelines.simulate.warp import pixel_grid

SIZE = 96
POINTS = canonical_mesh()[None]
PHOTOMETRIC = ("whitening", "smoothing")
GEOMETRIC = ("face_slimming", "eye_enlarging")


def portrait(texture=0.03):
    """A plain skin with noise, 1 3 SIZE SIZE in [-1, 1]."""
    generator = torch.Generator().manual_seed(1)
    skin = torch.tensor([0.72, 0.52, 0.43]).view(1, 3, 1, 1)
    noise = torch.randn(1, 1, SIZE, SIZE, generator=generator)
    return (skin + texture * noise) * 2 - 1


def lighter(photo, lightness):
    lab = rgb_to_lab(photo * 0.5 + 0.5)
    lab[:, :1] += lightness
    return lab_to_rgb(lab) * 2 - 1


def magnified(scale):
    """The backward flow that shows the photo larger about its middle."""
    home = pixel_grid(SIZE, SIZE, POINTS)
    return (home - (SIZE - 1) / 2) * (1 / scale - 1)


def measure(operation, change, photo):
    return effects.of_change(operation, photo, change(photo), POINTS).item()


@pytest.mark.parametrize(("rise", "effect"), [(0, 0), (6, 0.4), (12, 0.8), (40, 1), (-6, 0)])
def test_whitening_is_the_rise_of_lightness(rise, effect):
    found = measure("whitening", lambda photo: lighter(photo, rise), portrait(0.0))
    assert found == pytest.approx(effect, abs=0.01)


def test_whitening_is_measured_on_skin():
    photo = portrait(0.0)
    skin = FaceRegions(POINTS, SIZE, SIZE).skin
    around = torch.where(skin > 0, photo, lighter(photo, 12))
    assert effects.of_change("whitening", photo, around, POINTS).item() == pytest.approx(0)
    inside = torch.where(skin > 0, lighter(photo, 6), photo)
    found = effects.of_change("whitening", photo, inside, POINTS)
    assert found.item() == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize(("left", "effect"), [(1.0, 0.0), (0.8, 0.45), (0.5, 0.9375), (0.0, 1.0)])
def test_smoothing_is_the_share_of_texture_energy_lost(left, effect):
    mean = portrait(0.0)
    found = measure("smoothing", lambda photo: mean + left * (photo - mean), portrait())
    assert found == pytest.approx(effect, abs=0.01)


def test_sharpening_and_other_colours_are_no_smoothing():
    mean = portrait(0.0)
    assert measure("smoothing", lambda photo: mean + 1.5 * (photo - mean), portrait()) == 0
    assert measure("smoothing", lambda photo: photo + 0.1, portrait()) == pytest.approx(0, abs=1e-3)


def test_another_operation_is_measured_by_its_mean_change(monkeypatch):
    def found():
        return measure("another", lambda photo: photo + 0.1, portrait())

    assert found() == pytest.approx(0.5)
    monkeypatch.setitem(effects.STRONG, "another", 0.4)
    assert found() == pytest.approx(0.25)


@pytest.mark.parametrize("operation", GEOMETRIC)
def test_nothing_moved_is_no_effect(operation):
    still = torch.zeros(1, 2, SIZE, SIZE)
    assert effects.of_motion(operation, still, POINTS).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("scale", "effect"), [(1.1, 0.5), (1.05, 0.25), (1.3, 1.0), (0.9, 0.0)])
def test_eyes_of_a_magnified_photo_grew_so_much(scale, effect):
    found = effects.of_motion("eye_enlarging", magnified(scale), POINTS)
    assert found.item() == pytest.approx(effect, abs=0.01)


@pytest.mark.parametrize(("scale", "effect"), [(0.95, 0.62), (0.97, 0.37), (0.85, 1.0), (1.1, 0.0)])
def test_the_face_of_a_reduced_photo_is_so_much_slimmer(scale, effect):
    found = effects.of_motion("face_slimming", magnified(scale), POINTS)
    assert found.item() == pytest.approx(effect, abs=0.02)


def sliders(operation, algorithm, degrees):
    """The effect B of an algorithm on one portrait at several degrees."""
    function = bank.ALGORITHMS[operation][algorithm]
    count = len(degrees)
    variations, points = torch.full((count, 4), 0.5), POINTS.expand(count, -1, -1)
    if operation in bank.GEOMETRIC:
        flow = function(points, torch.tensor(degrees), variations, SIZE, SIZE)
        return effects.of_motion(operation, flow, points)
    photos = portrait().expand(count, -1, -1, -1)
    face = FaceRegions(points, SIZE, SIZE, photos)
    changed = function(photos, torch.tensor(degrees), variations, face).image
    return effects.of_change(operation, photos, changed, points)


@pytest.mark.parametrize(
    ("operation", "algorithm"),
    [(operation, name) for operation in effects.FELT for name in bank.ALGORITHMS[operation]],
)
def test_effects_start_at_nothing_and_grow_with_the_slider(operation, algorithm):
    found = sliders(operation, algorithm, [0.0, 0.25, 0.5, 1.0])
    assert found[0] == pytest.approx(0, abs=1e-4)
    assert (found.diff() >= -0.01).all()
    assert found[-1] > effects.FELT[operation]
    assert found[-1] > found[1] or found[1] == 1


def test_every_operation_of_photos_of_real_size_has_its_measures():
    assert list(effects.STRONG) == list(effects.FELT) == list(OPERATIONS[: len(effects.FELT)])
    assert len(effects.FELT) >= 4
    assert all(0 < felt < 0.2 for felt in effects.FELT.values())
