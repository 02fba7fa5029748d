"""Faces found without an install: none, one and three; which of them; a verdict for each."""

import importlib.util
import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image
from sample_pictures import SAMPLES
from skimage import data

from frr.pipelines.operations import OPERATIONS

pytestmark = [
    pytest.mark.faces,
    pytest.mark.skipif(importlib.util.find_spec("dlib") is None, reason="dlib is not installed"),
]
FORCED = dict.fromkeys(OPERATIONS, "on")


def read(picture, *size) -> torch.Tensor:
    small = picture.resize(size) if size else picture
    return torch.from_numpy(np.array(small, dtype=np.float32))[None] / 255


GROUP = read(Image.open(SAMPLES / "frr_group.png"), 576, 192)
COFFEE = read(Image.fromarray(data.coffee()), 240, 160)
ASTRONAUT = read(Image.fromarray(data.astronaut()), 320, 320)


def changed(node, photo) -> list[int]:
    """In the middle of which thirds the group changed."""
    change = (node[0] - photo).abs().amax((0, 1, 3))
    return [place for place, part in enumerate(change.chunk(3)) if part[60:-60].max() > 0]


def test_every_face_is_restored_with_a_verdict_of_its_own(restore, model):
    node = restore(GROUP, model, faces="all", **FORCED)
    assert changed(node, GROUP) == [0, 1, 2]
    bars = node.ui["mofrr_verdict"]
    assert [bar["label"] for bar in bars] == ["face 1", "face 2", "face 3"]
    assert len({bar["operations"][0]["probability"] for bar in bars}) == 3
    assert node[4].startswith("3 face(s), found by dlib") and "face 3" in node[4]
    assert len(node[3].routing.active) == 3


@pytest.mark.parametrize(
    ("chosen", "third"),
    [
        ({"faces": "by number", "number": 1, "order": "left to right"}, [0]),
        ({"faces": "by number", "number": 3, "order": "left to right"}, [2]),
        ({"faces": "in boxes", "boxes": {"x": 200, "y": 10, "width": 170, "height": 170}}, [1]),
        ({"faces": "by number", "number": 4}, []),
    ],
)
def test_one_face_is_chosen(restore, model, chosen, third):
    assert changed(restore(GROUP, model, **chosen, **FORCED), GROUP) == third


def test_the_largest_face_of_a_photo(restore, model):
    node = restore(ASTRONAUT, model, faces="largest", **FORCED)
    assert node[4].startswith("1 face(s)") and torch.equal(node[0][:, 190:], ASTRONAUT[:, 190:])
    assert not torch.equal(node[0], ASTRONAUT)


@pytest.mark.parametrize("faces", ["all", "largest", "as framed"])
def test_a_photo_without_a_face_comes_back_with_a_warning(restore, model, faces):
    node = restore(COFFEE, model, faces=faces)
    assert torch.equal(node[0], COFFEE) and "no face found" in node[4]
    assert "probability" not in node[4]
    told = [*node.ui["frr_note"], *(bar.get("faceless") for bar in node.ui["mofrr_verdict"])]
    assert any(told)
    with pytest.raises(ValueError, match="no face found"):
        restore(COFFEE, model, faces=faces, no_face="error")


def test_what_is_forced_needs_no_face(restore, model):
    assert not torch.equal(restore(COFFEE, model, **FORCED)[0], COFFEE)


def test_not_looking_judges_every_picture(restore, model):
    assert "probability" in restore(COFFEE, model, no_face="do not look")[4]


def test_only_the_picture_without_a_face_is_left_out(nodes, restore, model):
    both = torch.cat((COFFEE[:, :160, :160], GROUP[:, 16:176, 16:176]))
    node = restore(both, model)
    assert torch.equal(node[0][0], both[0])
    assert [bool(bar.get("faceless")) for bar in node.ui["mofrr_verdict"]] == [True, False]
    verdict = nodes["MoFRRRoute"].execute(both, model)[0]
    assert not verdict.routing.active[0].any()


def test_a_clip_has_one_verdict_a_person(restore, model):
    clip = GROUP.repeat(3, 1, 1, 1)
    node = restore(clip, model, faces="all", frames="video", **FORCED)
    assert [bar["label"] for bar in node.ui["mofrr_verdict"]] == [
        "person 1",
        "person 2",
        "person 3",
    ]
    assert changed(node, clip) == [0, 1, 2]
    assert (node[0][1:] - node[0][:1]).abs().max() < 1e-5


def test_crops_of_no_face_go_through_the_graph(nodes, restore, model):
    settings = {"faces": "all", "size": 0, "margin": 1.0}
    crops, where, count, report = nodes["FaceCrop"].execute(COFFEE, **settings).args
    assert count == 0 and "no face found" in report
    restored = restore(crops, model)
    assert "no face found" in restored[4]
    pasted, used = nodes["FacePaste"].execute(COFFEE, where, restored[0], 0.1, True).args
    assert torch.equal(pasted, COFFEE) and not used.any()
    with pytest.raises(ValueError, match="no face found"):
        nodes["FaceCrop"].execute(COFFEE, **settings, no_face="error")


def test_the_hosts_mediapipe_comes_first_where_its_model_is(nodes, monkeypatch):
    from frr.nodes import host
    from frr.pipelines.simulate.landmarks import canonical_mesh

    points = canonical_mesh() * 100 + torch.tensor([50.0, 60.0])
    marks = {"frames": [[{"landmarks_xy": points.numpy()}]]}
    answer = types.SimpleNamespace(args=("loaded",))
    load = types.SimpleNamespace(execute=lambda name: answer)
    find = types.SimpleNamespace(execute=lambda *given: types.SimpleNamespace(args=(marks, [])))
    registry = types.SimpleNamespace(
        NODE_CLASS_MAPPINGS=dict(zip(host.MEDIAPIPE, (load, find), strict=True))
    )
    monkeypatch.setitem(sys.modules, "nodes", registry)
    crop = {"faces": "all", "size": 0, "margin": 1.0}
    assert "dlib" in nodes["FaceCrop"].execute(ASTRONAUT, **crop)[3]
    file = "mediapipe_face_fp32.safetensors"
    monkeypatch.setattr(host.folder_paths, "get_filename_list", lambda name: [file])
    node = nodes["FaceCrop"].execute(ASTRONAUT, **crop)
    assert "MediaPipe" in node[3]
    assert node[1].frames[0][0].side == pytest.approx(100, rel=1e-3)


def test_retouching_finds_faces_too(nodes, retouch, retoucher):
    node = retouch(GROUP, retoucher, faces="all")
    assert node[4].startswith("3 face(s)")
    node = retouch(COFFEE, retoucher)
    assert torch.equal(node[0], COFFEE) and "no face found" in node[4]


def test_weak_findings_show_in_the_marked_picture(nodes):
    from frr.nodes.bpfre_retouch import _marked

    photo, maps = torch.full((2, 3, 8, 8), 0.5), torch.zeros(2, 2, 8, 8)
    maps[0, 1, 2, 3] = 0.05
    marked = _marked(photo, maps)
    assert marked[0, :, 2, 3].tolist() == pytest.approx([1.0, 0.1, 0.1])
    assert torch.equal(marked[1], photo[1]) and torch.equal(marked[0, :, 4:], photo[0, :, 4:])
