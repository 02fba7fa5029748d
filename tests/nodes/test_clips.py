"""Clips: one verdict for all frames, a few frames at a time, each person followed, no flicker."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image
from sample_pictures import SAMPLES

from frr import MoFRRPipeline, hub
from frr.pipelines.operations import OPERATIONS

logger = logging.getLogger(__name__)
FORCED = {name: "on" if name in ("whitening", "face_slimming") else "off" for name in OPERATIONS}
BOX = {"x": 12, "y": 14, "width": 12, "height": 14}
ONE = {**dict.fromkeys(OPERATIONS, "off"), "whitening": "on"}
KINDS = {"framed": {}, "followed": {"boxes": BOX}}


@pytest.fixture
def clip(monkeypatch) -> torch.Tensor:
    """Ten frames of noise, 10 32 36 3, of which four are worked on together."""
    monkeypatch.setattr("frr.pipelines.mofrr.clips.FRAMES_AT_ONCE", 4)
    return torch.rand(10, 32, 36, 3, generator=torch.Generator().manual_seed(3))


@pytest.fixture
def whole(monkeypatch):
    """The same clip in one piece."""

    def set_limit():
        monkeypatch.setattr("frr.pipelines.mofrr.clips.FRAMES_AT_ONCE", 10**6)

    return set_limit


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", [1, 2])
def test_in_groups_it_is_what_it_is_in_one_piece(restore, model, clip, whole, kind, samples):
    given = {"frames": "video", "samples": samples, **FORCED, **KINDS[kind]}
    parts = restore(clip, model, **given)
    whole()
    expected = restore(clip, model, **given)
    for first, second in zip(parts.args[:3], expected.args[:3], strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=0)
    assert parts[4] == expected[4] and parts.ui == expected.ui
    assert (parts[0] != clip).any() and parts[2].any() == (samples > 1)


def test_the_verdict_is_the_whole_clips(restore, model, clip):
    given = {"no_face": "do not look"}
    node = restore(clip, model, frames="video", **given)
    each = [restore(frame[None], model, **given).ui["mofrr_verdict"][0] for frame in clip]
    for place in range(len(OPERATIONS)):
        found = [picture["operations"][place]["probability"] for picture in each]
        (bar,) = [picture["operations"][place] for picture in node.ui["mofrr_verdict"]]
        assert bar["probability"] == pytest.approx(float(np.mean(found)), abs=2e-4)
    assert node.ui["mofrr_verdict"][0]["label"] == "clip of 10 frames"
    assert node[3].routing.active.unique(dim=0).shape[0] == 1, "all frames are treated alike"
    assert len(node[3].routing.active) == 10


def test_alpha_mask_and_empty_mask(restore, model, clip):
    alpha = torch.rand(10, 32, 36, 1)
    mask = torch.zeros(10, 32, 36)
    mask[:, 10:20] = 1
    node = restore(torch.cat((clip, alpha), -1), model, frames="video", mask=mask, **FORCED)
    assert torch.equal(node[0][..., 3:], alpha)
    kept = mask == 0
    assert torch.equal(node[0][..., :3][kept], clip[kept]) and not node[1][kept].any()
    assert (node[0][..., :3][~kept] != clip[~kept]).any()
    nothing = restore(clip, model, frames="video", mask=mask * 0, **FORCED)
    assert torch.equal(nothing[0], clip) and "since the mask is empty" in nothing[4]
    with pytest.raises(ValueError, match="one mask, or one for each picture"):
        restore(clip, model, frames="video", mask=mask[:7])


def test_a_person_who_comes_later_and_one_outside(restore, model, clip):
    boxes = [[] if place < 5 else [BOX] for place in range(10)]
    node = restore(clip, model, frames="video", boxes=boxes, **FORCED)
    changed = (node[0] != clip).flatten(1).any(1)
    assert not changed[:5].any() and changed[5:].all()
    assert node[4].startswith("1 person(s) in 10 frames") and "person 1" in node[4]
    outside = {**BOX, "x": 500}
    node = restore(clip, model, frames="video", boxes=outside, **FORCED)
    assert torch.equal(node[0], clip) and "outside the picture" in node[4]
    node = restore(clip, model, frames="video", boxes=[[]] * 10, **FORCED)
    assert torch.equal(node[0], clip) and "no face found" in node[4]


def test_one_person_is_meant_in_all_frames(restore, model):
    """Whose box is the largest changes from frame to frame; who is meant does not."""
    clip = torch.rand(6, 48, 96, 3, generator=torch.Generator().manual_seed(4))
    left, right = ({"x": x, "y": 16, "width": 12, "height": 14} for x in (16, 68))
    larger = {**right, "width": 15, "height": 17}
    boxes = [[left, larger], [left, larger], [{**larger, "x": 16}, right], *[[left, larger]] * 3]
    given = {"frames": "video", "boxes": boxes, **FORCED}
    for chosen, here, elsewhere in (
        ({"faces": "largest"}, slice(48, None), slice(0, 48)),
        ({"faces": "by number", "order": "left to right"}, slice(0, 48), slice(48, None)),
    ):
        node = restore(clip, model, **given, **chosen)
        changed = node[0] != clip
        assert changed[:, :, here].flatten(1).any(1).all()
        assert not changed[:, :, elsewhere].any()
        assert node[4].startswith("1 person(s) in 6 frames")


def test_a_clip_can_be_interrupted_between_groups(
    restore, model, clip, memory, interrupted, monkeypatch
):
    seen = []
    route = model.pipeline.router.forward

    def watched(*given, **options):
        seen.append(1)
        memory.interrupted = True
        return route(*given, **options)

    monkeypatch.setattr(model.pipeline.router, "forward", watched)
    with pytest.raises(interrupted):
        restore(clip, model, frames="video", **FORCED)
    assert len(seen) == 1


@pytest.fixture
def peak_beyond(restore, model, root, monkeypatch):
    """Measures the MB of tensors that a call holds at most, beyond its input and its answer."""
    monkeypatch.syspath_prepend(str(root))
    from benchmarks.activations import Peak

    def measure(frames: int, **given) -> float:
        clip = torch.rand(frames, 64, 64, 3)
        with Peak() as held:
            node = restore(clip, model, frames="video", steps=1, **ONE, **given)
        return (held.most - sum(each.nbytes for each in (clip, *node.args[:3]))) / 2**20

    return measure


@pytest.mark.parametrize("kind", KINDS)
def test_memory_does_not_grow_with_the_length(peak_beyond, kind, monkeypatch):
    """160 frames of 64 x 64 are 7.5 MB: a copy of them would show."""
    monkeypatch.setattr("frr.nodes.host.preview", lambda estimate: None)  # the stand-in keeps them
    short, long = (peak_beyond(frames, **KINDS[kind]) for frames in (32, 160))
    logger.info("%s: %.1f MB beyond input and answer with 32, %.1f with 160", kind, short, long)
    assert long < short + 3


@pytest.fixture(scope="module")
def shipped():
    """The embedded model."""
    pipe = MoFRRPipeline.from_pretrained(hub.folder())
    pipe.set_progress_bar_config(disable=True)
    return pipe


def flicker(frames: torch.Tensor) -> float:
    """Mean difference of neighbouring frames F H W C."""
    return float((frames[1:] - frames[:-1]).abs().mean())


@pytest.mark.faces
@pytest.mark.parametrize("faces", ["as framed", "all"])
def test_a_static_face_does_not_flicker(restore, shipped, faces):
    """A still face with a sensor's noise: what is restored changes no more than what came."""
    if faces == "all":
        pytest.importorskip("dlib", reason="dlib is not installed")
    from frr.nodes.mofrr_model import MoFRRModel

    picture = Image.open(SAMPLES / "frr_retouched.png").convert("RGB").resize((256, 256))
    still = torch.from_numpy(np.array(picture, dtype=np.float32) / 255)
    noise = torch.randn(8, *still.shape, generator=torch.Generator().manual_seed(0))
    clip = ((still + noise * 2 / 255).clamp(0, 1) * 255).round() / 255
    model = MoFRRModel(shipped, "shipped")
    node = restore(clip, model, steps=1, frames="video", faces=faces, **FORCED)
    assert (node[0] - clip).abs().mean() > 0.5 / 255, "something was undone"
    ratio = flicker(node[0]) / flicker(clip)
    logger.info("%s: frame to frame %.3f times the original's", faces, ratio)
    assert ratio <= 1.1
