"""`frr retouch` and `frr inpaint`: blemishes removed, holes filled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from .. import hub
from ..models.bpfre.kinds import KINDS
from . import bulk, options
from .carrying import Errand
from .photos import FORMATS
from .retouching import Retoucher, Retouching

_existing = click.Path(exists=True, path_type=Path)
working_size = click.option(
    "--working-size", type=click.IntRange(0), help="Shorter side; 0: the photo's own."
)
suffix = click.option("--format", "suffix", type=click.Choice(FORMATS), default="png")


def settings(command: Callable[..., None]) -> Callable[..., None]:
    """The options that both commands end with."""
    own = working_size, suffix, options.overwrite, options.resume
    for option in reversed((*own, bulk.ray, bulk.actors, options.model_of(hub.BPFRE))):
        command = option(command)
    return command


@click.command(short_help="Remove blemishes from photos of faces.")
@options.photos
@options.output
@click.option("--mask", type=_existing, help="Picture(s), white where retouching is allowed.")
@click.option("--preserve", type=_existing, help="Picture(s), white where all is kept.")
@click.option(
    "--strength",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="0: nothing; to 0.25 spots only; then more and more even skin.",
)
@click.option(
    "--only",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    help="Retouch this kind alone; may be given several times. Takes a model with a healer.",
)
@click.option("--stages", is_flag=True, help="Also write the coarse result and both maps.")
@settings
def retouch(paths: Sequence[Path | str], folder: Path, **given: Any) -> None:
    """Remove acne, redness, scars, spots, pores and wrinkles from PHOTOs; moles are kept.

    PHOTOs are aligned face crops, files or folders of them. Outside what it finds the pixels stay
    as they are. Beside each result a JSON file says how much of the photo was changed, and lists
    what the healer retouched, with kinds and boxes. --ray works as in `frr restore`.
    """
    _run(paths, folder, given, inpaints=False)


@click.command(short_help="Fill holes in photos of faces.")
@options.photos
@options.output
@click.option(
    "--mask", type=_existing, required=True, help="Picture(s), white where the photo is filled."
)
@settings
def inpaint(paths: Sequence[Path | str], folder: Path, **given: Any) -> None:
    """Fill what a mask covers on PHOTOs, files or folders of them; all else stays as it is.

    A mask is one file for all photos, or a folder with a file of each photo's name.
    """
    _run(paths, folder, given, inpaints=True)


def _run(
    paths: Sequence[Path | str], folder: Path, given: dict[str, Any], *, inpaints: bool
) -> None:
    names = ("model", "device", "dtype", "working_size", "mask")
    extra = () if inpaints else ("preserve", "strength", "kinds", "stages")
    how = Retouching(inpaints=inpaints, **{name: given[name] for name in (*names, *extra)})
    errand = Errand(paths, folder, given, (how.mask, how.preserve), how.files)
    pipe = options.load_bpfre(how.model, errand.device, how.dtype)
    errand.run(how, Retoucher(how, pipe), "Filling" if inpaints else "Retouching")
