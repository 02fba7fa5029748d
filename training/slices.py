"""A recipe in slices of limited time, each of which goes on where the last one stopped."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from .bundles import bring_back
from .data.pools import describe_pool
from .run_folder import RunFolder
from .writing import write_json

DONE = "slices.json"
LIMITED = ("train", "pool")  # commands that can stop and go on
PIECE = 15 * 10**6  # bytes of the files that are brought back, at most


class Slice(NamedTuple):
    """What a slice came to.

    Attributes:
        done: commands of the recipe that are finished.
        total: all of them.
        pieces: files to bring back.
    """

    done: int
    total: int
    pieces: list[Path]


def run_slice(
    steps: Sequence[Sequence[str]],
    work: Path,
    out: Path,
    seconds: float,
    call: Callable[[list[str]], None],
) -> Slice:
    """Run the recipe's commands that are left, until the time is up.

    `train` and `pool` are told how much time is left; other commands are begun as long as there is
    any, and finish. Each slice does at least one.

    Args:
        steps: arguments of each `frr` command.
        work: folder of the recipe's pools and runs.
        out: folder for what is brought back: models, logs, checkpoints of unfinished runs.
        seconds: the slice's length.
        call: runs a command.
    """
    start, total = time.monotonic(), len(steps)
    work.mkdir(parents=True, exist_ok=True)
    note = work / DONE
    done = json.loads(note.read_text(encoding="utf-8"))["done"] if note.is_file() else 0
    idle = True
    while done < total:
        step, left = list(steps[done]), max(0.0, seconds - (time.monotonic() - start))
        limited = step[0] in LIMITED
        if not (limited and is_made(step)):
            if not (left or idle):  # every slice does something
                break
            call([*step, "--minutes", f"{left / 60:.3f}"] if limited else step)
            idle = False
            if limited and not is_made(step):
                break
        done += 1
        write_json(note, {"done": done, "of": total})
    write_json(note, {"done": done, "of": total})
    return Slice(done, total, bring_back(work, results_in(work), out, PIECE))


def is_made(step: Sequence[str]) -> bool:
    """Whether what a `train` or `pool` command makes is there."""
    if step[0] == "train":
        return RunFolder(Path(step[step.index("--run") + 1])).model.exists()
    try:
        describe_pool(step[step.index("-o") + 1])
    except ValueError:
        return False
    return True


def results_in(work: Path) -> list[Path]:
    """Models, settings and logs of all runs, and the checkpoints of those that are not finished."""
    found = [work / DONE]
    for config in work.rglob("config.json"):
        run = RunFolder(config.parent)
        if run.model.exists():
            found += [path for path in run.model.rglob("*") if path.is_file()]
        elif run.checkpoint.exists():
            found.append(run.checkpoint)
        else:
            continue
        found += [path for path in (run.config, run.log) if path.exists()]
    return found
