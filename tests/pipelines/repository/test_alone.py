"""Exported folders load, act and save where the package is not installed: all in one process."""

import filecmp
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import frr
from frr import hub
from frr.pipelines.operations import OPERATIONS

SCRIPT = Path(__file__).parent / "hub_scripts" / "alone.py"
OLD = Path(__file__).resolve().parents[2] / "data" / "old_exports"
KINDS = {hub.DEFAULT: frr.MoFRRPipeline, hub.BPFRE: frr.BPFRePipeline}
NAMES = [*KINDS, "native", "mixed", "written"]


class Alone(NamedTuple):
    """What the process was given and what it made.

    Attributes:
        pipes: the pipelines of this process, by name.
        folders: what they were saved to, and the old exports.
        calls: by name, {call: [method, arguments]}.
        work: the folder of what came of it.
        said: standard error, by name.
    """

    pipes: dict[str, Any]
    folders: dict[str, Path]
    calls: dict[str, dict[str, list]]
    work: Path
    said: dict[str, str]

    def made(self, name: str) -> dict[str, list[torch.Tensor]]:
        found = torch.load(self.work / f"{name}.pt", weights_only=True)
        assert "error" not in found, found["error"]
        return found


def unpacked(home: Path) -> dict[str, Path]:
    for name in ("mofrr", "bpfre"):
        with zipfile.ZipFile(OLD / f"{name}.zip") as packed:
            packed.extractall(home / name)
    return {f"old {name}": home / name for name in ("mofrr", "bpfre")}


def calls_of_old() -> dict[str, dict[str, list]]:
    stored = np.load(OLD / "pictures.npz")
    photo = torch.from_numpy(stored["photo"]) / 255
    noise, hole = (torch.from_numpy(stored[name]).float() for name in ("noise", "hole"))
    restore = {"image": photo, "latents": noise, "num_inference_steps": 2}
    fill = ["inpaint", {"image": photo, "mask": hole}]
    retouch = {"retouched": ["__call__", {"image": photo}], "filled": fill}
    return {"old mofrr": {"restored": ["__call__", restore]}, "old bpfre": retouch}


def call(side: int, **wishes: Any) -> dict[str, list]:
    photo = torch.rand(1, 3, side, 101, generator=torch.Generator().manual_seed(0))
    return {"made": ["__call__", {"image": photo, **wishes}]}


@pytest.fixture(scope="module")
def alone(pipe, native, mixed, written, photos, tmp_path_factory) -> Alone:
    home = tmp_path_factory.mktemp("alone")
    pipes = {name: kind.from_pretrained(hub.folder(name)) for name, kind in KINDS.items()}
    pipes |= {"native": native, "mixed": mixed}
    folders = {name: home / "given" / name for name in pipes} | {"written": written}
    for name, each in pipes.items():
        each.set_progress_bar_config(disable=True)
        each.save_pretrained(folders[name])
    all_of_them = list(OPERATIONS)
    calls = {name: call(75, operations=all_of_them) for name in ("native", "mixed")}
    calls |= {hub.DEFAULT: call(96, operations=all_of_them), hub.BPFRE: call(96)}
    some = {"operations": ["whitening", "eye_enlarging"], "num_inference_steps": 2}
    calls["written"] = {"made": ["__call__", {"image": photos, **some}]}
    calls |= calls_of_old()
    folders |= unpacked(home / "old")
    jobs = {name: {"folder": str(f), "calls": calls[name]} for name, f in folders.items()}
    jobs["written"]["in_parts"] = True
    jobs["old mofrr"]["old"] = jobs["old bpfre"]["old"] = True
    torch.save(jobs, home / "jobs.pt")
    (home / "made").mkdir()
    environment = {
        **os.environ,
        "HF_HOME": str(home / "cache"),
        "HF_MODULES_CACHE": str(home / "modules"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": "",
    }
    command = [sys.executable, "-W", "ignore", str(SCRIPT), home / "jobs.pt", home / "made"]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = dict(part.split("\n", 1) for part in done.stderr.split("== ")[1:])
    return Alone({**pipes, "written": pipe}, folders, calls, home / "made", said)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("one_thread")
def test_an_export_gives_what_the_package_gives(alone, name):
    ((images, routing),) = alone.made(name).values()
    ((_, arguments),) = alone.calls[name].values()
    torch.manual_seed(0)
    expected = alone.pipes[name](**arguments, output_type="pt")
    torch.testing.assert_close(images, expected.images, atol=1e-5, rtol=0)
    if routing is not None:
        torch.testing.assert_close(routing, expected.routing, atol=1e-5, rtol=0)
    assert (images - arguments["image"]).abs().max() > 1e-3
    assert "Expected types" not in alone.said[name]


@pytest.mark.parametrize("name", NAMES)
def test_what_it_saves_is_what_it_was_given(alone, name):
    alone.made(name)
    given, again = alone.folders[name], alone.work / name
    files = [str(file.relative_to(given)) for file in given.rglob("*") if file.is_file()]
    assert len(files) > 10
    assert filecmp.cmpfiles(given, again, files, shallow=False)[1:] == ([], [])


@pytest.mark.parametrize(
    ("name", "picture"),
    [("old mofrr", "restored"), ("old bpfre", "retouched"), ("old bpfre", "filled")],
)
def test_the_code_of_old_exports_gives_what_it_gave(alone, name, picture):
    stored = np.load(OLD / "pictures.npz")
    expected = torch.from_numpy(stored[picture].astype(np.float32) / 65535)
    assert (expected - torch.from_numpy(stored["photo"]) / 255).abs().mean() > 0.01
    made, _ = alone.made(name)[picture]
    torch.testing.assert_close(made, expected, atol=1e-4, rtol=0)
