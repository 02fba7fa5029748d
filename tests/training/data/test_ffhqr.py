"""FFHQR's layout: numbers, subfolders, splits, what is missing."""

import numpy as np
import pytest
from PIL import Image

from frr.training.data.ffhqr import FFHQR


def write(path, level):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((16, 16, 3), level, np.uint8)).save(path)


@pytest.fixture
def folders(tmp_path):
    """Sharded originals as PNG, flat retouched ones as JPEG; 7 is not retouched."""
    for number in (5, 7, 56_000, 69_999):
        write(tmp_path / "ffhq" / f"{number // 1000 * 1000:05}" / f"{number:05}.png", 100)
    for number in (5, 56_000, 69_999):
        write(tmp_path / "ffhqr" / f"{number:05}.jpg", 120)
    (tmp_path / "ffhq" / "LICENSE.txt").write_text("text")
    return tmp_path / "ffhq", tmp_path / "ffhqr"


@pytest.mark.parametrize(
    ("split", "numbers"),
    [("train", [5]), ("val", [56_000]), ("test", [69_999]), ("all", [5, 56_000, 69_999])],
)
def test_official_splits_by_number(folders, split, numbers):
    assert FFHQR(*folders, split).numbers == numbers


def test_a_pair_is_before_and_after(folders):
    pair = FFHQR(*folders, size=8)[0]
    assert pair.original.shape == pair.retouched.shape == (3, 8, 8)
    assert pair.original.mean().item() == pytest.approx(100 / 127.5 - 1, abs=0.01)
    assert pair.retouched.mean().item() == pytest.approx(120 / 127.5 - 1, abs=0.02)
    assert pair.degrees.isnan().all()


def test_what_does_not_fit_is_named(folders, tmp_path):
    with pytest.raises(ValueError, match="split"):
        FFHQR(*folders, split="dev")
    with pytest.raises(ValueError, match="not a folder"):
        FFHQR(tmp_path / "no", folders[1])
    write(folders[1] / "again" / "00005.png", 1)
    with pytest.raises(ValueError, match="one number"):
        FFHQR(*folders)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="share no photo"):
        FFHQR(folders[0], tmp_path / "empty")
