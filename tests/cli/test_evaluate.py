import json
from pathlib import Path

from frr.pipelines.simulate import bank
from frr.pipelines.simulate.recipe import OPERATIONS
from frr.training.judging.report_mofrr import from_json


def test_prints_and_writes_tables(frr, faces, model):
    options = ["--model", model, "--size", 48, "--limit", 1, "--steps", 1]
    shown = frr("evaluate", "--faces", faces, "-o", "out", *options)
    given, router = (
        from_json(Path(f"out/{name}.json").read_text()) for name in ("given", "router")
    )
    assert (given.faces, given.size, given.router) == (1, 48, ())
    assert {row.split for row in given.restoration} == {"seen", "unseen"}
    conditions = {*OPERATIONS, "mixed", "untouched"}
    assert {row.condition for row in router.restoration} == conditions
    assert len(router.router) == 2 * len(OPERATIONS)
    tables = Path("out/evaluation.md").read_text()
    for text in (shown.stdout, tables):
        assert "operations given" in text and "found by the router" in text
        assert f"{given.row('seen', 'whitening').copy_psnr:.2f}" in text


def test_settings_are_used(frr, faces, model):
    options = ["--limit", 1, "--routing", "given", "--split", "unseen", "--steps", 2, "--seed", 3]
    frr("evaluate", "--faces", faces, "-o", "out", "--model", model, "--size", 48, *options)
    result = json.loads(Path("out/given.json").read_text())
    assert (result["faces"], result["size"], result["steps"], result["seed"]) == (1, 48, 2, 3)
    assert {row["split"] for row in result["restoration"]} == {"unseen"}
    assert not Path("out/router.json").exists()


def test_results_are_not_overwritten_unasked(frr, faces, model):
    Path("out").mkdir()
    Path("out/evaluation.md").write_text("mine")
    arguments = ["evaluate", "--faces", faces, "-o", "out", "--model", model]
    assert "--overwrite" in frr(*arguments, status=2).stderr
    assert Path("out/evaluation.md").read_text() == "mine"


def test_a_folder_without_faces_is_named(frr, model, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    shown = frr("evaluate", "--faces", empty, "-o", "out", "--model", model, status=1)
    assert "empty" in shown.stderr and "no image" in shown.stderr


def test_identity_needs_its_extra(frr, faces, model, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    arguments = ["evaluate", "--faces", faces, "-o", "out", "--model", model, "--size", 64]
    assert "frr[identity]" in frr(*arguments, "--identity", status=1).stderr


def test_calibrate_prints_every_algorithm(frr, faces):
    shown = frr("calibrate", "--faces", faces, "--size", 64, "--limit", 1)
    assert shown.stdout.startswith("1 faces of 64 px")
    for operation in OPERATIONS:
        assert all(f" {name}" in shown.stdout for name in bank.algorithms(operation))
    assert "mixed" in shown.stdout and "measuring" in shown.stderr
