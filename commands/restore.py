"""`frr restore`: photos in; restored photos, and a report on each, out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from . import bulk, options
from .candidates import restored_option
from .carrying import Errand
from .faces import Chosen
from .photos import FORMATS
from .reports import References
from .restoring import Restorer, Restoring, Settings, files_of


@click.command(short_help="Undo the retouching of photos.")
@options.photos
@options.output
@click.option("--operations", help="Undo just a,b or switch a=on,b=off,c=auto. [default: all auto]")
@click.option("--degree", "degrees", multiple=True, metavar="NAME=0..1", help="A known degree.")
@options.steps
@click.option("--strength", type=click.FloatRange(0, 1), default=1.0, show_default=True)
@click.option(
    "--samples",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="More than 1: the report says how unsure the result is.",
)
@restored_option
@options.seed
@click.option("--working-size", type=click.IntRange(0), help="Shorter side; 0: the photo's own.")
@click.option("--always", is_flag=True, help="Run the shared expert even where nothing is found.")
@click.option("--reference", type=click.Path(exists=True, path_type=Path), help="True photo(s).")
@click.option("--faces", type=Chosen(), help="Whole photos: restore all faces, or some of them.")
@click.option("--experts", is_flag=True, help="Also write what each active expert did.")
@click.option("--format", "suffix", type=click.Choice(FORMATS), default="png", show_default=True)
@options.overwrite
@options.resume
@bulk.ray
@bulk.actors
@options.model
def restore(paths: Sequence[Path | str], folder: Path, **given: Any) -> None:
    """Undo the retouching of PHOTOs, files or folders of them, and write the results to a folder.

    Beside each result a JSON file of its name reports which operations were found, their degrees,
    what was undone, how long it took and, given the true photo (--reference, a file, or a folder
    with files of the same names), the PSNR before and after.

    With --candidates N, restorations that may be the true one are written beside it as NAME_1 to
    NAME_N, the likeliest first, each with degrees drawn from what the router believes of them; the
    report lists them. The result itself is not one of them: it is careful where no degree is known.

    A photo should be filled by one upright face. In whole photos --faces finds the faces itself (it
    needs the `identity` extra): all, the largest, or those of the given numbers, 1 the largest.

    With --ray (the `ray` extra) photos are shared out to the cores or GPUs of this machine or of a
    cluster, PHOTO may be an address such as s3://bucket/folder, and photos.parquet lists them all.
    """
    if given["faces"] and given["experts"]:
        raise click.UsageError("--experts shows what was done to a whole photo; leave out --faces")
    if given["candidates"]:
        if given["faces"] or given["samples"] > 1:
            raise click.UsageError("--candidates goes with neither --faces nor --samples")
        given["samples"] = given["candidates"]
    beside = given["candidates"] or 0
    files = partial(files_of, candidates=beside)
    errand = Errand(paths, folder, given, (given["reference"],), files)
    References(given["reference"]).check(errand.source.photos)
    pipe = options.load_pipeline(given["model"], errand.device, given["dtype"])
    how = Restoring(
        model=given["model"],
        device=given["device"],
        dtype=given["dtype"],
        settings=Settings.of(given, pipe),
        operations=tuple(pipe.operations),
        reference=given["reference"],
        faces=given["faces"],
        experts=given["experts"],
        candidates=beside,
    )
    errand.run(how, Restorer(how, pipe), "Restoring")
