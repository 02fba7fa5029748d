"""Results are whole or not there, whatever ends the writing of them."""

import errno
import os
import signal
from pathlib import Path

import pytest

from frr.pipelines.repository import writing
from frr.pipelines.repository.exchange import filling
from frr.pipelines.repository.writing import clear_unfinished, replacing

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def killed_while(work) -> None:
    """Runs `work` in a process that ends it with kill -9."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


def write_half(path: Path) -> None:
    with replacing(path) as beside:
        beside.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)


@posix
def test_a_killed_process_leaves_what_was_there_and_the_next_clears_up(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"whole")
    killed_while(lambda: write_half(path))
    assert path.read_bytes() == b"whole" and len(names(tmp_path)) == 2
    writing._cleared.clear()
    with replacing(tmp_path / "b.png") as beside:
        beside.write_bytes(b"other")
    assert names(tmp_path) == ["a.png", "b.png"] and path.read_bytes() == b"whole"


@posix
def test_a_folder_that_was_being_replaced_comes_back(tmp_path, monkeypatch):
    place = tmp_path / "model"
    place.mkdir()
    (place / "weights").write_text("old")

    def write():
        with replacing(place) as beside:
            beside.mkdir()
            rename = Path.rename

            def once(path, target):
                rename(path, target)
                os.kill(os.getpid(), signal.SIGKILL)

            monkeypatch.setattr(Path, "rename", once)

    killed_while(write)
    assert not place.exists()
    clear_unfinished(tmp_path)
    assert (place / "weights").read_text() == "old" and names(tmp_path) == ["model"]


def test_what_another_process_writes_is_left_alone(tmp_path):
    living = tmp_path / f".frr-{writing.HOST}-{os.getppid()}-0-unfinished.png"
    elsewhere = tmp_path / f".frr-{writing.HOST + 1}-1-0-unfinished.png"
    for path in (living, elsewhere, tmp_path / ".frr-notes"):
        path.write_text("")
    clear_unfinished(tmp_path)
    assert len(names(tmp_path)) == 3
    os.utime(elsewhere, (0, 0))
    clear_unfinished(tmp_path)
    assert elsewhere.name not in names(tmp_path) and len(names(tmp_path)) == 2


def test_two_writers_of_one_place_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as first, replacing(path) as second:
        first.write_text("first")
        second.write_text("second")
        assert first != second
    assert path.read_text() == "first" and names(tmp_path) == ["a.txt"]


def test_names_of_any_length_and_links(tmp_path):
    long, other = tmp_path / ("n" * 251 + ".png"), tmp_path / "other"
    with replacing(long) as beside:
        beside.write_text("long")
    link = tmp_path / "link.png"
    link.symlink_to(other)
    with replacing(link) as beside:
        beside.write_text("new")
    assert not other.exists() and not link.is_symlink() and link.read_text() == "new"


def test_a_full_disk_is_said_as_such(tmp_path, monkeypatch):
    monkeypatch.setattr(writing.shutil, "disk_usage", lambda _: Full)
    with pytest.raises(OSError) as caught, replacing(tmp_path / "checkpoint.pt") as beside:
        beside.write_text("some")
        raise RuntimeError("PytorchStreamWriter failed writing file data/0")
    assert caught.value.errno == errno.ENOSPC and not names(tmp_path)


class Full:
    free = 0


def test_a_model_takes_the_place_of_an_older_one_whole(tmp_path):
    def fill(version: str, *files: str) -> None:
        with filling(tmp_path) as beside:
            (beside / "router").mkdir()
            for name in (*files, "model_index.json"):
                (beside / name).write_text(version)
            index = f'{{"_class_name": ["mofrr_pipeline_v{version}", "MoFRRPipeline"]}}'
            (beside / "model_index.json").write_text(index)

    stem = "router/diffusion_pytorch_model"
    shards = [f"{stem}-0000{n}-of-00002.safetensors" for n in (1, 2)]
    fill("00000001", "mofrr_a_v00000001.py", *shards, f"{stem}.safetensors.index.json")
    (tmp_path / "notes_v99999999.py").write_text("mine")
    (tmp_path / "router" / "notes.txt").write_text("mine")
    (tmp_path / f"{stem}.fp16.safetensors").write_text("half")
    fill("00000002", "mofrr_a_v00000002.py", f"{stem}.safetensors")
    assert names(tmp_path) == [
        *("model_index.json", "mofrr_a_v00000002.py", "notes_v99999999.py", "router")
    ]
    assert names(tmp_path / "router") == [
        *("diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.safetensors"),
        "notes.txt",
    ]
    with pytest.raises(RuntimeError), filling(tmp_path) as beside:
        (beside / "model_index.json").write_text("never")
        raise RuntimeError
    assert "00000002" in (tmp_path / "model_index.json").read_text()
    with pytest.raises(RuntimeError), filling(tmp_path / "new"):
        raise RuntimeError
    assert not (tmp_path / "new").exists()
