"""The gated data sets' layouts, on small folders made here."""

import logging

import pytest
import torch
from PIL import Image

from frr.pipelines.simulate.recipe import OPERATIONS
from frr.training.data import retouchingffhq_plus as plus
from frr.training.data.retouchingffhq import (
    OPERATION_NAMES,
    RetouchingFFHQ,
    read_excluded,
    samples,
    split_of,
)


def save(path, level=0, size=8):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size, size), (level, level, level)).save(path)
    return path


def relative(root, found):
    return [(s.retouched.relative_to(root).as_posix(), s.degrees, s.api) for s in found]


@pytest.fixture
def root(tmp_path):
    """Originals of five folders; Tencent single and dual, Megvii single, Alibaba single."""
    for number in ("00000", "00001", "16000", "19001", "20000", "38000"):
        save(tmp_path / "FFHQ" / f"{number[:2]}000" / f"{number}.png", level=200, size=16)
    tencent = tmp_path / "FFHQ_process"
    save(tencent / "EyeEnlarging_30" / "00000" / "00000.png", 100)
    save(tencent / "EyeEnlarging_30" / "16000" / "16000.png")
    save(tencent / "Whitening_90" / "00000" / "1_00001.png")
    dual = tmp_path / "FFHQ_dual_process"
    save(dual / "Whitening_Smoothing" / "20000" / "20000.png")
    save(dual / "Whitening_Smoothing" / "38000" / "1_38000.png")
    (dual / "dual_process.txt").write_text(
        "{'Whitening': 60, 'Smoothing': 30}\t/share/FFHQ_dual/Whitening_Smoothing/20000/20000.png\n"
        "{'Whitening': 90, 'Smoothing': 0}\tE:\\x\\Whitening_Smoothing\\38000\\1_38000.png\n\n"
    )
    megvii = tmp_path / "FFHQ_megvii_process"
    save(megvii / "FaceLifting" / "00000" / "00000.png")
    (megvii / "one_process.txt").write_text(
        "{'FaceLifting': 45}\t/hot/FFHQ_megvii_process/FaceLifting/00000/00000.png"
    )
    save(tmp_path / "FFHQ_ali_process" / "Smoothing_60" / "19000" / "19001.png")
    return tmp_path


def test_every_operation_of_ours_has_a_name_there():
    assert tuple(OPERATION_NAMES) == OPERATIONS


def test_splits_are_80_10_10_of_the_folders_of_each_group():
    counts = {}
    for thousand in range(70):
        group = "single" if thousand < 20 else "dual" if thousand < 40 else "rest"
        counts.setdefault((group, split_of(thousand)), []).append(thousand)
    assert counts["single", "train"] == list(range(16))
    assert counts["single", "val"] == [16, 17] and counts["single", "test"] == [18, 19]
    assert counts["dual", "val"] == [36, 37]
    assert counts["rest", "val"] == [56, 57, 68] and counts["rest", "test"] == [58, 59, 69]
    with pytest.raises(ValueError, match="70000 belongs to no group"):
        split_of(70)


def test_strengths_come_from_folder_names_or_text_files_in_our_order(root):
    found = samples(root, groups=["single", "dual"], split="train", apis=["tencent"])
    assert relative(root, found) == [
        ("FFHQ_process/EyeEnlarging_30/00000/00000.png", (0, 0, 0, 0.3), "tencent"),
        ("FFHQ_process/Whitening_90/00000/1_00001.png", (0.9, 0, 0, 0), "tencent"),
        ("FFHQ_dual_process/Whitening_Smoothing/20000/20000.png", (0.6, 0.3, 0, 0), "tencent"),
    ]


def test_each_photo_has_the_original_of_its_number(root):
    found = list(samples(root, groups=["single", "dual"], split="all", apis=["tencent"]))
    assert [s.original.name for s in found] == [
        "00000.png",
        "16000.png",
        "00001.png",
        "20000.png",
        "38000.png",
    ]
    assert all("FFHQ" in s.original.parts for s in found)


def test_other_splits_windows_paths_and_operations_of_strength_zero(root):
    found = samples(root, groups=["single", "dual"], split="val", apis=["tencent"])
    assert relative(root, found) == [
        ("FFHQ_process/EyeEnlarging_30/16000/16000.png", (0, 0, 0, 0.3), "tencent")
    ]
    found = samples(root, groups=["dual"], split="test", apis=["tencent"])
    assert [s.degrees for s in found] == [(0.9, 0, 0, 0)]


def test_megvii_singles_take_their_strength_from_the_text_file(root):
    (sample,) = samples(root, groups=["single"], apis=["megvii"], full_strength=90)
    assert sample.degrees == (0, 0, 0.5, 0) and sample.api == "megvii"


def test_alibaba_is_read_whole_and_has_singles_only(root):
    assert list(samples(root, apis=["alibaba"], split="train")) == []
    (sample,) = samples(root, apis=["alibaba"], split="all")
    assert sample.degrees == (0, 0.6, 0, 0) and sample.original.name == "19001.png"


def test_untouched_originals_follow_the_split(root):
    found = samples(root, apis=["tencent"], groups=["single"], split="val", untouched=True)
    sample = list(found)[-1]
    assert sample.original == sample.retouched and sample.original.name == "16000.png"
    assert sample.degrees == (0, 0, 0, 0) and sample.api == ""


def test_excluded_faces_stay_out_also_with_a_prefix(root, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "sunglasses.txt").write_text("00001\n")
    (lists / "child.txt").write_text("00000\n\n")
    excluded = read_excluded(lists)
    assert excluded == {"00000", "00001"}
    found = samples(root, apis=["tencent"], groups=["single"], excluded=excluded, untouched=True)
    assert [sample.retouched.name for sample in found] == ["20000.png"]
    with pytest.raises(ValueError, match="holds no text file"):
        read_excluded(root / "FFHQ")


def test_originals_may_lie_elsewhere_in_any_subfolders(root, tmp_path):
    save(tmp_path / "other" / "Part1" / "00000.png")
    options = {"apis": ["megvii"], "groups": ["single"], "originals": tmp_path / "other"}
    (sample,) = samples(root, **options)
    assert sample.original == tmp_path / "other" / "Part1" / "00000.png"
    with pytest.raises(ValueError, match="no original photos"):
        list(samples(root, **(options | {"originals": root / "FFHQ_process" / "nothing"})))


def test_incomplete_photos_are_refused_or_counted(root, caplog):
    save(root / "FFHQ_megvii_process" / "FaceLifting" / "00000" / "00001.png")  # no strength
    save(root / "FFHQ_megvii_process" / "FaceLifting" / "00000" / "00007.png")  # no original
    options = {"apis": ["megvii"], "groups": ["single"]}
    with pytest.raises(ValueError, match=r"00001\.png lacks a record of its strengths"):
        list(samples(root, **options))
    with caplog.at_level(logging.WARNING):
        assert len(list(samples(root, **options, skip_incomplete=True))) == 1
    assert "2 photos of megvii left out" in caplog.text


@pytest.mark.parametrize("line", ["{'Whitening': 30} no tab", "Whitening\tx/y/z.png", "[1]\ta/b/c"])
def test_text_files_of_another_form_are_refused_by_line(root, line):
    (root / "FFHQ_megvii_process" / "one_process.txt").write_text("\n" + line)
    with pytest.raises(ValueError, match=r"one_process\.txt, line 2: expected"):
        list(samples(root, apis=["megvii"], groups=["single"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"apis": ["google"]}, "Unknown API 'google'"),
        ({"groups": ["five"]}, "Unknown group 'five'"),
        ({"split": "dev"}, "Unknown split 'dev'"),
        ({"groups": ["three"]}, "FFHQ_three_process is not there"),
    ],
)
def test_choices_that_are_not_there(root, options, message):
    with pytest.raises(ValueError, match=message):
        list(samples(root, **options))


def test_unknown_operations_in_text_files_are_named(root):
    file = root / "FFHQ_megvii_process" / "one_process.txt"
    file.write_text("{'LipFilling': 30}\tx/FaceLifting/00000/00000.png")
    with pytest.raises(ValueError, match="line 1: operation 'LipFilling'"):
        list(samples(root, apis=["megvii"], groups=["single"]))


def test_samples_become_pairs_of_one_size(root):
    found = list(samples(root, apis=["tencent"], groups=["single"]))
    pair = RetouchingFFHQ(found, size=4)[0]  # 16 px original, 8 px retouched
    assert pair.original.shape == pair.retouched.shape == (3, 4, 4)
    assert torch.allclose(pair.original, torch.tensor(200 / 127.5 - 1))
    assert torch.allclose(pair.retouched, torch.tensor(100 / 127.5 - 1))
    assert pair.degrees.tolist() == pytest.approx([0, 0, 0, 0.3])


# --- RetouchingFFHQ++ -----------------------------------------------------------------------


@pytest.fixture
def plus_root(tmp_path):
    for number in ("00000", "00001"):
        save(tmp_path / "ori" / f"{number}.png")
    save(tmp_path / "data" / "EyeEnlarging" / "train" / "2" / "api_00000.png")
    save(tmp_path / "data" / "Whitening" / "train" / "5" / "00001.png")
    save(tmp_path / "data" / "Whitening" / "test" / "1" / "00001.png")
    save(tmp_path / "data" / "two" / "train" / "30w60e_00001.png")
    return tmp_path / "data"


def test_levels_become_degrees(plus_root):
    found = list(plus.samples(plus_root, plus_root.parent / "ori", api="x"))
    assert relative(plus_root, found) == [
        ("Whitening/train/5/00001.png", (1, 0, 0, 0), "x"),
        ("EyeEnlarging/train/2/api_00000.png", (0, 0, 0, 0.4), "x"),
    ]
    assert [s.original.name for s in found] == ["00001.png", "00000.png"]


def test_mixed_folders_are_read_by_the_callers_tag(plus_root):
    tag = "(?P<strength>[0-9]+)(?P<letter>[wsfe])"
    found = list(plus.samples(plus_root, plus_root.parent / "ori", tag=tag))
    assert [s.degrees for s in found[2:]] == [(0.3, 0, 0, 0.6)]
    with pytest.raises(ValueError, match="lacks a record of its strengths"):
        list(plus.samples(plus_root, plus_root.parent / "ori", tag="(?P<strength>x)(?P<letter>y)"))


def test_a_root_of_another_kind(plus_root):
    with pytest.raises(ValueError, match="holds none of Whitening"):
        list(plus.samples(plus_root, plus_root.parent / "ori", split="dev"))
