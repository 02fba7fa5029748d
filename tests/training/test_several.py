"""Two processes train as one: the same batch between them, one that writes, and one can go on."""

import json
import os
import signal
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from frr.cli import main
from frr.training.run_folder import RunFolder
from frr.training.stages.running import run_stage

SETTINGS = {"steps": 4, "batch_size": 2, "log_every": 1, "warmup": 0, "learning_rate": 1e-4}


def one_of_two(arguments: list[str], said: Path) -> None:
    """What a launched process does, forked from this one, where torch is imported already."""
    torch.set_num_threads(1)
    AcceleratorState._reset_state(reset_partial_state=True)
    with (said / os.environ["RANK"]).open("w") as file, redirect_stdout(file):
        main(arguments, standalone_mode=False)


@pytest.fixture
def own_signals():
    """The launcher answers signals in this process, too, and does not stop with it."""
    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
    kept = {number: signal.getsignal(number) for number in (getattr(signal, n) for n in names)}
    yield
    for number, answer in kept.items():
        signal.signal(number, answer)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.usefixtures("own_signals")
def test_two_processes_share_a_run_which_one_finishes(native_pool, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pairs = [part for n, v in SETTINGS.items() for part in ("--set", f"{n}={v}")]
    line = ["train", "native_router", "--pool", native_pool, "--run", tmp_path / "two", *pairs]
    launched = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        start_method="fork",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        logs_specs=DefaultLogsSpecs(log_dir=str(tmp_path / "logs")),
    )
    (tmp_path / "said").mkdir()
    both = elastic_launch(launched, one_of_two)
    both([*map(str, line), "--minutes", "0"], tmp_path / "said")
    said = "".join(path.read_text() for path in sorted((tmp_path / "said").iterdir()))
    assert said.count("time is up") == 1, said
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
