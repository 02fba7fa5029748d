"""`frr export` and `frr card`: model folders written again, with their cards, and pushed."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest

from frr.commands import options
from frr.pipelines.repository import writer as frr_repository


@pytest.fixture
def own(frr, model, monkeypatch) -> str:
    """A copy of the model to write cards into, loaded anew each time."""
    monkeypatch.setattr(options, "load_pipeline", load)
    return str(shutil.copytree(model, "own"))


load = options.load_pipeline


def test_a_model_is_written_again_and_pushed(frr, own, monkeypatch):
    pushed = []
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: "hf_x")
    monkeypatch.setattr(
        frr_repository, "_upload", lambda folder, repo, *_, **given: pushed.append((repo, given))
    )
    Path(own, "README.md").write_text("a card")
    arguments = ["export", "--model", own, "-o", "made", "--dtype", "float16", "--variant", "fp16"]
    shown = frr(*arguments, "--push", "me/mofrr", "--private")
    assert pushed == [("me/mofrr", {"private": True})] and "me/mofrr" in shown.stdout
    assert Path("made/README.md").read_text() == "a card"
    assert Path("made/merger/diffusion_pytorch_model.fp16.safetensors").is_file()
    frr("export", "--model", own, "-o", "shards", "--shard-size", "8KB")
    assert len(list(Path("shards/merger").glob("*-of-*.safetensors"))) > 1
    assert json.loads(Path("shards/model_index.json").read_text())["working_size"] == 64


def test_without_code_as_the_embedded_models_lie(frr, model):
    frr("export", "--model", model, "-o", "bare", "--without-code")
    assert not list(Path("bare").rglob("*.py"))
    index = json.loads(Path("bare/model_index.json").read_text())
    assert index["_class_name"] == "MoFRRPipeline"
    assert index["merger"] == ["frr", "ExpertMerger"]
    frr("export", "--model", "bare", "-o", "whole")
    assert list(Path("whole").glob("mofrr_pipeline_v*.py"))
    pushed = ["--model", model, "-o", "x", "--without-code", "--push", "me/x"]
    assert "--without-code" in frr("export", *pushed, status=2).stderr


def test_a_push_without_login_is_refused_before_anything_is_written(frr, model, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    shown = frr("export", "--model", model, "-o", "made", "--push", "me/mofrr", status=1)
    assert "hf auth login" in shown.stderr and not Path("made").exists()


def test_export_needs_one_source(frr, model, tmp_path):
    assert "either" in frr("export", "-o", "made", status=2).stderr
    both = ["export", "-o", "made", "--model", model, "--runs", tmp_path]
    assert "either" in frr(*both, status=2).stderr


def test_evaluate_card_export(frr, own, faces):
    frr("evaluate", "--faces", faces, "-o", "judged", "--size", 64, "--limit", 1, "--steps", 1,
        "--split", "seen", "--routing", "given", "--model", own)  # fmt: skip
    arguments = ["card", "--model", own, "--evaluation", "judged/given.json", "--repo", "me/m"]
    frr(*arguments)
    text = Path(own, "README.md").read_text()
    measured = json.loads(Path("judged/given.json").read_text())
    assert measured["weights"] and '"me/m"' in text
    assert str(measured["restoration"][0]["restored_psnr"]) in text
    assert "--overwrite" in frr(*arguments, status=2).stderr
    frr("export", "--model", own, "-o", "made")
    for name in ("README.md", "before_after.png"):
        assert Path("made", name).read_bytes() == Path(own, name).read_bytes()
    measured["weights"] = "other"
    Path("judged/given.json").write_text(json.dumps(measured))
    shown = frr(*arguments, "--overwrite", status=1)
    assert "given.json was measured with other weights" in shown.stderr
