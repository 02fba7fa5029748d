"""Whole command lines against a tree of files: only results of `frr` itself change."""

import contextlib
import io
import os
import random
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_mofrr import build

from frr.cli import main
from frr.commands import options

SIDE = 64
PLACES = (
    "photos",
    "refs",
    "out",
    "photos/one.png",
    "refs/one.png",
    "gone",
    "junk.png",
    "n" * 300,
    "",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "untrained"
    build(stirred=False, working_size=SIDE).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def loaded(model):
    """The loader of pipelines, which loads this one once."""
    pipe = options.load_pipeline(str(model), "cpu", "float32")
    load = options.load_pipeline

    def cached(name, device, dtype):
        return pipe if name == str(model) else load(name, device, dtype)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options, "load_pipeline", cached)
        yield pipe


def plant(tree: Path) -> None:
    """Photos, pictures of their names elsewhere, and files of others in the way."""
    for place, seed in (("photos/one.png", 0), ("photos/two.jpg", 1), ("refs/one.png", 2)):
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        levels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(levels).save(tree / place)
    shutil.copy(tree / "photos/one.png", tree / "photos/one_whitening.png")
    (tree / "junk.png").write_bytes(b"no picture")
    (tree / "out").mkdir()
    for name in ("one.json", "two.png", "panel.png", "README.md", "config.json"):
        (tree / "out" / name).write_text("of somebody else")
    (tree / "out" / "one.webp").symlink_to(tree / "refs" / "nowhere.webp")


def seen(tree: Path) -> dict[str, bytes | str]:
    """Every file and link."""
    found = {}
    for path in sorted(tree.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(tree))] = f"-> {path.readlink()}"
        elif path.is_file():
            found[str(path.relative_to(tree))] = path.read_bytes()
    return found


@st.composite
def command_lines(draw, model: str) -> list[str]:
    command = draw(st.sampled_from(("restore", "restore", "simulate", "demo", "export", "average")))
    place = st.sampled_from(PLACES)
    more = {
        "restore": ("--strength", "--operations", "--degree", "--format", "--reference", "--steps"),
        "simulate": ("--operations", "--degree", "--format", "--recipe", "--seed", "--lossy"),
    }.get(command, ("--seed", "--dtype"))
    values = ("0", "1", "0.5", "whitening", "whitening=0.5", "whitening=on", "png", "jpg", "webp")
    flags = {"restore": ("--overwrite", "--resume", "--experts", "--always")}
    flags["simulate"] = ("--overwrite", "--resume", "--sheet")
    line = [command]
    if command in ("restore", "simulate"):
        line += draw(st.lists(place, min_size=1, max_size=3))
    if command == "average":
        line += [f"{model}/router", f"{model}/router"]
    line += ["-o", draw(st.sampled_from(("out", "out", "photos", "refs", *PLACES)))]
    for name in draw(st.lists(st.sampled_from(more), max_size=2)):
        line += [name, draw(place) if name == "--reference" else draw(st.sampled_from(values))]
    line += draw(st.lists(st.sampled_from(flags.get(command, ("--overwrite",))), max_size=2))
    if command in ("restore", "export"):
        line += ["--model", draw(st.sampled_from((model, model, model, "photos", "gone")))]
    if command == "demo":
        line += ["--model", model, "--steps", draw(st.sampled_from(("1", "0")))]
    return line


def run(line: list[str]):
    done = CliRunner().invoke(main, line)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code in (0, 1, 2)
    return done


@given(data=st.data())
def test_command_lines(data, loaded, model, tmp_path_factory, tried):
    tried()
    tree = tmp_path_factory.mktemp("tree")
    plant(tree)
    before, outside = seen(tree), seen(model)
    with contextlib.chdir(tree) if hasattr(contextlib, "chdir") else _inside(tree):
        for _ in range(data.draw(st.integers(1, 2))):
            run(data.draw(command_lines(str(model))))
    after = seen(tree)
    assert {name: after.get(name) for name in before} == before
    assert not [name for name in after if "unfinished" in name or ".frr-replaced" in name]
    assert seen(model) == outside
    shutil.rmtree(tree)


@contextlib.contextmanager
def _inside(folder: Path):
    home = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(home)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@given(seed=st.integers(0, 2**32))
def test_folder_runs_that_are_killed(seed, loaded, model, tmp_path_factory, tried):
    """kill -9 at any time: what is there is whole, and --resume makes the rest."""
    tried()
    tree, rng = tmp_path_factory.mktemp("killed"), random.Random(seed)
    (tree / "in").mkdir()
    for number in range(4):
        levels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(levels).save(tree / "in" / f"{number}.png")
    line = ["restore", str(tree / "in"), "-o", str(tree / "out"), "--model", str(model)]
    line += ["--strength", "0"]
    child = os.fork()
    if child == 0:
        with contextlib.redirect_stderr(io.StringIO()):
            run(line)
        os._exit(0)
    time.sleep(rng.uniform(0, 0.3))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for path in (tree / "out").glob("[!.]*.png"):  # what begins with a point is unfinished
        Image.open(path).load()
    done = run([*line, "--resume"])
    assert done.exit_code == 0, done.output
    for number in range(4):
        result, photo = (np.asarray(Image.open(tree / p / f"{number}.png")) for p in ("out", "in"))
        assert np.array_equal(result, photo)
    shutil.rmtree(tree)
