"""`frr`, the command line: undo retouching, simulate it, train, judge and export models."""

import errno
from typing import Any

import click

from . import __version__
from .commands.app import app
from .commands.card import card
from .commands.demo import demo
from .commands.evaluate import calibrate, evaluate, thresholds
from .commands.export import export
from .commands.lend import bundle, slice_
from .commands.recipe import recipe
from .commands.restore import restore
from .commands.retouch import inpaint, retouch
from .commands.simulate import simulate
from .commands.train import average, pool, train


class Main(click.Group):
    """The commands; what the system refuses any of them is said in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command.

        Raises:
            click.ClickException: a file or folder cannot be read or written.
        """
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno == errno.EPIPE:  # whoever reads what is printed has enough
                raise
            raise click.ClickException(str(error)) from error


@click.group(cls=Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="frr")
def main() -> None:
    """Face retouching restoration: find which retouching a photo of a face got, and undo it."""


COMMANDS = (
    demo,
    restore,
    retouch,
    inpaint,
    simulate,
    calibrate,
    pool,
    train,
    average,
    recipe,
    bundle,
    slice_,
    evaluate,
    thresholds,
    export,
    card,
    app,
)
for command in COMMANDS:
    main.add_command(command)

if __name__ == "__main__":
    main(prog_name="frr")
