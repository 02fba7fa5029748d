"""Identity: baselines by hand, the manifest, and what happens without the optional packages."""

import importlib.util
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from frr.training.judging.identity import FaceEmbedder, baseline, distance, load_persons

HAS_EXTRA = importlib.util.find_spec("dlib") and importlib.util.find_spec("face_recognition_models")


def test_distance_is_euclidean():
    assert distance(np.array([0.0, 0.0]), np.array([3.0, 4.0])) == 5.0


def test_baselines_by_hand():
    points = np.array([[0.0], [1.0], [5.0]])  # ann, ann, bob: 1 apart; 5 and 4 apart
    result = baseline(points, ["ann", "ann", "bob"])
    assert result.same_person == pytest.approx(1.0) and result.same_pairs == 1
    assert result.different_person == pytest.approx(4.5) and result.different_pairs == 2


def test_a_baseline_without_pairs_is_none():
    assert baseline(np.zeros((2, 4)), ["ann", "bob"]).same_person is None
    assert baseline(np.zeros((2, 4)), ["ann", "ann"]).different_person is None


def write_faces(folder, names, rows, header="file,identity"):
    folder.mkdir()
    for name in names:
        Image.new("RGB", (4, 4)).save(folder / name)
    (folder.parent / "manifest.csv").write_text("\n".join([header, *rows]))


def test_the_manifest_names_the_persons_of_its_folder(tmp_path):
    rows = ["test/a.png,ann", "train/a.png,zoe", "test/b.png,bob"]
    write_faces(tmp_path / "test", ["a.png", "b.png"], rows)
    assert load_persons(tmp_path / "test") == {"a.png": "ann", "b.png": "bob"}


def test_no_manifest_no_persons(tmp_path):
    (tmp_path / "faces").mkdir()
    assert load_persons(tmp_path / "faces") is None


def test_a_manifest_that_does_not_fit(tmp_path):
    write_faces(tmp_path / "test", ["a.png", "b.png"], ["test/a.png,ann"])
    with pytest.raises(ValueError, match=r"lacks 1 photos .* first b\.png"):
        load_persons(tmp_path / "test")
    (tmp_path / "manifest.csv").write_text("file,who\n")
    with pytest.raises(ValueError, match=r"lacks the columns \['identity'\]"):
        load_persons(tmp_path / "test")


def test_without_the_extra_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"frr\[identity\]"):
        FaceEmbedder()


def test_without_dlib_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr("frr.training.judging.identity.model_file", lambda name: tmp_path / name)
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(ImportError, match=r"dlib is not .*frr\[identity\]"):
        FaceEmbedder()


@pytest.mark.skipif(not HAS_EXTRA, reason="needs the identity extra")
def test_a_face_is_near_itself_and_absent_from_a_blank():
    from skimage.data import astronaut

    photo = torch.from_numpy(astronaut()[:256, 100:356].copy()).permute(2, 0, 1)
    embedder = FaceEmbedder()
    box = embedder.find(photo)
    face = embedder.embed(photo, box)
    assert face.shape == (128,)
    darker = embedder.embed((photo * 0.9).to(torch.uint8), box)
    assert 0 < distance(face, darker) < 0.3
    assert embedder.find(torch.full((3, 256, 256), 90, dtype=torch.uint8)) is None
