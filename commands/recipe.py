"""`frr recipe`: make a shipped set anew, from faces to a model folder."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from . import options


@click.command(short_help="Make a shipped set anew: all its commands in order.")
@click.argument("name")
@click.option(
    "--faces",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder that holds the folders train, val and test of aligned face crops.",
)
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for pools, runs and reports.",
)
@options.output
@click.option("--quick", is_flag=True, help="Tiny photos, one step a run: only try it out.")
@click.option("--list", "listed", is_flag=True, help="Print the commands and run none.")
def recipe(name: str, faces: Path, work: Path, folder: Path, quick: bool, listed: bool) -> None:
    """Run the recipe NAME (mofrr-tiny, bpfre-tiny; see training/recipes) and write its model.

    What is finished is not done again: stop it at any time, and start it anew to go on.
    """
    from ..training.recipes import read_recipe, shrink

    try:
        steps = read_recipe(name, {"FACES": faces, "WORK": work, "OUT": folder})
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="NAME") from error
    if quick:
        steps = [shrink(step) for step in steps]
    main = click.get_current_context().find_root().command
    for number, step in enumerate(steps, 1):
        click.echo(f"[{number}/{len(steps)}] frr {shlex.join(step)}")
        if not listed:
            main.main(step, prog_name="frr", standalone_mode=False)
