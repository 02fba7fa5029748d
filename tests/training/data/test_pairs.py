"""Folders of pairs: partners find each other, and what does not fit is named."""

import math

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from frr.training.data.pairs import PairFolders, load_pair


def save(path, size=(8, 8), colour=(0, 0, 0)):
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folders(tmp_path):
    for name, level in (("b", 255), ("a", 51)):
        save(tmp_path / "before" / f"{name}.png", colour=(level, 0, 0))
        save(tmp_path / "after" / f"{name}.bmp", colour=(0, level, 0))
    return tmp_path / "before", tmp_path / "after"


def test_partners_share_a_name_whatever_the_ending(folders):
    pairs = PairFolders(*folders)
    assert len(pairs) == 2 and [pair.name for pair in pairs] == ["a.bmp", "b.bmp"]
    pair = pairs[0]
    assert pair.original.shape == (3, 8, 8) and pair.original.dtype == torch.float32
    assert pair.original[:, 2, 2].tolist() == pytest.approx([-0.6, -1, -1])
    assert pair.retouched[:, 2, 2].tolist() == pytest.approx([-1, -0.6, -1])
    assert len(pair.degrees) == 4 and all(math.isnan(degree) for degree in pair.degrees)


def test_pairs_collate_into_batches(folders):
    batch = next(iter(DataLoader(PairFolders(*folders, operations=5), batch_size=2)))
    assert batch.original.shape == (2, 3, 8, 8) and batch.degrees.shape == (2, 5)
    assert list(batch.name) == ["a.bmp", "b.bmp"]


def test_pairs_of_different_sizes_meet_at_the_given_size(folders):
    before, after = folders
    save(before / "a.png", size=(16, 16), colour=(255, 255, 255))
    with pytest.raises(ValueError, match=r"a\.png is 16 x 16 pixels and .*a\.bmp 8 x 8"):
        PairFolders(before, after)
    pair = PairFolders(before, after, size=4)[0]
    assert pair.original.shape == pair.retouched.shape == (3, 4, 4)
    assert (pair.original == 1).all()


def test_photos_that_are_not_square_need_no_size(folders):
    before, after = folders
    save(before / "a.png", size=(8, 6))
    save(after / "a.bmp", size=(8, 6))
    assert PairFolders(before, after)[0].original.shape == (3, 6, 8)
    with pytest.raises(ValueError, match=r"a\.png is 8 x 6 pixels; photos must be square"):
        PairFolders(before, after, size=8)


def test_missing_partners_are_named_on_both_sides(folders):
    before, after = folders
    save(before / "only_before.png")
    for index in range(4):
        save(after / f"extra_{index}.png")
    with pytest.raises(ValueError) as caught:
        PairFolders(before, after)
    message = str(caught.value)
    assert f"{after} lacks the partners of 1 photos (only_before.png)" in message
    assert f"{before} lacks the partners of 4 photos (extra_0.png, extra_1.png" in message


def test_two_files_of_one_name_are_refused(folders):
    save(folders[0] / "a.jpg")
    with pytest.raises(ValueError, match=r"a\.jpg and a\.png have one name"):
        PairFolders(*folders)


def test_an_unreadable_partner_is_named(folders):
    (folders[1] / "b.bmp").write_bytes(b"BM")
    with pytest.raises(ValueError, match=r"b\.bmp cannot be read"):
        PairFolders(*folders)


def test_a_turned_photo_is_read_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    (tmp_path / "x").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "x" / "a.jpg", exif=exif)
    save(tmp_path / "y" / "a.png", size=(6, 8))
    pair = PairFolders(tmp_path / "x", tmp_path / "y")[0]
    assert pair.original.shape == (3, 8, 6)


def test_a_pair_can_be_read_with_its_degrees(folders):
    pair = load_pair(folders[0] / "a.png", folders[1] / "a.bmp", [0.3, 0, 0, 0.9])
    assert pair.degrees.tolist() == pytest.approx([0.3, 0, 0, 0.9])
