"""What nodes say is what happened, wrong numbers are refused, and an interrupt is answered soon."""

import json
import shutil
import time
from itertools import pairwise

import pytest
import torch

from frr.pipelines.operations import OPERATIONS

EVERYTHING = dict.fromkeys(OPERATIONS, "on")
COUNT = len(OPERATIONS)
WIDGETS = {"steps": 1, "seed": 0}


def bars(output) -> list[dict]:
    return [bar for picture in output.ui["mofrr_verdict"] for bar in picture["operations"]]


def test_the_report_says_undone_only_of_what_was(restore, model, pictures):
    outside = {"x": 500.0, "y": 400.0, "width": 20.0, "height": 20.0}
    inside = {"x": 4.0, "y": 4.0, "width": 16.0, "height": 16.0}
    empty = torch.zeros(1, 24, 30)
    for given, reason in (
        ({"strength": 0.0}, "strength is 0"),
        ({"mask": empty}, "the mask is empty"),
        ({"boxes": [outside]}, "its box lies outside the picture"),
    ):
        output = restore(pictures, model, **EVERYTHING, **given)
        assert torch.equal(output[0], pictures), reason
        assert "undone" not in output[4]
        assert output[4].count(f"left alone since {reason}") == 2 * COUNT
        assert not any(bar["active"] for bar in bars(output))
    output = restore(pictures, model, **EVERYTHING, boxes=[inside, outside])
    assert output[4].count("undone, degree") == 2 * COUNT
    assert output[4].count("outside the picture") == 2 * COUNT
    assert [bar["active"] for bar in bars(output)] == ([True] * COUNT + [False] * COUNT) * 2
    one = torch.stack((torch.zeros(24, 30), torch.ones(24, 30)))
    output = restore(pictures, model, **EVERYTHING, mask=one)
    assert [bar["active"] for bar in bars(output)] == [False] * COUNT + [True] * COUNT


@pytest.mark.parametrize(
    "given",
    [
        {"strength": float("nan")},
        {"whitening_degree": float("nan")},
        {"mask": torch.full((1, 24, 30), torch.nan)},
        {"boxes": [{"x": float("nan"), "y": 0, "width": 9, "height": 9}]},
        {"steps": 0},
        {"samples": 10**9},
        {"working_size": 5},
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(restore, model, pictures, given):
    with pytest.raises(ValueError, match="expected"):
        restore(pictures, model, **given)


def test_other_nodes_refuse_nan_too(nodes, model, retoucher, pictures, decisions):
    nan = float("nan")
    algorithms = {f"{name}_algorithm": "any" for name in EVERYTHING}
    degrees = dict.fromkeys(EVERYTHING, 0.0) | {"whitening": nan}
    routing = nodes["MoFRRRoute"].execute(pictures, model)[0]
    for call in (
        lambda: nodes["BPFReRetouch"].execute(pictures, retoucher, nan),
        lambda: nodes["RetouchSimulate"].execute(pictures, 0, 100, **degrees, **algorithms),
        lambda: nodes["MoFRREditRouting"].execute(routing, **decisions(smoothing_degree=nan)),
        lambda: nodes["MoFRRMerge"].execute(pictures, model, routing, nan, {}),
        lambda: nodes["FaceCrop"].execute(pictures, "all", 64, nan, boxes=[]),
    ):
        with pytest.raises(ValueError, match="nan"):
            call()


def test_a_working_size_that_is_left_out_is_the_models(nodes, model, retoucher, pictures, restore):
    for name in ("MoFRRRestore", "MoFRRRoute", "BPFReRetouch", "BPFReInpaint"):
        assert nodes[name].validate_inputs() is True
    assert nodes["FaceCrop"].validate_inputs() is True
    retouched = nodes["BPFReRetouch"].execute(pictures, retoucher, 1.0)
    assert retouched[0].shape == pictures.shape


def test_an_edited_config_is_a_new_model(nodes, models, pipe):
    folder = models / "mofrr" / "mine"
    pipe.save_pretrained(folder)
    fingerprint = nodes["MoFRRLoadModel"].fingerprint_inputs
    seen = [fingerprint("mine", "auto")]
    for name in ("model_index.json", "router/config.json", "scheduler/scheduler_config.json"):
        file = folder / name
        file.write_text(json.dumps(json.loads(file.read_text()), indent=4))
        seen.append(fingerprint("mine", "auto"))
    shutil.rmtree(folder)
    assert all(one != other for one, other in pairwise(seen))


def test_models_of_one_name_are_all_offered(nodes, models, pipe, tmp_path, monkeypatch):
    import folder_paths

    homes = [tmp_path / "first", tmp_path / "second"]
    for home in homes:
        for name in ("mine", "mofrr-tiny (embedded)"):
            (home / name).mkdir(parents=True)
            (home / name / "model_index.json").write_text("{}")
    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda _: [str(home) for home in homes])
    load = nodes["MoFRRLoadModel"]
    names = load.define_schema().inputs[0].options["options"]
    assert names[0] == "mofrr-tiny (embedded)" and len(names) == len(set(names)) == 5
    paths = load.models.paths()
    assert paths["mine"] == homes[0] / "mine" and homes[1] / "mine" in paths.values()
    assert paths["mofrr-tiny (embedded)"].name == "mofrr-tiny"
    assert {homes[0], homes[1]} <= {path.parent for path in paths.values()}


def test_simulation_is_interrupted_while_it_works(
    nodes, pictures, monkeypatch, memory, interrupted
):
    from frr.nodes import simulate

    def slow(*_):
        memory.interrupted = True
        time.sleep(3)

    monkeypatch.setattr(simulate, "retouch", slow)
    algorithms = {f"{name}_algorithm": "any" for name in EVERYTHING}
    start = time.monotonic()
    with pytest.raises(interrupted):
        nodes["RetouchSimulate"].execute(
            pictures, 0, 100, **dict.fromkeys(EVERYTHING, 0.5), **algorithms
        )
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("size", [-5, 5, 10**6])
def test_crops_of_no_possible_size_are_refused(nodes, pictures, size):
    with pytest.raises(ValueError, match=f"size is {size}; expected"):
        nodes["FaceCrop"].execute(pictures, "all", size, boxes=[])
