"""MoFRRRestore and the nodes that take it apart against MoFRRPipeline, to the bit."""

import json

import pytest
import torch
from by_operation import flags, values

from frr.pipelines.operations import OPERATIONS

NAMES = {"smoothing", "eye_enlarging"}
FORCED = {name: "on" if name in NAMES else "off" for name in OPERATIONS}


def as_host(images: torch.Tensor) -> torch.Tensor:
    return images.movedim(1, -1)


def reference(pipe, pictures, seed=0, **given):
    generator = torch.Generator().manual_seed(seed)
    photos = pictures[..., :3].movedim(-1, 1)
    steps = given.pop("num_inference_steps", 2)  # as the nodes' own default
    return pipe(photos, steps, generator=generator, output_type="pt", **given)


@pytest.fixture
def apart(nodes, decisions):
    """Runs route, edit, experts, merge as a graph would."""

    def run(image, model, *, steps=2, seed=0, strength=1.0, samples=1, frames="pictures", **wishes):
        routing = nodes["MoFRRRoute"].execute(image, model, 0, frames)[0]
        routing = nodes["MoFRREditRouting"].execute(routing, **decisions(**wishes))[0]
        edits = {}
        for place, name in enumerate((*model.pipeline.operations, "shared")):
            expert = nodes["MoFRRExpert"].execute(
                image, model, routing, name, steps, seed, samples, 0
            )
            edits[f"edit{place}"] = expert[0]
        return nodes["MoFRRMerge"].execute(image, model, routing, strength, edits)

    return run


@pytest.mark.parametrize("samples", [1, 2])
def test_gives_what_the_pipeline_gives(restore, pipe, model, pictures, samples):
    given = {"steps": 3, "seed": 7, "strength": 0.8, "samples": samples}
    node = restore(pictures, model, **given, **FORCED, smoothing_degree=0.4)
    expected = reference(
        pipe,
        pictures,
        7,
        operations=NAMES,
        degrees={"smoothing": 0.4},
        num_inference_steps=3,
        strength=0.8,
        num_samples=samples,
    )
    assert torch.equal(node[0], as_host(expected.images))
    assert not torch.equal(node[0], pictures)
    change = (expected.images - pictures.movedim(-1, 1)).abs().mean(1)
    assert torch.equal(node[1], change)
    spread = torch.zeros_like(change) if samples == 1 else expected.uncertainty[:, 0]
    assert torch.equal(node[2], spread)


def test_leaves_the_decision_to_the_router(restore, pipe, model, pictures):
    pipe.router.register_to_config(thresholds=values(1.0, whitening=0.0, face_slimming=0.0))
    expected = reference(pipe, pictures)
    node = restore(pictures, model)
    assert expected.active.tolist() == [flags("whitening", "face_slimming")] * 2
    assert torch.equal(node[0], as_host(expected.images))
    bars = node.ui["mofrr_verdict"][1]["operations"]
    assert [bar["active"] for bar in bars] == flags("whitening", "face_slimming")
    assert bars[0]["degree"] == pytest.approx(float(expected.degrees[1, 0]), abs=1e-4)
    assert bars[0]["probability"] == pytest.approx(float(expected.routing[1, 0]), abs=1e-4)
    json.dumps(node.ui)
    assert "whitening: probability" in node[4] and "picture 2" in node[4]


@pytest.mark.parametrize("given", [{}, {"samples": 2, "strength": 0.5}, {"frames": "video"}])
def test_taken_apart_it_is_the_same_to_the_bit(restore, apart, model, pictures, given):
    whole = restore(pictures, model, seed=3, **given, **FORCED)
    parts = apart(pictures, model, seed=3, **given, **FORCED)
    for first, second in zip(whole.args[:3], parts.args, strict=False):
        assert torch.equal(first, second)
    assert bool(whole[1].any())


def test_nothing_to_undo_keeps_every_bit(restore, model, pictures, memory):
    off = dict.fromkeys(model.pipeline.operations, "off")
    for node in (restore(pictures, model, **off), restore(pictures, model, strength=0.0, **FORCED)):
        assert torch.equal(node[0], pictures) and not node[1].any()
    loaded = {patcher for patcher, _ in memory.loads}
    assert loaded == {model.patchers["router"]}


def test_outside_the_mask_every_bit_stays(restore, model, pictures):
    mask = torch.zeros(24, 30)
    mask[6:12, 5:20] = 1
    node = restore(pictures, model, mask=mask, **FORCED)
    whole = restore(pictures, model, **FORCED)
    inside = mask.bool()
    assert torch.equal(node[0][:, ~inside], pictures[:, ~inside])
    assert torch.equal(node[0][:, inside], whole[0][:, inside])
    assert not node[1][:, ~inside].any() and node[1][:, inside].any()


def test_an_alpha_channel_comes_back_as_it_was(restore, model, pictures):
    alpha = torch.rand(2, 24, 30, 1)
    node = restore(torch.cat((pictures, alpha), dim=-1), model, **FORCED)
    assert torch.equal(node[0][..., 3:], alpha)
    assert torch.equal(node[0][..., :3], restore(pictures, model, **FORCED)[0])


def test_the_frames_of_a_clip_are_treated_alike(restore, model, pictures):
    still = pictures[:1].expand(4, -1, -1, -1)
    node = restore(still, model, frames="video", **FORCED)
    assert torch.equal(node[0], node[0][:1].expand(4, -1, -1, -1))
    loose = restore(still, model, **FORCED)
    assert not torch.equal(loose[0][0], loose[0][1]), "pictures have noise of their own"

    clip = restore(pictures, model, frames="video")
    assert [bar["label"] for bar in clip.ui["mofrr_verdict"]] == ["clip of 2 frames"]
    first, second = (probabilities.tolist() for probabilities in clip[3].routing.probabilities)
    assert first == second


def test_faces_in_boxes_are_restored_one_by_one(restore, model):
    photo = torch.rand(2, 96, 120, 3, generator=torch.Generator().manual_seed(1))
    box = {"x": 40, "y": 40, "width": 20, "height": 24}
    node = restore(photo, model, boxes=[[box], []], **FORCED)
    assert torch.equal(node[0][1], photo[1]) and not torch.equal(node[0][0], photo[0])
    changed = node[1][0] > 0
    assert changed.any() and not changed[:, :20].any() and not changed[:, -20:].any()
    nothing = restore(photo, model, boxes=[[], []])
    assert torch.equal(nothing[0], photo) and "no face" in nothing[4]


def test_the_preview_follows_the_steps(restore, model, pictures, progress):
    restore(pictures, model, steps=2, **FORCED)
    values = [value for value, _, _ in progress]
    total = progress[0][1]
    assert values == list(range(1, total + 1)) and total == 3 * 2 + 1
    previews = [preview for _, _, preview in progress if preview is not None]
    assert len(previews) == 6
    assert all(kind == "JPEG" and picture.mode == "RGB" for kind, picture, _ in previews)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": torch.full((1, 8, 8, 3), float("nan"))}, "NaN"),
        ({"image": torch.zeros(1, 8, 8, 2)}, "1, 3 or 4 channels"),
        ({"mask": torch.ones(1, 9, 9)}, "resize it first"),
        ({"mask": torch.ones(3, 24, 30)}, "one mask, or one for each picture"),
        ({"boxes": [[]], "landmarks": {"frames": []}}, "disconnect one"),
        ({"boxes": [[], [], []]}, "same batch"),
        ({"boxes": {"x": 1, "y": 1}}, "x, y, width and height"),
        ({"boxes": {"x": 1, "y": 1, "width": 0, "height": 3}}, "above 0"),
        ({"landmarks": {"points": []}}, "MediaPipe"),
    ],
)
def test_bad_inputs_are_named(restore, model, pictures, change, message):
    image = change.pop("image", pictures)
    with pytest.raises(ValueError, match=message):
        restore(image, model, **change)


def test_edits_of_other_pictures_are_refused(nodes, model, pictures):
    routing = nodes["MoFRRRoute"].execute(pictures, model, 0, "pictures")[0]
    with pytest.raises(ValueError, match="route the same pictures"):
        nodes["MoFRRExpert"].execute(pictures[:1], model, routing, "whitening", 1, 0, 1, 0)


def test_each_expert_is_merged_once(nodes, model, pictures, decisions):
    routing = nodes["MoFRRRoute"].execute(pictures, model, 0, "pictures")[0]
    edit = nodes["MoFRRExpert"].execute(pictures, model, routing, "whitening", 1, 0, 1, 0)[0]
    with pytest.raises(ValueError, match="each expert once"):
        nodes["MoFRRMerge"].execute(pictures, model, routing, 1.0, {"edit0": edit, "edit1": edit})
