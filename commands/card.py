"""`frr card`: write a model's card from its evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from .. import __version__
from . import options
from .demo import portrait


@click.command(short_help="Write a model's card from its evaluation.")
@click.option(
    "--evaluation",
    "files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help="A JSON file that `frr evaluate` wrote for this model; may be given several times.",
)
@click.option(
    "--repo", default="frr/mofrr", show_default=True, help="Hub id that the usage lines name."
)
@click.option(
    "--model",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Model folder; the card is written into it.",
)
@options.overwrite
def card(files: Sequence[Path], repo: str, folder: Path, overwrite: bool) -> None:
    """Write README.md and its pictures into a model folder.

    All figures come from the evaluation files, and the pictures from running the model on a
    public-domain portrait. `save_pretrained`, `push_to_hub` and `frr export` carry both along.
    """
    from ..training.publishing.card import EXAMPLE_NAME, PICTURE_NAME, write_card

    for path in (folder / name for name in ("README.md", PICTURE_NAME, EXAMPLE_NAME)):
        if path.exists() and not overwrite:
            raise click.UsageError(f"{path} is there already: pass --overwrite")
    pipe = options.load_either(folder)
    try:
        path = write_card(pipe, folder, repo, files, portrait(), f"frr {__version__}")
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"wrote {path}")
