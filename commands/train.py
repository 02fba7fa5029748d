"""`frr train`: make weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from ..pipelines.freed_memory import keep_freed_memory


@click.command(short_help="Train one stage on a folder of faces.")
@click.argument("stage")
@click.option(
    "--faces",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder of aligned face crops.",
)
@click.option(
    "--run",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for settings, log, checkpoint and model.",
)
@click.option("--set", "pairs", multiple=True, metavar="NAME=VALUE", help="A setting of the stage.")
@click.option("--resume", is_flag=True, help="Continue the stopped run in the folder.")
def train(stage: str, faces: Path, folder: Path, pairs: Sequence[str], resume: bool) -> None:
    """Train STAGE: router, expert, shared or merger of MoFRR; bpfre or bpfre_inpaint of BPFRe.

    The settings and their defaults are listed when an unknown one is given, and written to
    config.json in the run's folder. Several GPUs: `accelerate launch -m frr.cli train ...`.
    """
    settings = read_settings(pairs)
    keep_freed_memory()
    try:
        from ..training.stages.registry import run_stage

        model = run_stage(stage, settings, folder, faces, resume=resume)
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error}: pip install 'frr[train]'") from error
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"wrote {model}")


def read_settings(pairs: Sequence[str]) -> dict[str, object]:
    """Read NAME=VALUE pairs.

    Raises:
        click.BadParameter: a pair without a name or a sign.
    """
    settings: dict[str, object] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not (name and sign):
            raise click.BadParameter(f"{pair!r}: expected NAME=VALUE", param_hint="--set")
        settings[name] = value
    return settings
