"""The recipes of the shipped sets run as they are written, at a size that takes seconds."""

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from frr.cli import main
from frr.pipelines.simulate.landmarks import canonical_mesh
from frr.training.recipes import read_recipe, recipe_names, shrink
from frr.training.stages.registry import POOLS, STAGES, pool_config, refuse_foreign, stage_config

PLACES = {"FACES": Path("faces"), "WORK": Path("work"), "OUT": Path("out")}
SIDE = 64  # of the faces


def settings(arguments):
    return dict(b.split("=", 1) for a, b in pairwise(arguments) if a == "--set")


@pytest.fixture(scope="module")
def faces(faces_dir, tmp_path_factory):
    """The folders that recipes name, with landmarks where the mean face has them."""
    folder = tmp_path_factory.mktemp("recipe") / "faces"
    names = [path.name for path in sorted(faces_dir.iterdir())]
    points = np.repeat(canonical_mesh().numpy()[None] * SIDE, len(names), axis=0)
    for name in ("train", "val", "test", "real_train", "real_val", "real_test"):
        shutil.copytree(faces_dir, folder / name)
        own = names
        if name == "real_val":
            own = [*names[:-1], "london_1.png"]
            (folder / name / names[-1]).rename(folder / name / own[-1])
        np.savez(folder / f"landmarks_{name}.npz", names=own, points=points)
    return folder


@pytest.mark.parametrize("name", recipe_names())
def test_every_setting_of_a_recipe_is_its_stages_own(name):
    for arguments in read_recipe(name, PLACES):
        command, stage = arguments[:2]
        if command == "train":
            refuse_foreign(stage, settings(arguments))
        if command == "pool":
            pool_config(stage).read(settings(arguments))


def test_a_small_size_changes_nothing_but_sizes():
    before = ["train", "router", "--pool", "p", "--set", "steps=9", "--set", "start=a"]
    after = shrink(before)
    assert after[:4] == before[:4]
    assert settings(after)["start"] == "a" and settings(after)["steps"] == "1"
    assert "size" not in settings(after)  # the pool decides
    assert settings(shrink(["pool", "router", "--faces", "f"]))["size"] == "64"
    assert shrink(["evaluate", "--limit", "24"])[-4:] == ["--size", "64", "--limit", "2"]
    assert shrink(["evaluate", "--candidates", "5"])[1:3] == ["--candidates", "2"]
    asked = ["thresholds", "--candidates", "candidates.jsonl"]
    assert shrink(asked) == asked
    with pytest.raises(ValueError, match="choose from bpfre-tiny, mofrr-tiny"):
        read_recipe("cake", PLACES)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_goes_from_faces_to_a_model(name, faces, tmp_path):
    places = ["--faces", faces, "--work", tmp_path / "work", "-o", tmp_path / "out"]
    arguments = [str(item) for item in ("recipe", name, *places, "--quick")]
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    index = json.loads((tmp_path / "out" / "model_index.json").read_text())
    assert "Pipeline" in str(index["_class_name"])
    assert (tmp_path / "out" / "README.md").is_file()
    assert not list((tmp_path / "out").rglob("*.py"))
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("checkpoint.pt")}
    assert kept
    filled = {"FACES": faces, "WORK": tmp_path / "work", "OUT": tmp_path / "out"}
    for step in map(shrink, read_recipe(name, filled)):
        if step[0] in ("pool", "train"):  # what takes long, and is not done again
            again = CliRunner().invoke(main, step, catch_exceptions=False)
            assert again.exit_code == 0, again.output
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


def names_of(span):
    """The settings that a piece of text in backticks may name: a stage's, a pool's, or any."""
    words = [*span.removeprefix("frr ").removeprefix("train ").split(), ""]
    if words[0] == "pool" and words[1] in POOLS:
        return set(pool_config(words[1]).names())
    if words[0] in STAGES:
        return set(stage_config(words[0]).names())
    every = {name for stage in STAGES for name in stage_config(stage).names()}
    return every.union(*(pool_config(stage).names() for stage in POOLS))


@pytest.mark.parametrize("file", ["training/RUNS.md", "CONTRIBUTING.md", "README.md"])
def test_no_text_names_a_setting_that_is_gone(file):
    text = (Path(__file__).resolve().parents[2] / file).read_text(encoding="utf-8")
    commands = re.findall(r"^frr (?:train|pool) .*$", text, re.M)
    for span in [*re.findall(r"`([^`\n]+)`", text), *commands]:
        named = re.findall(r"--set (\w+)=", span)
        if file.endswith("RUNS.md"):
            named += re.findall(r"^(\w+)=\S+$", span)
        assert set(named) <= names_of(span) | {"degree_source"}, span
