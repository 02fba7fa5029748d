"""`frr train`, `frr pool` and `frr average`: make weights."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..pipelines.freed_memory import keep_freed_memory
from ..pipelines.photos.wording import one_line
from . import options

if TYPE_CHECKING:
    from ..training.settings import Settings

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
faces_option = click.option("--faces", type=FOLDER, help="Folder of aligned face crops.")
settings_option = click.option(
    "--set", "pairs", multiple=True, metavar="NAME=VALUE", help="A setting, listed below."
)
minutes_option = click.option(
    "--minutes", type=click.FloatRange(0), help="Stop then, with what --resume goes on from."
)
resume_option = click.option("--resume", is_flag=True, help="Go on with what is in the folder.")


class Stages(click.Group):
    """A group with a command for each stage, made when it is asked for."""

    def __init__(self, make: Callable[[str], click.Command], **arguments: Any) -> None:
        super().__init__(subcommand_metavar="STAGE [ARGS]...", **arguments)
        self.make = make

    def stages(self) -> dict[str, str]:
        """What each stage, or each kind of pool, is for, by name."""
        from ..training.stages.registry import POOLS, STAGES

        entries = POOLS if self.name == "pool" else STAGES
        return {name: each.summary for name, each in entries.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The stages' names."""
        return list(self.stages())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The stage's command."""
        if cmd_name not in self.stages():
            return None
        return self.make(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name.

        Raises:
            click.UsageError: there is no such stage.
        """
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            ctx.fail(f"unknown stage {args[0]!r}; choose from {', '.join(known)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the stages without making their commands, which loads their networks."""
        with formatter.section("Stages"):
            formatter.write_dl(list(self.stages().items()))


class Stage(click.Command):
    """A stage's command, whose help lists its settings."""

    settings: Callable[[], type[Settings]]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the settings with their defaults."""
        rows = [
            (f"{name}={default}", meaning) for name, default, meaning in self.settings().explain()
        ]
        with formatter.section("Settings, with their defaults"):
            formatter.write_dl(rows)


def _train(name: str) -> click.Command:
    """The command that trains a stage."""

    @click.command(name, cls=Stage, help=f"{_summary(name)}\n\nTrains it into a run's folder.")
    @faces_option
    @click.option(
        "--pool", "pools", type=FOLDER, multiple=True, help="Instead: items of `frr pool`."
    )
    @click.option(
        "--run",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        required=True,
        help="Folder for settings, log, checkpoint and model.",
    )
    @settings_option
    @resume_option
    @minutes_option
    def command(
        faces: Path | None,
        pools: Sequence[Path],
        folder: Path,
        pairs: Sequence[str],
        resume: bool,
        minutes: float | None,
    ) -> None:
        settings = read_settings(pairs)
        keep_freed_memory()

        def run() -> Path | None:
            from ..training.stages.running import run_stage

            seconds = None if minutes is None else minutes * 60
            return run_stage(
                name, settings, folder, faces, pools=pools, resume=resume, seconds=seconds
            )

        model = _guarded(run)
        if os.environ.get("RANK", "0") == "0":
            click.echo(f"wrote {model}" if model else f"time is up: {folder} goes on with --resume")

    def settings() -> type[Settings]:
        from ..training.stages.registry import stage_config

        return _guarded(lambda: stage_config(name))

    command.settings = settings
    return command


def _pool(name: str) -> click.Command:
    """The command that makes a stage's pool."""

    @click.command(name, cls=Stage, help=f"{_summary(name)}\n\nStores items to learn from.")
    @click.option("--faces", type=FOLDER, required=True, help="Folder of aligned face crops.")
    @options.output
    @settings_option
    @resume_option
    @minutes_option
    def command(
        faces: Path, folder: Path, pairs: Sequence[str], resume: bool, minutes: float | None
    ) -> None:
        settings = read_settings(pairs)
        keep_freed_memory()

        def make() -> int:
            from ..training.stages.running import make_pool

            stored, seconds = 0, None if minutes is None else 60 * minutes
            made = make_pool(name, settings, folder, faces, resume=resume, seconds=seconds)
            with click.progressbar(length=1, label=f"pool {name}", file=sys.stderr) as bar:
                for stored, items in made:
                    bar.length = items
                    bar.update(stored - bar.pos)
            return stored

        click.echo(f"wrote {_guarded(make)} items to {folder}")

    def settings() -> type[Settings]:
        from ..training.stages.registry import pool_config

        return _guarded(lambda: pool_config(name))

    command.settings = settings
    return command


train = Stages(
    _train,
    name="train",
    short_help="Train a stage on a folder of faces, or on a pool.",
    help="""Train a network: `frr train STAGE --faces FOLDER --run FOLDER`.

    `frr train STAGE --help` lists the stage's settings. They are kept in config.json in the run's
    folder; a stopped run goes on with --resume, with what it was started with.

    Several GPUs: `accelerate launch --num_processes 8 -m frr.cli train ...`; batch_size is that of
    all together. A stopped run goes on with any number of them.
    """,
)
pool = Stages(
    _pool,
    name="pool",
    short_help="Simulate and store what a stage learns from.",
    help="""Store a stage's training items: `frr pool STAGE --faces FOLDER -o FOLDER`.

    A network that learns faster than photos are retouched draws them from such a pool:
    `frr train STAGE --pool FOLDER --run FOLDER`. A stopped pool goes on with --resume.
    """,
)


@click.command(short_help="Average the weights of networks.")
@click.argument("sources", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@options.output
@click.option("--shares", metavar="A,B", help="What each counts.  [default: all alike]")
@options.overwrite
def average(sources: Sequence[Path], folder: Path, shares: str | None, overwrite: bool) -> None:
    """Write the mean of the networks in SOURCES: run folders, model folders or checkpoint.pt files.

    They must be of one make, and do well together where one was trained from the other, or both
    from a third.
    """
    _check_place_of_mean(folder, sources, overwrite)

    def write() -> None:
        from ..training.publishing.average import average as mean
        from ..training.writing import replacing

        network = mean(sources, _read_shares(shares))
        with replacing(folder) as beside:
            network.save_pretrained(beside)

    _guarded(write)
    click.echo(f"wrote {folder}")


def _check_place_of_mean(folder: Path, sources: Sequence[Path], overwrite: bool) -> None:
    """Raises click.UsageError where the mean must not take the place of what is there."""
    if not folder.exists():
        return
    if not overwrite:
        raise click.UsageError(f"{folder} is there already: pass --overwrite or choose another -o")
    inside = {each for source in sources for each in (source, source / "model")}
    if any(each.exists() and each.samefile(folder) for each in inside):
        raise click.UsageError(f"{folder} is one of the networks to average: choose another -o")
    for path in sorted(folder.iterdir()):
        weights = path.name.endswith((".safetensors", ".safetensors.index.json"))
        if path.is_symlink() or not path.is_file() or not (weights or path.name == "config.json"):
            raise click.UsageError(
                f"{folder} holds {path.name}, so it is no folder of a network: choose another -o"
            )


def _read_shares(text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(item) for item in text.split(",")]
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: expected numbers as 1,2") from error


def _summary(name: str) -> str:
    from ..training.stages.registry import POOLS, STAGES

    return {**POOLS, **STAGES}[name].summary


def _guarded(work: Callable[[], Any]) -> Any:
    """What `work` returns; what a user can mend ends the command with a line."""
    try:
        return work()
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error}: pip install 'frr[train]'") from error
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    except (RuntimeError, MemoryError, ArithmeticError) as error:
        raise click.ClickException(one_line(error)) from error


def read_settings(pairs: Sequence[str]) -> dict[str, object]:
    """Read NAME=VALUE pairs.

    Raises:
        click.BadParameter: a pair without a name or a sign, or a name given twice.
    """
    settings: dict[str, object] = {}
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not (name and sign):
            raise click.BadParameter(f"{pair!r}: expected NAME=VALUE", param_hint="--set")
        if name in settings:
            raise click.BadParameter(f"{name} is set twice", param_hint="--set")
        settings[name] = value
    return settings
