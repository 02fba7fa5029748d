"""A folder on Ray beside the same folder without it: `python -m benchmarks.bulk`.

Makes photos of many sizes, JPEG and PNG, from a folder of faces, breaks some, and restores them by
`frr restore` and `frr restore --ray` in turns: photos per second of the whole commands and of the
commands without their start, and memory of all their processes as they go. Then a run on Ray is
killed (SIGKILL, all its processes), and gone on with; its pictures and reports are compared with
those of a plain run of one thread, and its list is read back with pandas. It needs the `ray` extra.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from PIL import Image
from skimage.data import astronaut

from .sparse import MEBIBYTE, ROOT

SIDES = (160, 1400)  # pixels of the longer side, spread evenly by their logarithm
ASPECTS = (1.0, 0.8, 1.25)
SAMPLE_SECONDS = 3.0
BREAKS: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: data[: len(data) // 3],
    lambda data: b"",
    lambda data: b"no picture\n" * 40,
    lambda data: data[:40] + bytes(len(data) - 40),
    lambda data: data[:100],
)


class Ran(NamedTuple):
    """What a command came to.

    Attributes:
        seconds: of the whole command.
        rate: images per second by its own last line, from the first that is finished on.
        memory: bytes of all its processes together (proportional set size), as it went, from its
            first picture on.
        cpu: seconds that all its processes computed, as last seen of each.
        error: what it printed.
    """

    seconds: float
    rate: float
    memory: list[int]
    cpu: float
    error: str


def make_album(folder: Path, faces: Path | None, count: int, broken: int) -> None:
    """Write photos named in order, of which every so-manieth is broken."""
    rng = np.random.default_rng(0)
    sources = sorted(faces.glob("*.jpg")) + sorted(faces.glob("*.png")) if faces else []
    folder.mkdir(parents=True)
    logs = np.linspace(*np.log(SIDES), count)
    for number, side in enumerate(np.exp(rng.permutation(logs)).astype(int)):
        suffix = "png" if number % 5 == 0 else "jpg"
        path = folder / f"photo{number:04d}.{suffix}"
        with Image.open(sources[number % len(sources)]) if sources else _portrait() as picture:
            aspect = ASPECTS[number % len(ASPECTS)]
            size = (side, int(side / aspect)) if aspect >= 1 else (int(side * aspect), side)
            photo = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
        photo.save(path, quality=int(rng.integers(70, 96)))
    for turn in range(broken):
        path = sorted(folder.iterdir())[turn * count // broken + 3]
        path.write_bytes(BREAKS[turn % len(BREAKS)](path.read_bytes()))


def _portrait() -> Image.Image:
    return Image.fromarray(astronaut()[:256, 100:356])


def restore(source: Path, target: Path, *more: str, enough: int | None = None, **env: str) -> Ran:
    """`frr restore` of a folder, killed at so many pictures."""
    command = [sys.executable, "-m", "frr.cli", "restore", str(source), "-o", str(target)]
    return watch(target, enough, *command, *more, **env)


def pictures(folder: Path) -> int:
    """How many are there."""
    return sum(1 for _ in folder.glob("photo*.png"))


def watch(target: Path, enough: int | None, *command: str, **env: str) -> Ran:
    """Run a command that writes to a folder; all its processes are killed at `enough` pictures."""
    import psutil

    start, memory, cpu = time.perf_counter(), [], dict[int, float]()
    before = pictures(target)
    with tempfile.TemporaryFile("w+") as told:
        victim = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=told, env={**os.environ, **env}
        )
        family, next_sample = psutil.Process(victim.pid), start
        while victim.poll() is None:
            made = pictures(target)
            if enough is not None and made >= enough:
                for process in [*family.children(recursive=True), family]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()
                break
            if time.perf_counter() >= next_sample:
                held = _held_by(family, cpu)
                memory += [held] if made > before else []
                next_sample = time.perf_counter() + SAMPLE_SECONDS
            time.sleep(0.2)
        victim.wait()
        seconds = time.perf_counter() - start
        told.seek(0)
        error = told.read()
    if "images/s" not in error and enough is None:
        raise click.ClickException(f"{' '.join(command)}:\n{error}")
    return Ran(seconds, _rate(error), memory, sum(cpu.values()), error)


def _rate(error: str) -> float:
    """Images per second after the start; an actor's start is told as the first photo's time."""
    found = re.findall(r"(\d+) photos in ([\d.]+) s,(?:.* the first after ([\d.]+) s)?", error)
    if not found:
        return float("nan")
    photos, seconds, first = found[-1]
    return int(photos) / (float(seconds) - float(first or 0))


def _held_by(family: Any, cpu: dict[int, float]) -> int:
    """Bytes that processes hold now; what each has computed is noted."""
    import psutil

    total = 0
    for process in [family, *family.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            total += process.memory_full_info().pss
            cpu[process.pid] = sum(process.cpu_times()[:2])
    return total


def quarters(memory: Sequence[int]) -> list[int]:
    """Mean MiB in each quarter of a run."""
    kept = np.array_split(np.asarray(memory), 4)
    return [round(float(part.mean()) / MEBIBYTE) for part in kept if len(part)]


def described(ran: Ran, count: int) -> str:
    """A run over so many photos, in a line."""
    return (
        f"{count / ran.seconds:.2f} images/s with its start, {ran.rate:.2f} without; "
        f"{ran.cpu / count:.2f} CPU s a photo; MiB by quarters {quarters(ran.memory)}"
    )


def differences(one: Path, other: Path) -> list[str]:
    """Names of pictures and reports that differ, or are missing.

    Of reports the seconds and the picture's own folder are left out.
    """
    names = {p.name for folder in (one, other) for p in folder.iterdir() if p.suffix == ".png"}
    reports = {Path(name).with_suffix(".json").name for name in names}
    return [name for name in sorted(names | reports) if not _alike(one / name, other / name)]


def _alike(one: Path, other: Path) -> bool:
    if not (one.is_file() and other.is_file()):
        return False
    if one.suffix != ".json":
        return one.read_bytes() == other.read_bytes()
    records = [json.loads(path.read_text(encoding="utf-8")) for path in (one, other)]
    for record in records:
        del record["seconds"], record["output"]
    return records[0] == records[1]


def compare_speed(source: Path, place: Path, count: int, rounds: int) -> dict[str, float]:
    """Plain and on Ray in turns; prints each run, and gives the medians of the ratios."""
    whole, inside = [], []
    for number in range(rounds):
        ran = {}
        for name, more in {"plain": [], "ray": ["--ray"]}.items():
            ran[name] = restore(source, place / f"{name}{number}", *more)
            click.echo(f"{name:>5}: {described(ran[name], count)}")
        whole.append(ran["plain"].seconds / ran["ray"].seconds)
        inside.append(ran["ray"].rate / ran["plain"].rate)
    ratios = {"with its start": statistics.median(whole), "without": statistics.median(inside)}
    told = ", ".join(f"{value:.2f} {name}" for name, value in ratios.items())
    click.echo(f"images/s on Ray as a share of the plain run's: {told}")
    return ratios


def killed_and_resumed(source: Path, place: Path, count: int) -> None:
    """Kill a run on Ray at about two fifths, go on with it, and compare with one thread."""
    import pandas

    target, one = place / "killed", place / "one"
    restore(source, target, "--ray", enough=2 * count // 5)
    before = {path.name: path.stat().st_mtime_ns for path in target.glob("photo*.png")}
    again = restore(source, target, "--ray", "--resume")
    kept = sum((target / name).stat().st_mtime_ns == time for name, time in before.items())
    click.echo(f"killed at {len(before)} pictures; resumed, {kept} of them were kept")
    click.echo(f"  ray, resumed: {described(again, count - len(before))}")
    plain = restore(source, one, OMP_NUM_THREADS="1")
    click.echo(f"  plain, one thread: {described(plain, count)}")
    apart = differences(target, one)
    click.echo(f"of {pictures(one)} pictures and their reports {len(apart)} differ {apart[:5]}")
    rows = pandas.read_parquet(target / "photos.parquet")
    failed = rows[rows.error.notna()]
    click.echo(
        f"photos.parquet: {len(rows)} rows, {rows.path.nunique()} paths, {len(failed)} with an "
        f"error, {int(rows.output.notna().sum())} with a picture; columns {', '.join(rows.columns)}"
    )
    click.echo(failed[["path", "error"]].to_string(index=False, max_colwidth=90))
    click.echo("\n".join(again.error.strip().splitlines()[-1:]))


@click.command()
@click.option("--faces", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--photos", "count", type=click.IntRange(20), default=400, show_default=True)
@click.option("--broken", type=click.IntRange(0), default=10, show_default=True)
@click.option("--rounds", type=click.IntRange(0), default=2, show_default=True)
def main(faces: Path | None, count: int, broken: int, rounds: int) -> None:
    """Restore an album plainly and on Ray, in turns, then kill a run and go on with it."""
    with tempfile.TemporaryDirectory(prefix="frr-bulk-") as name:
        place = Path(name)
        make_album(place / "photos", faces, count, broken)
        if rounds:
            compare_speed(place / "photos", place, count, rounds)
        killed_and_resumed(place / "photos", place, count)


if __name__ == "__main__":
    main()
