"""Two processes train as one: the same batch between them, one that writes, and one can go on."""

import json
import os
import subprocess
import sys

import torch

from frr.training.run_folder import RunFolder
from frr.training.stages.running import run_stage

SETTINGS = {"steps": 4, "batch_size": 2, "log_every": 1, "warmup": 0, "learning_rate": 1e-4}
LAUNCH = (
    "-m torch.distributed.run --standalone --nproc_per_node 2 -m -- frr.cli train native_router"
)


def test_two_processes_share_a_run_which_one_finishes(native_pool, tmp_path):
    pairs = [part for n, v in SETTINGS.items() for part in ("--set", f"{n}={v}")]
    command = [sys.executable, *LAUNCH.split(), "--pool", native_pool, "--run", tmp_path / "two"]
    shown = subprocess.run(
        [*map(str, command), *pairs, "--minutes", "0"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"},
        capture_output=True,
        text=True,
    )
    assert shown.stdout.count("time is up") == 1, shown.stdout + shown.stderr
    two = RunFolder(tmp_path / "two")
    state = two.load_checkpoint()
    assert state is not None and state["step"] == 1
    run_stage("native_router", {}, two.path, pools=[native_pool])
    run_stage("native_router", SETTINGS, tmp_path / "one", pools=[native_pool])
    losses = [
        [json.loads(line)["loss"] for line in RunFolder(path).log.read_text().splitlines()]
        for path in (two.path, tmp_path / "one")
    ]
    assert len(losses[0]) == len(losses[1]) == SETTINGS["steps"]
    spread = torch.tensor(losses[1]).std() + 0.5 * losses[1][0]
    assert losses[0][0] != losses[1][0]  # two drew
    assert abs(losses[0][0] - losses[1][0]) < spread  # other chains of the same pool
