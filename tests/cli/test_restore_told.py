"""What `frr restore` says of the photo itself, and where it cannot tell."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from frr import hub


@pytest.fixture(scope="module")
def bounded(tmp_path_factory):
    """The shipped model, whose router cannot tell two operations in small or poor photos."""
    folder = tmp_path_factory.mktemp("bounded") / "model"
    shutil.copytree(hub.folder(), folder)
    path = folder / "router" / "config.json"
    config = json.loads(path.read_text())
    bounds = {"smallest_side": [None, 200, None, None], "smallest_quality": [70, None, None, 30]}
    path.write_text(json.dumps({**config, **bounds, "thresholds": [0.0] * 4}))
    return str(folder)


def test_size_quality_and_what_cannot_be_told(frr, photo, bounded):
    small = photo.with_suffix(".jpg")
    noise = Image.effect_noise((160, 160), 40).convert("RGB")
    noise.save(small, quality=50)
    shown = frr("restore", small, "-o", "out", "--model", bounded)
    report = json.loads(Path("out/one.json").read_text())
    assert report["native_size"] == 160
    assert report["quality"]["file"] == 50
    assert report["quality"]["pixels"] == pytest.approx(50, abs=2)
    assert report["untold"] == ["whitening", "smoothing"]
    assert report["active"] == ["face_slimming", "eye_enlarging"]
    assert "too small or too compressed to tell: whitening, smoothing" in shown.stdout


def test_a_photo_that_was_never_compressed(frr, photo, bounded):
    Image.effect_noise((200, 200), 40).convert("RGB").save(photo)
    shown = frr("restore", photo, "-o", "out", "--model", bounded)
    report = json.loads(Path("out/one.json").read_text())
    assert report["quality"] == {"pixels": None, "file": None}
    assert report["untold"] == [] and len(report["active"]) == 4
    assert "too small" not in shown.stdout
