"""`--candidates` of `frr restore`, `frr evaluate` and `frr thresholds`."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from by_operation import further
from PIL import Image
from tiny_native import NATIVE_ROUTER

from frr.models.mofrr.flow_expert import FlowExpert
from frr.models.mofrr.native_router import NativeRouter
from frr.models.mofrr.texture_expert import TextureExpert
from frr.models.mofrr.tone_expert import ToneExpert
from frr.pipelines.mofrr.pipeline import MoFRRPipeline
from frr.pipelines.operations import OPERATIONS
from frr.training.stages.expert import make_scheduler

SMALL = {"widths": (8, 8, 8), "fine": 8}


@pytest.fixture(scope="module")
def stirred(tmp_path_factory):
    """A folder with a pipeline whose experts answer at once, and do something."""
    torch.manual_seed(0)
    pipe = MoFRRPipeline(
        scheduler=make_scheduler(),
        router=NativeRouter(OPERATIONS, **NATIVE_ROUTER),
        whitening_expert=ToneExpert(**SMALL),
        smoothing_expert=TextureExpert(width=8, context_width=8),
        face_slimming_expert=FlowExpert("face_slimming", **SMALL),
        eye_enlarging_expert=FlowExpert("eye_enlarging", **SMALL),
        **further(lambda: TextureExpert(width=8, context_width=8)),
        shared_expert=None,
        merger=None,
    )
    for network in (part for part in pipe.components.values() if isinstance(part, torch.nn.Module)):
        for parameter in network.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.05)
    folder = tmp_path_factory.mktemp("model") / "stirred"
    pipe.save_pretrained(folder)
    return folder


def test_candidates_are_written_beside_and_listed(frr, photo, stirred):
    asked = ["restore", photo, "-o", "out", "--model", stirred, "--candidates", "3"]
    shown = frr(*asked, "--operations", "whitening,face_slimming", "--seed", "2")
    report = json.loads(Path("out/one.json").read_text())
    names = [each["file"] for each in report["candidates"]]
    assert names == ["one_1.png", "one_2.png", "one_3.png"]
    pixels = {Image.open(Path("out") / name).tobytes() for name in [*names, "one.png"]}
    assert len(pixels) == 4
    chances = [each["likelihood"] for each in report["candidates"]]
    assert chances == sorted(chances, reverse=True) and sum(chances) == pytest.approx(1, abs=1e-3)
    for each in report["candidates"]:
        assert set(each["degrees"]) == {"whitening", "face_slimming"}
        assert each["words"] in shown.stdout
    assert report["uncertainty_levels"] == pytest.approx(255 * report["uncertainty"], abs=0.01)


def test_no_other_file_is_overwritten(frr, photo, stirred):
    Path("out").mkdir()
    Path("out/one_2.png").write_text("mine")
    asked = ["restore", photo, "-o", "out", "--model", stirred, "--operations", "whitening"]
    shown = frr(*asked, "--candidates", "2", "--overwrite", status=1)
    assert "one_2.png is no result" in shown.stderr
    assert Path("out/one_2.png").read_text() == "mine" and not Path("out/one.png").exists()
    for other in (["--samples", "2"], ["--faces", "all"]):
        assert "--candidates" in frr(*asked, "--candidates", "2", *other, status=2).stderr


def test_names_of_photos_and_candidates_keep_apart(frr, photo, stirred):
    shutil.copy(photo, photo.with_name("one_1.png"))
    asked = ["restore", photo.parent, "-o", "out", "--model", stirred, "--operations", "whitening"]
    frr(*asked, "--candidates", "2")
    reports = [json.loads(path.read_text()) for path in Path("out").glob("*.json")]
    written = [Path(each["output"]).name for each in reports]
    written += [one["file"] for each in reports for one in each["candidates"]]
    assert len(set(written)) == 6


def test_where_nothing_is_open_there_are_none(frr, photo, stirred):
    asked = ["restore", photo, "-o", "out", "--model", stirred, "--operations", "whitening"]
    frr(*asked, "--degree", "whitening=0.5", "--candidates", "2")
    assert json.loads(Path("out/one.json").read_text())["candidates"] == []
    assert not Path("out/one_1.png").exists()


def test_candidates_are_judged_and_calibrated(frr, people, stirred, tmp_path):
    model = shutil.copytree(stirred, tmp_path / "model")
    asked = ["evaluate", "--faces", people, "--source", "people", "--model", model, "-o", "out"]
    asked += ["--candidates", "3", "--sides", "160", "--seed", "3"]
    assert "--world real" in frr(*asked, status=2).stderr
    shown = frr(*asked, "--world", "real")
    rows = json.loads(Path("out/candidates.json").read_text())["rows"]
    assert {row["split"] for row in rows} == {"seen", "unseen"}
    assert "CRPS" in shown.stdout and "| CRPS |" in Path("out/candidates.md").read_text()
    lines = Path("out/candidates.jsonl").read_text().splitlines()
    assert sum(row["photos"] for row in rows) == len(lines)
    with Image.open("out/candidates.png") as shown_rows:
        side, left = divmod(shown_rows.width - 6 * 4, 7)
        assert left == 0 and shown_rows.height % (side + 24) == 0

    shown = frr("thresholds", "--model", model, "--candidates", "out/candidates.jsonl")
    assert "degree temperature" in shown.stdout
    config = MoFRRPipeline.from_pretrained(model).router.config
    assert len(config.degree_prior) == len(config.sample_gain) == len(config.operations)
    assert config.thresholds == MoFRRPipeline.from_pretrained(stirred).router.config.thresholds
    assert "nothing to calibrate on" in frr("thresholds", "--model", model, status=2).stderr
