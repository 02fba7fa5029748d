"""Nothing is lost: what a command did not make is not replaced, and a stopped run goes on."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_mofrr import build

from frr.commands import options
from frr.commands.photos import Job, own_files, plan
from frr.commands.results import LIST_NAME, Results


def everything(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def grey(tmp_path) -> Path:
    """A folder with a mask, or reference, of the photo's name."""
    folder = tmp_path / "other"
    folder.mkdir()
    Image.new("RGB", (64, 64), (90, 90, 90)).save(folder / "one.png")
    return folder


def test_only_unchanged_results_are_overwritten(tmp_path):
    target = tmp_path / "a.json"
    Results(tmp_path).write_text(target, "first")
    with pytest.raises(ValueError, match="--overwrite"):
        Results(tmp_path).check(target)
    again = Results(tmp_path, overwrite=True)
    again.write_text(target, "second")
    again.write_text(target, "third")
    target.write_text("edited")
    with pytest.raises(ValueError, match="no result of"):
        Results(tmp_path, overwrite=True).check(target)


def test_a_list_that_was_cut_short_is_read_and_continued(tmp_path):
    Results(tmp_path).write_text(tmp_path / "a.txt", "a")
    with (tmp_path / LIST_NAME).open("ab") as file:
        file.write(b'["0123", 4, "b.')
    Results(tmp_path).write_text(tmp_path / "c.txt", "c")
    Results(tmp_path, overwrite=True).check(tmp_path / "a.txt", tmp_path / "c.txt")


@pytest.mark.parametrize("kind", ["dangling", "to a file", "to a folder"])
def test_links_are_neither_followed_nor_replaced(tmp_path, kind):
    place = tmp_path / "elsewhere"
    if kind == "to a file":
        place.write_text("mine")
    elif kind == "to a folder":
        place.mkdir()
    link = tmp_path / "a.png"
    link.symlink_to(place)
    with pytest.raises(ValueError, match="is a link"):
        Results(tmp_path, overwrite=True).write_text(link, "new")
    assert link.is_symlink() and place.exists() == (kind != "dangling")


def test_inputs_of_every_kind_are_guarded(frr, photo, grey, model, monkeypatch):
    for command, option in (("restore", "--reference"), ("simulate", "")):
        before = everything(grey.parent)
        arguments = ["-o", grey, "--overwrite"] + ([option, grey] if option else [grey / "one.png"])
        arguments += ["--model", model] if option else ["--operations", "whitening"]
        shown = frr(command, photo, *arguments, status=1)
        assert "another input" in shown.stderr or "no result of" in shown.stderr
        assert everything(grey.parent)["other/one.png"] == before["other/one.png"]
        assert everything(photo.parent) == {"one.png": photo.read_bytes()}


def test_results_that_are_inputs_are_guarded_too(tmp_path):
    """A reference that `frr simulate` made is on the list, and still not replaced."""
    Results(tmp_path).write_text(tmp_path / "one.png", "made here")
    guarded = Results(tmp_path, [tmp_path], overwrite=True)
    with pytest.raises(ValueError, match="another input"):
        guarded.check(tmp_path / "one.png")
    os.link(tmp_path / "one.png", tmp_path / "two.png")
    with pytest.raises(ValueError, match="another input"):
        guarded.check(tmp_path / "two.png")


def test_names_that_would_meet_are_told_apart(tmp_path):
    def files(job: Job) -> tuple[Path, ...]:
        return (*own_files(job), job.target.with_name(f"{job.target.stem}_coarse.png"))

    found = [Path(name) for name in ("a.png", "a_coarse.png", "A.jpg", "a.webp")]
    jobs = plan(found, tmp_path, "png", files)
    written = [str(path).casefold() for job in jobs for path in files(job)]
    assert len(set(written)) == len(written) == 12
    assert [job.target.name for job in jobs[:2]] == ["a.png", "a_coarse-2.png"]


def test_a_stopped_run_goes_on(frr, photo, model, monkeypatch):
    for seed in range(3):
        Image.fromarray(np.full((64, 64, 3), 60 * seed, np.uint8)).save(
            photo.parent / f"{seed}.png"
        )
    arguments = ["restore", photo.parent, "-o", "out", "--model", model, "--strength", "0"]
    frr(*arguments)
    whole = everything(Path("out"))
    for name in ("1.png", "2.json", "one.png"):
        Path("out", name).unlink()
    kept = Path("out/0.png").stat().st_mtime_ns
    shown = frr(*arguments, "--resume")
    assert "1 photo(s) were done before" in shown.stderr
    again = everything(Path("out"))
    assert {n: v for n, v in again.items() if n.endswith(".png")} == {
        n: v for n, v in whole.items() if n.endswith(".png")
    }
    assert Path("out/0.png").stat().st_mtime_ns == kept and len(again) == len(whole)
    complaint = frr(*arguments[:-1], "0.5", "--resume", status=1).stderr
    assert complaint.count("settings=") == 4
    assert "4 photo(s) were done before" in frr(*arguments, "--resume").stderr


def test_a_photo_that_runs_out_of_memory_is_named_and_the_others_go_on(
    frr, photo, model, monkeypatch
):
    Image.new("RGB", (64, 64)).save(photo.parent / "two.png")
    restore = options.restore_photo

    def fail_once(pipe, pixels, **arguments):
        monkeypatch.setattr(options, "restore_photo", restore)
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB\nsecond line")

    monkeypatch.setattr(options, "restore_photo", fail_once)
    arguments = ["-o", "out", "--model", model, "--strength", "0"]
    shown = frr("restore", photo.parent, *arguments, status=1)
    assert "one.png: CUDA out of memory" in shown.stderr and "second line" not in shown.stderr
    assert Path("out/two.png").is_file() and not Path("out/one.png").exists()


def test_a_failed_write_leaves_nothing(frr, photo, model, monkeypatch):
    def fail(picture, path, **_):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    shown = frr("restore", photo, "-o", "out", "--model", model, "--strength", "0", status=1)
    assert "No space left" in shown.stderr
    assert everything(Path("out")) == {}


def test_demo_and_average_replace_nothing_of_others(frr, model, tmp_path):
    Path("out").mkdir()
    Path("out/before.png").write_text("mine")
    assert "--overwrite" in frr("demo", "-o", "out", "--model", model, status=2).stderr
    shown = frr("demo", "-o", "out", "--model", model, "--overwrite", status=2)
    assert "no result of" in shown.stderr
    assert everything(Path("out")) == {"before.png": b"mine"}
    router = Path(model) / "router"
    shown = frr("average", router, router, "-o", "out", "--overwrite", status=2)
    assert "no folder of a network" in shown.stderr
    shown = frr("average", router, router, "-o", router, "--overwrite", status=2)
    assert "one of the networks" in shown.stderr
    assert everything(Path("out")) == {"before.png": b"mine"}


def test_export_replaces_only_models(frr, model, tmp_path):
    source = everything(Path(model))
    for name in ("router/notes.txt", "tool_v01234567.py"):
        place = tmp_path / name.split(".")[0] / "made"
        (place / name).parent.mkdir(parents=True)
        (place / name).write_text("mine")
        for options_ in ([], ["--overwrite"]):
            shown = frr("export", "--model", model, "-o", place, *options_, status=2)
            assert "and no model" in shown.stderr
        assert everything(place) == {name: b"mine"}
    other = tmp_path / "other"
    other.mkdir()
    (other / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    shown = frr("export", "--model", model, "-o", other, "--overwrite", status=2)
    assert "StableDiffusionPipeline, which is not replaced" in shown.stderr
    assert everything(Path(model)) == source


def test_a_model_that_cannot_be_written_leaves_the_older_one(frr, tmp_path, monkeypatch):
    build(stirred=False).save_pretrained(tmp_path / "made")
    before = everything(tmp_path / "made")
    from frr.pipelines.repository import writer

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "write_layout", fail)
    arguments = ["export", "--model", tmp_path / "made", "-o", "made", "--overwrite"]
    assert "No space left" in frr(*arguments, status=1).stderr
    assert everything(tmp_path / "made") == before
