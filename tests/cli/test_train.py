import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

from frr.models.mofrr.router import RetouchRouter
from frr.pipelines.operations import OPERATIONS
from frr.training.stages.registry import STAGES

QUICK = ["--set", "steps=2", "--set", "size=64", "--set", "batch_size=1", "--set", "log_every=1"]


def test_trains_a_stage_into_a_model_folder(frr, faces):
    shown = frr("train", "router", "--faces", faces, "--run", "run", *QUICK)
    assert f"wrote {Path('run/model')}" in shown.stdout
    settings = json.loads(Path("run/config.json").read_text())
    assert settings["stage"] == "router" and settings["settings"]["size"] == 64
    assert len(Path("run/log.jsonl").read_text().splitlines()) == 2
    router = RetouchRouter.from_pretrained("run/model")
    assert tuple(router.config.operations) == OPERATIONS


def test_a_run_is_continued_only_when_told(frr, faces):
    arguments = ["train", "router", "--faces", faces, "--run", "run", *QUICK]
    assert "--resume" in frr(*arguments, "--minutes", 0).stdout
    assert "resume" in frr(*arguments, status=1).stderr
    complaint = frr(*arguments[:-4], "--resume", "--set", "batch_size=2", status=1).stderr
    assert "batch_size='2' is not what this run was started with ('1')" in complaint
    frr(*arguments[: -len(QUICK)], "--resume")
    assert json.loads(Path("run/log.jsonl").read_text().splitlines()[-1])["step"] == 2
    assert Path("run/model").is_dir()


def test_a_pool_is_made_and_learnt_from(frr, faces):
    made = ["pool", "router", "--faces", faces, "-o", "pool", "--set", "items=2"]
    assert "wrote 2 items" in frr(*made, "--set", "size=64").stdout
    assert "holds a pool" in frr(*made, "--set", "size=64", status=1).stderr
    learn = ["train", "router", "--pool", "pool", "--run", "run", "--set", "batch_size=1"]
    frr(*learn, "--set", "steps=1")
    assert json.loads(Path("run/config.json").read_text())["settings"]["size"] == 64


def test_networks_are_averaged(frr, model):
    router = Path(model) / "router"
    assert "wrote mean" in frr("average", router, router, "-o", "mean").stdout
    once, twice = RetouchRouter.from_pretrained(router), RetouchRouter.from_pretrained("mean")
    for name, value in once.state_dict().items():
        assert torch.equal(value, twice.state_dict()[name]), name
    assert "--overwrite" in frr("average", router, router, "-o", "mean", status=2).stderr
    assert "at least two" in frr("average", router, "-o", "one", status=1).stderr


def test_help_lists_stages_and_their_settings(frr):
    shown = frr("train", "--help").stdout
    assert all(f"  {name} " in shown for name in STAGES)
    assert "frozen_statistics=false" in frr("train", "router", "--help").stdout
    assert "items=1000" in frr("pool", "warp", "--help").stdout


def test_a_missing_extra_is_named(frr, faces, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("frr.training.stages.r")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "frr.training.losses", None)
    shown = frr("train", "router", "--faces", faces, "--run", "run", *QUICK, status=1)
    assert "frr[train]" in shown.stderr


@pytest.fixture
def runs(model, tmp_path) -> Path:
    """Run folders as training leaves them, with the networks of the untrained model."""
    folder = tmp_path / "runs"
    for name in ("router", "shared", "merger", *OPERATIONS):
        part = name if name in ("router", "merger") else f"{name}_expert"
        shutil.copytree(Path(model) / part, folder / name / "model")
    return folder


def test_export_writes_a_model_that_restores(frr, runs, faces, photo):
    arguments = ["export", "--runs", runs, "-o", "made"]
    frr(*arguments, "--calibrate", faces, "--size", 64)
    index = json.loads(Path("made/model_index.json").read_text())
    assert index["_class_name"][-1] == "MoFRRPipeline"
    thresholds = json.loads(Path("made/router/config.json").read_text())["thresholds"]
    assert len(thresholds) == len(OPERATIONS) and set(thresholds) != {0.5}
    frr("restore", photo, "-o", "out", "--model", "made", "--operations", "whitening")
    assert Path("out/one.png").is_file()
    assert "--overwrite" in frr(*arguments, status=2).stderr
    Path("made/README.md").write_text("a card")
    frr(*arguments, "--overwrite")
    assert Path("made/README.md").read_text() == "a card"


def test_export_names_a_run_without_a_model(frr, runs):
    shutil.rmtree(runs / "smoothing")
    shown = frr("export", "--runs", runs, "-o", "made", status=1)
    assert "smoothing" in shown.stderr and not Path("made").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint", "status"),
    [
        (["nonsense"], "unknown stage 'nonsense'; choose from router, warp", 2),
        (["router", "--set", "speed=9"], "unknown setting 'speed'", 1),
        (["router", "--set", "crop=128"], "'crop', which belongs to bpfre, bpfre_inpaint", 1),
        (["router", "--set", "steps=many"], "steps='many'", 1),
        (["router", "--set", "steps=1", "--set", "steps=2"], "steps is set twice", 2),
        (["router", "--set", "steps"], "NAME=VALUE", 2),
        (["expert"], "operation=NAME", 1),
    ],
)
def test_wrong_arguments_are_refused(frr, faces, arguments, complaint, status):
    shown = frr("train", *arguments, "--faces", faces, "--run", "run", status=status)
    assert complaint in shown.stderr and not Path("run").exists()
