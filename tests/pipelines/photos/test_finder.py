"""The finder on real photos: none, one and three faces, with each of its detectors."""

import importlib.util

import pytest
import torch
from PIL import Image
from sample_pictures import SAMPLES
from skimage import data

from frr.pipelines.photos import detector
from frr.pipelines.photos.drawings import to_tensor
from frr.pipelines.photos.finder import FaceFinder

pytest.importorskip("dlib")


@pytest.fixture(scope="module", params=["five points", "boxes"])
def each_finder(request):
    """A finder with the extra that has five points, and with dlib alone."""
    if request.param != "boxes" and importlib.util.find_spec("face_recognition_models") is None:
        pytest.skip("the identity extra is not installed")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "boxes":
            patch.setattr(detector.importlib.util, "find_spec", lambda name: None)
        made = FaceFinder()
    assert ("five" in made.name) == (request.param == "five points")
    return made


def unit(picture) -> torch.Tensor:
    return (to_tensor(picture)[0] + 1) / 2


GROUP = unit(Image.open(SAMPLES / "frr_group.png"))
ASTRONAUT = torch.from_numpy(data.astronaut()).permute(2, 0, 1) / 255
NO_FACES = {"coffee": data.coffee, "moon": data.moon, "coins": data.coins}


def test_three_faces_where_they_are(each_finder):
    faces = each_finder.find(GROUP)
    assert len(faces) == 3
    centres = sorted(face.corners().mean(0).tolist() for face in faces)
    for place, (x, y) in enumerate(centres):
        assert x == pytest.approx(384 * place + 192, abs=40) and y == pytest.approx(192, abs=40)
    assert all(300 < face.side < 470 for face in faces)


@pytest.mark.parametrize("scale", [0.5, 1, 3])
def test_one_face_at_any_size_of_the_photo(each_finder, scale):
    photo = torch.nn.functional.interpolate(ASTRONAUT[None], scale_factor=scale, mode="bilinear")[0]
    (face,) = each_finder.find(photo.clamp(0, 1))
    x, y = face.corners().mean(0).tolist()
    assert x / scale == pytest.approx(224, abs=16) and y / scale == pytest.approx(116, abs=20)
    assert face.side / scale == pytest.approx(178, rel=0.2)
    (wide,) = each_finder.find(photo.clamp(0, 1), margin=1.5)
    assert wide.side / face.side == pytest.approx(1.5, rel=0.01)


@pytest.mark.parametrize("name", NO_FACES)
def test_no_face(each_finder, name):
    photo = torch.from_numpy(NO_FACES[name]()) / 255
    photo = photo.permute(2, 0, 1) if photo.ndim == 3 else photo.expand(3, -1, -1)
    assert each_finder.find(photo) == [] and not each_finder.sees(photo)


@pytest.mark.parametrize("side", [96, 256, 512])
def test_a_face_that_fills_the_picture_is_seen(each_finder, side):
    for name in ("portrait", "retouched", "blemished"):
        assert each_finder.sees(unit(Image.open(SAMPLES / f"frr_{name}.png").resize((side, side))))


def test_the_largest_comes_first(each_finder):
    photo = torch.full((3, 500, 700), 0.5)
    photo[:, 100:292, :192] = torch.nn.functional.interpolate(GROUP[None, :, :, :384], 192)[0]
    photo[:, 50:434, 300:684] = GROUP[:, :, :384]
    first, second = each_finder.find(photo)
    assert first.side > 1.5 * second.side and first.left > second.left
