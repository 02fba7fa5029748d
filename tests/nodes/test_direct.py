"""The nodes with experts that answer at once, alone and beside one that denoises."""

import pytest
import torch
from by_operation import flags, values

from frr.nodes.mofrr_model import MoFRRModel
from frr.pipelines.operations import OPERATIONS

NAMES = {"smoothing", "eye_enlarging", "face_slimming"}
ON = {name: "on" if name in NAMES else "off" for name in OPERATIONS}


@pytest.fixture(params=["native", "mixed"])
def pipe(request, monkeypatch):
    from frr_tiny_pipeline import EXPERT, WaveFRRExpert, build_native, stir

    if request.param == "native":
        return build_native()
    return build_native(smoothing_expert=stir(WaveFRRExpert(**EXPERT)))


@pytest.fixture
def model(pipe):
    return MoFRRModel(pipe, "tiny")


@pytest.fixture
def pictures() -> torch.Tensor:
    """Two pictures larger than the size that experts denoise at, 2 60 75 3."""
    return torch.rand(2, 60, 75, 3, generator=torch.Generator().manual_seed(5))


def expected(pipe, pictures, **given):
    generator = torch.Generator().manual_seed(0)
    return pipe(pictures.movedim(-1, 1), 2, generator=generator, output_type="pt", **given)


def test_gives_what_the_pipeline_gives(restore, pipe, model, pictures):
    node = restore(pictures, model, **ON, smoothing_degree=0.4, strength=0.8)
    whole = expected(pipe, pictures, operations=NAMES, degrees={"smoothing": 0.4}, strength=0.8)
    assert torch.equal(node[0], whole.images.movedim(1, -1))
    assert node[1].any() and not node[2].any()
    bars = node.ui["mofrr_verdict"][1]["operations"]
    assert [bar["active"] for bar in bars] == flags(*NAMES)
    assert bars[2]["degree"] == pytest.approx(float(whole.degrees[1, 2]), abs=1e-4)


def test_leaves_the_decision_to_the_router(restore, pipe, model, pictures):
    pipe.router.register_to_config(thresholds=values(1.0, whitening=0.0, face_slimming=0.0))
    node, whole = restore(pictures, model), expected(pipe, pictures)
    assert whole.active.tolist() == [flags("whitening", "face_slimming")] * 2
    assert torch.equal(node[0], whole.images.movedim(1, -1))


def test_taken_apart_it_is_the_same_to_the_bit(nodes, decisions, restore, model, pictures):
    whole = restore(pictures, model, **ON)
    routing = nodes["MoFRRRoute"].execute(pictures, model, 0, "pictures")[0]
    routing = nodes["MoFRREditRouting"].execute(routing, **decisions(**ON))[0]
    edits = {}
    for name in (*model.pipeline.operations, "shared"):
        edits[name], alone = (
            nodes["MoFRRExpert"].execute(pictures, model, routing, name, 2, 0, 1, 0).args
        )
        assert torch.equal(alone, pictures) == (name not in NAMES)
    merged = nodes["MoFRRMerge"].execute(pictures, model, routing, 1.0, edits)
    assert torch.equal(merged[0], whole[0])
    assert torch.equal(merged[1], whole[1])


def test_the_bar_reaches_its_end(restore, model, pictures, progress):
    restore(pictures, model, **ON)
    assert [value for value, _, _ in progress] == list(range(1, progress[0][1] + 1))


def test_the_host_is_asked_for_room_at_the_pictures_own_size(restore, model, pictures, memory):
    restore(pictures, model, **ON)
    needs = {part: need for part, p in model.patchers.items() for q, need in memory.loads if p is q}
    assert set(needs) == {"router", *(f"{name}_expert" for name in NAMES)}
    for part in ("router", "face_slimming_expert"):
        assert needs[part] == 2 * model.bytes_for_picture(part, 60, 75)


def test_pictures_are_worked_on_in_parts_where_memory_is_short(restore, model, pictures, memory):
    whole = restore(pictures, model, **ON)[0]
    memory.reset()
    memory.total = 2 * model.bytes_for_picture("face_slimming_expert", 60, 75)
    assert torch.allclose(restore(pictures, model, **ON)[0], whole, atol=1e-5)
    asked = [n for p, n in memory.loads if p is model.patchers["face_slimming_expert"]]
    assert asked == [model.bytes_for_picture("face_slimming_expert", 60, 75)]


def test_a_picture_that_is_too_small_has_no_verdict(restore, pipe, model, pictures):
    side = min(pictures.shape[1:3])
    pipe.router.register_to_config(
        thresholds=values(0.0),
        smallest_side=values(None, smoothing=side + 1, eye_enlarging=side),
    )
    node = restore(pictures, model)
    shown = node.ui["mofrr_verdict"][0]
    assert (shown["side"], shown["quality"]) == (side, None)
    told = list(values(True, smoothing=False))
    assert [bar["told"] for bar in shown["operations"]] == told
    assert [bar["active"] for bar in shown["operations"]] == told
    assert "smoothing: too small or too compressed to tell, left alone" in node[4]
    assert f"{side} px, no trace of JPEG" in node[4]
