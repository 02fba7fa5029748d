"""`python -m tests.fuzz.kills`: kill -9 in a folder run and in training of every stage.

Each victim is a child of this process, killed at a random moment again and again. After every kill
what lies there must be whole (pictures, reports, checkpoint, settings), and nothing that was there
before may be gone; at the end the work is brought to its end and compared with the same work done
without a kill: pictures byte by byte, training by its losses, since some processors' kernels add in
an order that depends on where things lie in memory. Checkpoints are written after every step, so no
step that was logged may be lost.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from frr.models.mofrr.texture_expert import TextureExpert
from frr.pipelines.operations import OPERATIONS
from frr.pipelines.simulate.landmarks import canonical_mesh
from frr.training.publishing.assemble_mofrr import fresh_pipeline
from frr.training.run_folder import RunFolder
from frr.training.stages.registry import STAGES, stage_config
from frr.training.stages.running import make_pool, run_stage

SIDE = 64
NATIVE_SIDE = 176
ROUNDING = 2e-3  # what sums in another order come to after some steps, as a share of a loss
SMALL = {"batch_size": 1, "size": SIDE, "warmup": 1, "threads": 1, "crop": 32}


def child(work: Callable[[], Any]) -> int:
    """A process that works and ends, silently."""
    tqdm.set_lock(threading.RLock())  # its own is shared with children, who die with it
    victim = os.fork()
    if victim:
        return victim
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            work()
        except BaseException as error:
            print(f"the child failed: {error!r}", file=sys.__stdout__, flush=True)
            os._exit(1)
    os._exit(0)


def kill(work: Callable[[], Any], done: Callable[[], int], rng: random.Random) -> bool:
    """Kills work at a random moment up to two results from now; whether it came before the end."""
    wanted, began = done() + rng.randint(0, 2), time.monotonic()
    victim = child(work)
    while done() < wanted and not os.waitid(os.P_PID, victim, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.2 + 0.3 * (time.monotonic() - began)))
    with contextlib.suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    _, status = os.waitpid(victim, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise AssertionError("the work failed by itself")
    return os.WIFSIGNALED(status)


def finish(work: Callable[[], Any]) -> None:
    """The work to its end."""
    _, status = os.waitpid(child(work), 0)
    assert status == 0, "the work that was killed cannot be brought to its end"


def photos(folder: Path, count: int, side: int) -> Path:
    """Faces: ovals with grain, and the mean face's landmarks beside the folder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(folder.name))
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    oval = ((x / 0.3) ** 2 + (y / 0.4) ** 2 < 1)[..., None]
    names = [f"{number:02d}.png" for number in range(count)]
    for name in names:
        skin = rng.uniform(140, 200, 3) * oval + rng.uniform(40, 90, 3) * (1 - oval)
        grain = skin + rng.normal(0, 10, (side, side, 3))
        Image.fromarray(grain.clip(0, 255).astype(np.uint8)).save(folder / name)
    points = np.repeat(canonical_mesh().numpy()[None] * side, count, axis=0)
    np.savez(folder.parent / f"landmarks_{folder.name}.npz", names=names, points=points)
    return folder


def folder_run(place: Path, kills: int, rng: random.Random) -> str:
    """Kills `frr restore FOLDER`; says how often, and what was found."""
    from click.testing import CliRunner

    from frr.cli import main
    from frr.commands import options

    fresh_pipeline(working_size=SIDE).save_pretrained(place / "model")
    pipe = options.load_pipeline(str(place / "model"), "cpu", "float32")
    options.load_pipeline = lambda *_: pipe
    count = 2 * kills
    source, out = photos(place / "photos", count, SIDE), place / "out"

    def restore(folder: Path) -> Callable[[], None]:
        line = ["restore", str(source), "-o", str(folder), "--model", str(place / "model")]
        line += ["--operations", "whitening", "--seed", "0"]

        def run() -> None:
            more = ["--resume"] if folder.exists() else []
            done = CliRunner().invoke(main, [*line, *more])
            assert done.exit_code == 0, done.output

        return run

    def pictures() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in out.glob("*.png")}

    died, before = 0, {}
    for _ in range(kills):
        died += kill(restore(out), lambda: len(list(out.glob("*.png"))), rng)
        now = pictures()
        assert now.items() >= before.items(), "a picture was lost or changed"
        for content in now.values():
            Image.open(io.BytesIO(content)).load()
        for report in out.glob("*.json"):
            json.loads(report.read_text(encoding="utf-8"))
        before = now
    finish(restore(out))
    finish(restore(place / "undisturbed"))
    names = {path.name for path in source.iterdir()}
    assert set(pictures()) == names
    for path in (place / "undisturbed").glob("*.png"):
        assert path.read_bytes() == (out / path.name).read_bytes(), f"{path.name} differs"
    left = [path.name for path in out.iterdir() if "unfinished" in path.name]
    assert not left, f"left behind: {left}"
    return f"{died} of {kills} killed before their end, {count} pictures whole and the same"


def material(place: Path, items: int = 2) -> dict[str, dict[str, Any]]:
    """What each stage learns from: `faces`, or `pools` of so many items."""
    faces = photos(place / "faces", 4, SIDE)
    photos(place / "native" / "real", 3, NATIVE_SIDE)
    pools = {
        "native": {"items": items, "sources": "real:1", "side": 160},
        "natural": {"items": items, "sources": "real:1", "smallest": 1},
    }
    for name, settings in pools.items():
        list(make_pool(name, settings, place / "pools" / name, place / "native"))
    found: dict[str, dict[str, Any]] = {}
    for name, entry in STAGES.items():
        pooled = entry.pool in pools
        found[name] = {"pools": [place / "pools" / entry.pool]} if pooled else {"faces": faces}
    return found


def settings_of(name: str, place: Path, steps: int, pooled: bool) -> dict[str, Any]:
    """Settings of a stage that make a step short."""
    own = stage_config(name).names()
    given: dict[str, Any] = {key: value for key, value in SMALL.items() if key in own}
    if name in ("tone", "expert"):  # their batch normalisation has one place of smaller photos
        given["size"] = 2 * SIDE
    if name == "native_diffusion":
        TextureExpert().save_pretrained(place / "texture")
        given["start"] = str(place / "texture")
    if "operation" in own:
        tonal = name in ("tone", "native_tone", "expert")
        given["operation"] = "whitening" if tonal else "face_slimming"
        if name == "native_texture":
            given["operation"] = "smoothing"
    if "models" in own:
        given["models"] = str(place / "networks")
    if pooled:
        given.pop("size", None)
    return {**given, "steps": steps, "save_seconds": 0, "log_every": 1}


def networks(place: Path) -> None:
    """Untrained networks, as runs, for the stage that learns from their answers."""
    pipe = fresh_pipeline(working_size=SIDE)
    for name in ("router", "shared", *OPERATIONS):
        part = name if name == "router" else f"{name}_expert"
        getattr(pipe, part).save_pretrained(place / "networks" / name / "model")


def stage_run(name: str, data: dict[str, Any], place: Path, kills: int, rng: random.Random) -> str:
    """Kills the training of a stage; says how often, and what was found."""
    settings = settings_of(name, place, 2 * kills, "pools" in data)
    run, same = RunFolder(place / name), RunFolder(place / f"{name}_undisturbed")

    def train(folder: RunFolder) -> Callable[[], None]:
        return lambda: run_stage(name, settings, folder.path, **data)

    def step() -> int:
        state = run.load_checkpoint()
        return 0 if state is None else int(state["step"])

    died, before = 0, 0
    for _ in range(kills):
        if run.model.exists():
            break
        died += kill(train(run), lambda: len(logged(run)), rng)
        now = step()
        assert now >= before, f"step {before} was lost: the checkpoint is of {now}"
        assert now >= max(logged(run), default=0) - 1, "a step that was logged was lost"
        if run.config.exists():
            json.loads(run.config.read_text(encoding="utf-8"))
        before = now
    finish(train(run))
    finish(train(same))
    assert logged(run) == list(range(1, settings["steps"] + 1)), "log lines lost or twice"
    weights = [weights_of(folder) for folder in (run, same)]
    assert weights[0].keys() == weights[1].keys()
    assert all(bool(value.isfinite().all()) for value in weights[0].values())
    pairs = zip(*map(losses, (run, same)), strict=True)
    apart = max(abs(a - b) / max(abs(a), abs(b), 1e-6) for a, b in pairs)  # a loss may be zero
    assert apart < ROUNDING, f"losses differ by {apart:.1e} from those of the run without a kill"
    equal = all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
    same_as = "the same weights" if equal else f"the same losses within {apart:.0e}"
    return f"{died} of {kills} killed before their end, {settings['steps']} steps, {same_as}"


def losses(run: RunFolder) -> list[float]:
    """The loss of each step in the log."""
    lines = run.log.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


def logged(run: RunFolder) -> list[int]:
    """The steps in the log, but for a line that was broken off."""
    if not run.log.exists():
        return []
    lines = run.log.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line)["step"] for line in lines if line.endswith("\n")]


def weights_of(run: RunFolder) -> dict[str, torch.Tensor]:
    """The trained weights of a run."""
    from safetensors.torch import load_file

    found: dict[str, torch.Tensor] = {}
    for path in run.model.glob("*.safetensors"):
        found |= load_file(path)
    assert found, f"{run.model} holds no weights"
    return found


def main() -> int:
    """Kills, and prints a line for each kind of work."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--of", action="append", choices=["restore", *STAGES], default=[])
    given = parser.parse_args()
    chosen, failed = given.of or ["restore", *STAGES], 0
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = material(place) if set(chosen) & set(STAGES) else {}
        if "merger" in chosen:
            networks(place)
        for name in chosen:
            rng = random.Random(f"{given.seed} {name}")
            try:
                if name == "restore":
                    said = folder_run(place / "restore", given.kills, rng)
                else:
                    said = stage_run(name, data[name], place, given.kills, rng)
            except Exception as error:
                failed, said = failed + 1, f"FAILED: {error!r}"
            print(f"{name}: {said}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
