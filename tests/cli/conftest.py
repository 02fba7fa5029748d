"""A model to run the commands with, photos to run them on, and the command itself."""

import functools
import inspect
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tiny_mofrr import build

from frr.cli import main
from frr.commands import options
from frr.pipelines.simulate.landmarks import canonical_mesh

SIDE = 64


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> str:
    """A folder with a small untrained pipeline, which works at 64 px."""
    folder = tmp_path_factory.mktemp("model") / "untrained"
    build(stirred=False, working_size=SIDE).save_pretrained(folder)
    return str(folder)


def runner() -> CliRunner:
    """A runner that keeps the two output streams apart, which click < 8.2 must be told."""
    apart = "mix_stderr" in inspect.signature(CliRunner).parameters
    return CliRunner(**({"mix_stderr": False} if apart else {}))


@pytest.fixture(scope="session")
def loaded():
    """The loader of pipelines, which reads each one from disk only once."""
    return functools.cache(options.load_pipeline)


@pytest.fixture
def frr(monkeypatch, tmp_path, loaded):
    """Runs `frr ARGUMENTS` in an empty folder and returns what click saw of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(options, "load_pipeline", loaded)

    def run(*arguments, status: int = 0):
        result = runner().invoke(main, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return result

    return run


def face_like(seed: int = 0, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """A smooth coloured picture with some texture."""
    rng = np.random.default_rng(seed)
    low = Image.fromarray(rng.integers(60, 200, (6, 6, 3), dtype=np.uint8))
    smooth = np.asarray(low.resize(size, Image.Resampling.BICUBIC)).astype(np.int16)
    noisy = smooth + rng.integers(-6, 7, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


@pytest.fixture
def photo(tmp_path) -> Path:
    """A PNG photo."""
    path = tmp_path / "photos" / "one.png"
    path.parent.mkdir()
    face_like().save(path)
    return path


@pytest.fixture
def faces(tmp_path) -> Path:
    """A folder of two square crops."""
    folder = tmp_path / "faces"
    folder.mkdir()
    for seed in range(2):
        face_like(seed).save(folder / f"{seed}.png")
    return folder


@pytest.fixture(scope="session")
def people(tmp_path_factory):
    """A folder with the folder `people` of two faces."""
    side = 160
    root = tmp_path_factory.mktemp("faces")
    (root / "people").mkdir()
    rng = np.random.default_rng(0)
    names = ["a.png", "b.png"]
    for name in names:
        grain = rng.normal(150, 25, (side, side, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(grain).save(root / "people" / name)
    points = np.repeat(canonical_mesh().numpy()[None] * side, 2, axis=0)
    np.savez(root / "landmarks_people.npz", names=names, points=points)
    return root
