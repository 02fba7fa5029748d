"""`python -m tests.fuzz.two_processes`: every stage trained by two processes, beside one.

Each stage learns a few steps on faces and pools that are made here. `accelerate launch` starts two
processes on the CPU, which settle by gloo and train one stage after the other as `frr train` does;
each run is stopped after a step and goes on, once with two processes and once with one; and a run
that one process began goes on with two. Beside each
stands a run of this process on the very items that the two drew: the same batch in two halves, each
with the random numbers and the part of the pool that its process has. So the losses are to be the
same but for rounding. What drawing the whole batch from the whole pool changes is shown, too,
beside what another seed changes.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from frr.training.data.material import Material
from frr.training.data.share import Share
from frr.training.loop import Progress, Run, find_critic, seed_step
from frr.training.run_folder import RunFolder
from frr.training.stages.registry import STAGES, stage_config
from frr.training.stages.running import run_stage

from .kills import losses, material, networks, settings_of

PROCESSES = 2
LAUNCH = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1"]
LAUNCH += ["--num_processes", str(PROCESSES), "--num_cpu_threads_per_process", "1"]
LAUNCH += ["--mixed_precision", "no", "--dynamo_backend", "no", "-m", "tests.fuzz.two_processes"]
BATCH = 4
ITEMS = 8
TOLERANCE = 2e-3
"""Of a loss: what sums in another order come to after some steps."""


class Halves:
    """A stage whose batch is those of several processes, one after the other.

    Args:
        parts: the stage as each process builds it; the first one's network is trained.
        seed: of the run.
    """

    def __init__(self, parts: list[Any], seed: int) -> None:
        self.parts, self.seed, self.step = parts, seed, 0
        for other in parts[1:]:
            for ours, theirs in self._networks(other):
                for module, twin in zip(ours.modules(), theirs.modules(), strict=True):
                    twin._parameters = module._parameters

    @property
    def model(self) -> nn.Module:
        return self.parts[0].model

    @property
    def critic(self) -> nn.Module | None:
        return find_critic(self.parts[0])

    def _networks(self, other: Any) -> Iterator[tuple[nn.Module, nn.Module]]:
        for ours, theirs in ((self.model, other.model), (self.critic, find_critic(other))):
            if ours is not None and theirs is not None:
                yield ours, theirs

    def losses(self, _: np.random.Generator) -> dict[str, Tensor]:
        """The mean of the processes' terms; statistics go on from the first one's, as in a run."""
        for other in self.parts[1:]:
            for ours, theirs in self._networks(other):
                for mine, copy in zip(ours.buffers(), theirs.buffers(), strict=True):
                    copy.copy_(mine)
        drawn = [
            part.losses(seed_step(self.seed, self.step, process))
            for process, part in enumerate(self.parts)
        ]
        return {name: torch.stack([each[name] for each in drawn]).mean() for name in drawn[0]}


class Case(NamedTuple):
    """A stage to train: its name, settings, and what it learns from (`faces` or `pools`)."""

    name: str
    settings: dict[str, Any]
    data: dict[str, Any]

    def with_seed(self, seed: int) -> Case:
        return self._replace(settings={**self.settings, "seed": seed})


def alone(case: Case, folder: Path, only_one: bool = False) -> list[float]:
    """The losses of one process with the whole batch, to the end or after one step."""
    run_stage(case.name, case.settings, folder, **case.data, seconds=0 if only_one else None)
    return losses(RunFolder(folder))


def in_halves(case: Case, folder: Path, only_one: bool = False) -> list[float]:
    """The losses of one process on what several would draw."""
    kind, run = stage_config(case.name), RunFolder(folder)
    given = json.loads(run.config.read_text(encoding="utf-8"))
    settings, facts = given.pop("settings"), given
    config: Any = kind.read(settings)
    part = replace(config, batch_size=config.batch_size // PROCESSES)
    faces, pools = case.data.get("faces"), tuple(case.data.get("pools", ()))
    parts = [
        part.build(Material(faces, pools, "cpu", Share(place, PROCESSES)))
        for place in range(PROCESSES)
    ]
    stage = Halves(parts, config.seed)
    for progress in _counted(Run(stage, config, run, facts), stage):
        if only_one and progress.step:
            break
    return losses(run)


def _counted(run: Run, stage: Halves) -> Iterator[Progress]:
    """A run's steps; the stage is told which one is next, and the last is saved."""
    stage.step = run.step
    for progress in run.steps():
        stage.step = progress.step
        run.save()
        yield progress


class Task(NamedTuple):
    """A run that several processes are to train: to the end, or for one step."""

    case: Case
    folder: Path
    only_one: bool = False


def launched(tasks: list[Task]) -> None:
    """Have runs trained by several processes that `accelerate launch` starts.

    Raises:
        AssertionError: they failed, or another process than the first one wrote.
    """
    text = json.dumps(
        [[*task.case, str(task.folder), task.only_one] for task in tasks], default=str
    )
    shown = subprocess.run(
        [sys.executable, *LAUNCH, "--tasks", text],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout + shown.stderr
    wrote = [f"process {place} of {PROCESSES} wrote " for place in range(PROCESSES)]
    counts = [int(shown.stdout.split(each)[1].split()[0]) for each in wrote]
    assert counts[0] >= len(tasks) and not any(counts[1:]), shown.stdout
    print(f"checkpoints by process: {counts}", flush=True)


def work_off(text: str) -> None:
    """What each of these processes does."""
    wrote, save = [], RunFolder.save_checkpoint

    def counted(folder: RunFolder, state: dict[str, Any]) -> None:
        wrote.append(folder)
        save(folder, state)

    RunFolder.save_checkpoint = counted
    for name, settings, data, folder, only_one in json.loads(text):
        run_stage(name, settings, folder, **data, seconds=0 if only_one else None)
    share = Share.of_process()
    print(f"process {share.place} of {share.parts} wrote {len(wrote)} checkpoints", flush=True)


def copied(folder: Path, name: str) -> Path:
    return Path(shutil.copytree(folder, folder.with_name(name)))


class Row(NamedTuple):
    """What a stage came to: losses of two processes and of one on the same items, and differences.

    Attributes:
        two: by step, of two processes that were stopped after the first and went on.
        same: by step, of one process on the same items.
        apart: largest difference of these, as a share of the loss.
        one_after_two: the same where one process goes on with what two began.
        two_after_one: the same where two go on with what one began.
        whole: mean loss of one process with the whole batch, drawn its own way.
        seeds: mean losses of that with other seeds.
    """

    two: list[float]
    same: list[float]
    apart: float
    one_after_two: float
    two_after_one: float
    whole: float
    seeds: list[float]


def apart(ones: list[float], others: list[float]) -> float:
    """The largest difference, as a share of the loss."""
    pairs = zip(ones, others, strict=True)
    return max(abs(a - b) / max(abs(a), abs(b), 1e-6) for a, b in pairs)


def begin(case: Case, place: Path) -> Task:
    """Begin a stage's run with one process, drawing its own way and in halves."""
    place.mkdir()
    alone(case, place / "one", only_one=True)
    (place / "halves").mkdir()
    shutil.copy(place / "one/config.json", place / "halves")
    in_halves(case, place / "halves", only_one=True)
    copied(place / "one", "one_two")
    copied(place / "one", "one_halves")
    copied(place / "halves", "halves_one")
    return Task(case, place / "two", only_one=True)


def go_on(case: Case, place: Path) -> list[Task]:
    """What two processes go on with: what they began, and what one began."""
    state = RunFolder(place / "two").load_checkpoint()
    assert state is not None and state["step"] == 1
    copied(place / "two", "two_one")
    return [Task(case, place / "two"), Task(case, place / "one_two")]


def compare(case: Case, place: Path) -> Row:
    """The rest of the runs of one process, and how far all are apart."""
    two, two_after_one = (losses(RunFolder(place / name)) for name in ("two", "one_two"))
    same = in_halves(case, place / "halves")
    one_after_two = apart(alone(case, place / "two_one"), alone(case, place / "halves_one"))
    seeds = [statistics.fmean(alone(case.with_seed(s), place / f"seed{s}")) for s in (1, 2)]
    return Row(
        two,
        same,
        apart(two, same),
        one_after_two,
        apart(two_after_one, in_halves(case, place / "one_halves")),
        statistics.fmean(alone(case, place / "one")),
        seeds,
    )


def line(name: str, row: Row) -> str:
    """A line of the table."""
    two, same = (" ".join(f"{loss:.4f}" for loss in each) for each in (row.two, row.same))
    seeds = " ".join(f"{mean:.3f}" for mean in row.seeds)
    worst = f"{row.apart:.0e} | {row.one_after_two:.0e} | {row.two_after_one:.0e}"
    means = f"{statistics.fmean(row.two):.3f} | {row.whole:.3f} | {seeds}"
    return f"| {name} | {two} | {same} | {worst} | {means} |"


HEADS = (
    "stage",
    "two processes, by step",
    "one process, the same items",
    "largest difference, of the loss",
    "one goes on after two",
    "two go on after one",
    "mean of two",
    "one, the whole batch",
    "other seeds",
)


def main() -> int:
    """Train all stages, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.two_processes", description=__doc__)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--of", action="append", choices=STAGES, default=[])
    parser.add_argument("--tasks", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["TQDM_DISABLE"] = "1"
    if given.tasks:
        work_off(given.tasks)
        return 0
    print(f"ACCELERATE_USE_CPU=true python {' '.join(LAUNCH)}", flush=True)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = material(place, ITEMS)
        networks(place)
        cases = [
            Case(name, settings_of(name, place, given.steps, "pools" in data[name]), data[name])
            for name in given.of or STAGES
        ]
        for case in cases:
            case.settings["batch_size"] = BATCH
        launched([begin(case, place / case.name) for case in cases])
        launched([task for case in cases for task in go_on(case, place / case.name)])
        print(f"| {' | '.join(HEADS)} |\n{'|---' * len(HEADS)}|", flush=True)
        for case in cases:
            row = compare(case, place / case.name)
            failed += max(row.apart, row.one_after_two, row.two_after_one) > TOLERANCE
            print(line(case.name, row), flush=True)
    print(f"{failed} stage(s) differ by more than {TOLERANCE:.0e}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
