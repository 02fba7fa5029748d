"""Face folders: order, sizes, bytes and landmarks come out as they lie on disk."""

import numpy as np
import pytest
import torch
from PIL import Image

from frr.training.data.faces import FaceSet, load_faces


def save(path, side=8, colour=(10, 20, 30), height=None):
    Image.new("RGB", (side, height or side), colour).save(path)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "crops"
    folder.mkdir()
    save(folder / "b.png", 8, (0, 128, 255))
    save(folder / "a.png", 16, (10, 20, 30))
    (folder / "notes.txt").write_text("not a face")
    return folder


def write_landmarks(path, names, points=None):
    if points is None:
        points = np.full((len(names), 478, 2), 4.0, np.float32)
    np.savez(path, names=np.array(names), points=points)


def test_images_are_sorted_resized_bytes(folder):
    faces = load_faces(folder, size=8)
    assert faces.names == ("a.png", "b.png")
    assert faces.images.dtype == torch.uint8 and faces.images.shape == (2, 3, 8, 8)
    assert faces.images[0, :, 3, 3].tolist() == [10, 20, 30]
    assert faces.images[1, :, 3, 3].tolist() == [0, 128, 255]
    assert faces.landmarks is None and len(faces) == 2


def test_reduction_averages_over_the_area(tmp_path):
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    faces = load_faces(tmp_path, size=2)
    assert (faces.images.float() - 100).abs().max() < 12  # a point sample would give 0 or 200


def test_signed_pixels_span_minus_one_to_one(tmp_path):
    save(tmp_path / "a.png", 4, (0, 255, 51))
    pixels = load_faces(tmp_path, size=4).pixels()
    assert pixels.dtype == torch.float32
    assert pixels[0, :, 0, 0].tolist() == pytest.approx([-1.0, 1.0, -0.6], abs=1e-6)


@pytest.mark.parametrize("inside", [True, False])
def test_landmarks_are_fractions_of_each_file_in_the_images_order(folder, inside):
    points = np.zeros((2, 478, 2), np.float32)
    points[0] = (4.0, 2.0)  # b.png, 8 pixels wide
    points[1] = (4.0, 12.0)  # a.png, 16 pixels wide
    path = folder / "landmarks.npz" if inside else folder.parent / "landmarks_crops.npz"
    write_landmarks(path, ["b.png", "a.png"], points)
    landmarks = load_faces(folder, size=4).landmarks
    assert landmarks.shape == (2, 478, 2) and landmarks.dtype == torch.float32
    assert landmarks[0, 7].tolist() == [0.25, 0.75]
    assert landmarks[1, 7].tolist() == [0.5, 0.25]


def test_limit_is_spread_over_the_names(tmp_path):
    for index in range(6):
        save(tmp_path / f"{index}.png", 4, (index, 0, 0))
    assert load_faces(tmp_path, size=4, limit=3).names == ("0.png", "2.png", "4.png")
    assert len(load_faces(tmp_path, size=4, limit=50)) == 6


def test_select_and_batches_keep_rows_together():
    images = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 2, 2)
    landmarks = torch.arange(5.0).view(5, 1, 1).expand(5, 478, 2)
    faces = FaceSet(images, landmarks, ("a", "b", "c", "d", "e"))
    picked = faces.select([3, 0])
    assert picked.names == ("d", "a")
    assert picked.images[:, 0, 0, 0].tolist() == [3, 0] == picked.landmarks[:, 0, 0].tolist()
    assert [batch.names for batch in faces.batches(2)] == [("a", "b"), ("c", "d"), ("e",)]


def test_a_non_square_file_is_refused_by_name(folder):
    save(folder / "wide.png", 8, height=6)
    with pytest.raises(ValueError, match=r"wide\.png is 8 x 6 pixels"):
        load_faces(folder, size=8)


def test_an_unreadable_file_is_refused_by_name(folder):
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(ValueError, match=r"broken\.jpg cannot be read"):
        load_faces(folder, size=8)


def test_folders_that_are_missing_or_empty(tmp_path):
    with pytest.raises(ValueError, match="holds no image"):
        load_faces(tmp_path)
    with pytest.raises(ValueError, match="is not a folder"):
        load_faces(tmp_path / "nowhere")


def test_landmark_files_that_do_not_fit(folder):
    path = folder / "landmarks.npz"
    write_landmarks(path, ["a.png"])
    with pytest.raises(ValueError, match=r"no landmarks for 1 of 2 images, the first is b\.png"):
        load_faces(folder)
    write_landmarks(path, ["a.png", "b.png"], np.zeros((2, 68, 2)))
    with pytest.raises(ValueError, match="2 x 478 x 2"):
        load_faces(folder)
    np.savez(path, names=np.array(["a.png"]))
    with pytest.raises(ValueError, match=r"lacks the arrays \['points'\]"):
        load_faces(folder)
