"""A disk that fills, a small one made for it: said as such, nothing half there, nothing lost."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frr.training.run_folder import read_checkpoint


class Disk:
    """A file system of a size that can be changed."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mount(self, size: int, more: str = "") -> None:
        """Makes it this large, in bytes."""
        options = f"size={size}{more}"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.path)]
        subprocess.run(command, check=True, capture_output=True)

    def grow(self) -> None:
        """Makes room."""
        self.mount(2**28, ",remount")

    def unfinished(self) -> list[str]:
        """What was left behind of files that could not be written."""
        return [path.name for path in self.path.rglob("*") if "unfinished" in path.name]


@pytest.fixture
def disk(tmp_path):
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("NOT TESTED: a small disk can only be made by root on Linux")
    made = Disk(tmp_path / "small")
    made.path.mkdir()
    try:
        made.mount(2**12)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"NOT TESTED: no small disk can be made here ({error})")
    yield made
    subprocess.run(["umount", "-l", str(made.path)], check=True)


def test_restore(frr, model, disk, tmp_path):
    (tmp_path / "photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):  # of noise, 196 KB each
        levels = rng.integers(0, 256, (256, 256, 3), dtype=np.uint8)
        Image.fromarray(levels).save(tmp_path / "photos" / f"{number}.png")
    disk.mount(450_000, ",remount")
    out = disk.path / "out"
    line = ["restore", "photos", "-o", out, "--model", model, "--strength", "0"]
    shown = frr(*line, status=1)
    assert "No space left on device" in shown.stderr and "Traceback" not in shown.output
    first = {path.name: path.read_bytes() for path in out.glob("*.png")}
    assert 0 < len(first) < 4 and not disk.unfinished()
    disk.grow()
    frr(*line, "--resume")
    for number in range(4):
        name = f"{number}.png"
        result, photo = (np.asarray(Image.open(p / name)) for p in (out, tmp_path / "photos"))
        assert np.array_equal(result, photo)
        assert first.get(name, (out / name).read_bytes()) == (out / name).read_bytes()


def test_export(frr, model, disk):
    disk.mount(200_000, ",remount")
    shown = frr("export", "--model", model, "-o", disk.path / "made", status=1)
    assert "No space left on device" in shown.stderr and "Traceback" not in shown.output
    assert not [path for path in disk.path.rglob("*") if path.is_file()]
    disk.grow()
    frr("export", "--model", model, "-o", disk.path / "made")
    assert (disk.path / "made" / "model_index.json").is_file()


def test_train(frr, faces, disk):
    values = ("steps=3", "size=64", "batch_size=1", "log_every=1")
    settings = [each for value in values for each in ("--set", value)]
    line = ["train", "router", "--faces", faces, *settings]
    frr(*line, "--run", "elsewhere", "--minutes", 0)
    disk.mount(int(1.5 * Path("elsewhere/checkpoint.pt").stat().st_size), ",remount")
    run = disk.path / "run"
    frr(*line, "--run", run, "--minutes", 0)
    step = read_checkpoint(run / "checkpoint.pt")["step"]
    shown = frr(*line, "--run", run, "--resume", status=1)
    assert "No space left on device" in shown.stderr and "Traceback" not in shown.output
    assert read_checkpoint(run / "checkpoint.pt")["step"] == step and not disk.unfinished()
    disk.grow()
    frr(*line, "--run", run, "--resume")
    logged = [json.loads(each)["step"] for each in (run / "log.jsonl").read_text().splitlines()]
    assert logged == [1, 2, 3] and (run / "model").is_dir()


def test_evaluate(frr, faces, model, disk):
    disk.mount(8192, ",remount")
    (disk.path / "of_others").write_bytes(bytes(4096))
    out = disk.path / "out"
    line = ["evaluate", "--faces", faces, "-o", out, "--model", model, "--size", 48, "--limit", 1]
    line += ["--split", "seen", "--routing", "given"]
    shown = frr(*line, status=1)
    assert "No space left on device" in shown.stderr and "Traceback" not in shown.output
    assert not disk.unfinished()
    for path in out.glob("*.json"):
        json.loads(path.read_text())
    disk.grow()
    frr(*line, "--overwrite")
    assert json.loads((out / "given.json").read_text())["faces"] == 1
