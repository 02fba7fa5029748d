"""A recipe on a lent machine: packed small, trained in slices, brought back in small files."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from frr.training.bundles import bring_back, pack, take_up
from frr.training.slices import run_slice
from frr.training.stages.running import make_pool

RECIPE = """
frr pool router --faces "$FACES/train" -o "$WORK/pool" --resume --set items=2 --set size=64
frr train router --pool "$WORK/pool" --run "$WORK/router" --resume --set steps=3 \\
    --set batch_size=1 --set warmup=0
frr train bpfre_inpaint --faces "$FACES/train" --run "$WORK/inpaint" --resume --set steps=1 \\
    --set batch_size=1 --set crop=32 --set size=64 --set warmup=0
"""


@pytest.fixture
def people(faces_dir, tmp_path) -> Path:
    """A folder with the folder `train` of six faces."""
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "train").symlink_to(faces_dir, target_is_directory=True)
    return tmp_path / "people"


def test_a_bundle_keeps_to_its_limit_and_runs_by_itself(people, tmp_path):
    make = make_pool("router", {"items": 2, "size": 64}, tmp_path / "pool", people / "train")
    assert list(make) == [(2, 2)]
    whole = pack(tmp_path / "whole.tar.gz", people, [tmp_path / "pool"], 60 * 10**6)
    assert whole["photos"] == 6 and whole["items"] == 64
    limit = whole["code"] + whole["faces"] // 2
    assert 0 < pack(tmp_path / "part.tar.gz", people, [], limit)["photos"] < 6
    assert (tmp_path / "part.tar.gz").stat().st_size <= limit
    with pytest.raises(ValueError, match="raise it"):
        pack(tmp_path / "none.tar.gz", people, [], 10**5)

    lent = tmp_path / "lent"
    with tarfile.open(tmp_path / "whole.tar.gz") as tar:
        tar.extractall(lent, filter="data")
    (lent / "frr/training/recipes/tried.sh").write_text(RECIPE)
    command = [sys.executable, "-m", "frr.cli", "slice", "tried", "--faces", "faces"]
    command += ["--work", "work", "-o", "back", "--minutes", "0.001"]
    shown = subprocess.run(
        command, cwd=lent, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True
    )
    assert "1 of 3 commands are done" in shown.stdout, shown.stdout + shown.stderr
    assert "frr pool" not in shown.stdout and "frr train router" in shown.stdout  # it was sent


def test_slices_go_on_also_on_another_machine(people, tmp_path, monkeypatch):
    from frr.cli import main
    from frr.training import recipes

    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/tried.sh").write_text(RECIPE)
    monkeypatch.setattr(recipes, "FOLDER", tmp_path / "recipes")
    work, back = tmp_path / "work", tmp_path / "back"

    def slice_of(seconds: float, work: Path):
        places = {"FACES": people, "WORK": work, "OUT": work / "model"}
        steps = recipes.read_recipe("tried", places)
        return run_slice(
            steps, work, back, seconds, lambda step: main.main(step, standalone_mode=False)
        )

    first = slice_of(0.001, work)
    assert (first.done, first.total) == (1, 3)  # the pool is one file, made whole
    second = slice_of(0.001, work)  # a step of training, and its checkpoint
    assert second.done == 1 and (work / "router/checkpoint.pt").is_file()

    other = tmp_path / "other"
    take_up(back, other)
    (work / "pool").rename(other / "pool")  # pools are made again, or sent
    last = slice_of(600, other)
    assert last.done == 3
    take_up(back, tmp_path / "home")
    for run in ("router", "inpaint"):
        assert list((tmp_path / "home" / run / "model").glob("*.safetensors"))
    assert not (tmp_path / "home/router/checkpoint.pt").exists()


def test_what_is_brought_back_is_cut_into_small_files(tmp_path):
    (tmp_path / "work/run").mkdir(parents=True)
    (tmp_path / "work/run/large").write_bytes(bytes(range(256)) * 400)
    files = [tmp_path / "work/run/large"]
    pieces = bring_back(tmp_path / "work", files, tmp_path / "back", 30_000)
    assert len(pieces) == 4 and max(each.stat().st_size for each in pieces) <= 30_000
    bring_back(tmp_path / "work", files, tmp_path / "back", 60_000)
    assert len(list((tmp_path / "back").iterdir())) == 2  # no piece of the first is left
    take_up(tmp_path / "back", tmp_path / "again")
    assert (tmp_path / "again/run/large").read_bytes() == files[0].read_bytes()
    with pytest.raises(ValueError, match=r"state\.tar\.000"):
        take_up(tmp_path / "work", tmp_path / "again")
