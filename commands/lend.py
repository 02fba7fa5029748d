"""`frr bundle` and `frr slice`: a recipe on a machine that is lent for minutes at a time."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from . import options

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command(short_help="Pack code, faces and pools for a lent machine.")
@click.option("--faces", type=FOLDER, required=True, help="Folder of folders of aligned faces.")
@click.option("--pool", "pools", type=FOLDER, multiple=True, help="A finished pool to send, too.")
@click.option(
    "--megabytes", type=click.FloatRange(1), default=63.0, show_default=True, help="At most."
)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The file: NAME.tar.gz.",
)
@options.overwrite
def bundle(
    faces: Path, pools: Sequence[Path], megabytes: float, target: Path, overwrite: bool
) -> None:
    """Write one file with this package's code, faces and pools, as much of them as there is room.

    On the other machine, which needs this package's dependencies and not the package:

        mkdir lent && tar xf NAME.tar.gz -C lent && cd lent

        PYTHONPATH=. python -m frr.cli slice RECIPE --faces faces --work work -o back --minutes 9
    """
    from ..training.bundles import MEGABYTE, pack

    options.results_in(target.parent, [target.name], overwrite)
    try:
        made = pack(target, faces, pools, int(megabytes * MEGABYTE))
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    told = ", ".join(
        f"{name} {made[name] / MEGABYTE:.1f} MB" for name in ("code", "faces", "pools")
    )
    size = target.stat().st_size / MEGABYTE
    click.echo(
        f"wrote {target}, {size:.1f} MB: {told} ({made['photos']} photos, {made['items']} items)"
    )


@click.command("slice", short_help="Train a recipe for some minutes, and go on later.")
@click.argument("name")
@click.option("--faces", type=FOLDER, required=True, help="Folder of folders of aligned faces.")
@click.option("--work", type=NEW_FOLDER, required=True, help="Folder for pools and runs.")
@click.option("--model", type=NEW_FOLDER, help="Folder of the model.  [default: model in --work]")
@options.output
@click.option("--minutes", type=click.FloatRange(0), default=9.0, show_default=True)
@click.option("--from", "earlier", type=FOLDER, help="What an earlier slice wrote, to go on from.")
@click.option(
    "--processes", type=click.IntRange(1), default=1, show_default=True, help="GPUs for training."
)
@click.option("--quick", is_flag=True, help="Tiny photos, one step a run: only try it out.")
def slice_(
    name: str,
    faces: Path,
    work: Path,
    model: Path | None,
    folder: Path,
    minutes: float,
    earlier: Path | None,
    processes: int,
    quick: bool,
) -> None:
    """Go on with the recipe NAME for some minutes, and write what it has come to.

    Models, logs and checkpoints of unfinished runs are written to state.tar.000, .001 and so on in
    the output folder, 15 MB each at most; --from takes them up on another machine. Pools stay.
    """
    from ..training.bundles import take_up
    from ..training.recipes import read_recipe, shrink
    from ..training.slices import run_slice

    main = click.get_current_context().find_root().command

    def call(step: list[str]) -> None:
        click.echo(f"frr {shlex.join(step)}")
        if processes > 1 and step[0] == "train":
            launch = [sys.executable, "-m", "accelerate.commands.launch"]
            launch += ["--num_processes", str(processes), "-m", "frr.cli", *step]
            subprocess.run(launch, check=True)
        else:
            main.main(step, prog_name="frr", standalone_mode=False)

    try:
        if earlier is not None:
            take_up(earlier, work)
        places = {"FACES": faces, "WORK": work, "OUT": model or work / "model"}
        steps = read_recipe(name, places)
        steps = [shrink(step) for step in steps] if quick else steps
        came = run_slice(steps, work, folder, 60 * minutes, call)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise click.ClickException(str(error)) from error
    largest = max(piece.stat().st_size for piece in came.pieces)
    click.echo(
        f"{came.done} of {came.total} commands are done; {len(came.pieces)} file(s) in {folder}, "
        f"the largest {largest / 10**6:.2f} MB"
    )
