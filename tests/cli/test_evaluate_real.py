"""`frr evaluate --world real` and `frr thresholds`."""

import json
import shutil
from pathlib import Path

import pytest
from tiny_mofrr import build_native

from frr.pipelines.mofrr.pipeline import MoFRRPipeline
from frr.pipelines.operations import OPERATIONS
from frr.training.judging.native_photos import read_photos
from frr.training.judging.report_native import from_json

COUNT = len(OPERATIONS)


@pytest.fixture(scope="module")
def native_model(tmp_path_factory):
    """A folder with an untrained pipeline of experts that answer at once."""
    folder = tmp_path_factory.mktemp("model") / "native"
    build_native(stirred=False).save_pretrained(folder)
    return folder


def test_a_model_is_judged_and_its_router_calibrated(frr, people, native_model, tmp_path):
    model = shutil.copytree(native_model, tmp_path / "model")
    asked = ["--world", "real", "--faces", people, "--source", "people", "--model", model]
    judged = [*asked, "-o", "out", "--sides", "160", "--limit", "2", "--seed", "3", "--all-choices"]
    shown = frr("evaluate", *judged)
    result = from_json(Path("out/real.json").read_text())
    assert (result.faces, result.seed, result.sides) == (2, 3, (160,))
    assert {row.split for row in result.lifts} == {"seen", "unseen"}
    photos = read_photos(Path("out/photos.jsonl"))
    assert len(photos) == 4 * (COUNT + 2) and len(photos[0].decibels) == 2**COUNT
    for text in (shown.stdout, Path("out/real.md").read_text()):
        assert "Untouched photos" in text and "AUC untouched" in text
    assert "--overwrite" in frr("evaluate", *judged, status=2).stderr

    shown = frr("thresholds", "--model", model, "--photos", "out/photos.jsonl")
    config = json.loads((model / "router/config.json").read_text())
    assert "whitening: temperature" in shown.stdout
    assert {len(config[name]) for name in ("temperature", "bias", "thresholds")} == {COUNT}
    assert MoFRRPipeline.from_pretrained(model).router.config.bias == config["bias"]


def test_what_cannot_be_used_is_named(frr, people, model, native_model):
    asked = ["evaluate", "--world", "real", "--faces", people, "-o", "out"]
    shown = frr(*asked, "--source", "people", "--model", model, status=1)
    assert "without --world real" in shown.stderr
    asked += ["--model", native_model]
    assert "holds no face" in frr(*asked, "--source", "people/c*", status=1).stderr
    assert "expected numbers" in frr(*asked, "--sides", "big", status=2).stderr
    Path("empty.jsonl").touch()
    shown = frr("thresholds", "--model", native_model, "--photos", "empty.jsonl", status=1)
    assert "holds no photo" in shown.stderr
