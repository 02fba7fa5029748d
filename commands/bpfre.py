"""What `frr evaluate` and `frr export` do for BPFRe."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import hub
from . import options
from .photos import save_photo
from .results import Results

if TYPE_CHECKING:
    from ..training.data.faces import FaceSet

PIPELINES = ("mofrr", "bpfre")
BPFRE_FILES = ("bpfre.json", "bpfre.md", "panel.png")
NATURAL_FILES = ("natural.json",)
pipeline_option = click.option(
    "--pipeline", type=click.Choice(PIPELINES), default=PIPELINES[0], show_default=True
)


def evaluate_bpfre(faces: FaceSet, results: Results, given: dict[str, Any]) -> None:
    """Writes bpfre.json, bpfre.md and panel.png, and prints the table."""
    from ..training.judging import report_bpfre as report
    from ..training.judging.evaluate_bpfre import evaluate_bpfre as measure
    from ..training.publishing.card import weights_digest

    name = hub.BPFRE if given["model"] == hub.DEFAULT else given["model"]
    pipe = options.load_bpfre(name, given["device"], given["dtype"])
    seed = given["seed"]
    with click.progressbar(length=1, label="bpfre", file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        result = measure(pipe, faces, seed=seed, batch_size=given["batch_size"], progress=progress)
    result = replace(result, weights=weights_digest(Path(str(pipe.config.get("_name_or_path")))))
    folder = results.folder
    results.write_text(folder / "bpfre.json", report.to_json(result) + "\n")
    results.write_text(folder / "bpfre.md", report.to_markdown(result))
    save_photo(report.panels(pipe, faces, seed), folder / "panel.png", results)
    click.echo(report.to_text(result))
    click.echo(f"wrote {folder / 'bpfre.md'} and {folder / 'panel.png'}")


def evaluate_natural(faces_folder: Path, results: Results, given: dict[str, Any]) -> None:
    """Writes natural.json, and prints its summary."""
    from ..training.data.native_capture import open_faces
    from ..training.judging import evaluate_natural as natural
    from ..training.publishing.card import weights_digest

    name = hub.BPFRE if given["model"] == hub.DEFAULT else given["model"]
    pipe: Any = options.load_bpfre(name, given["device"], given["dtype"])
    if pipe.healer is None:
        raise click.UsageError("natural skin takes a model with a healer; this one has none")
    try:
        faces = open_faces(faces_folder, given["sources"], given["without"])
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    with click.progressbar(length=1, label="natural skin", file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        rows = natural.evaluate_natural(pipe, faces, limit=given["limit"], progress=progress)
    digest = weights_digest(Path(str(pipe.config.get("_name_or_path"))))
    target = results.folder / NATURAL_FILES[0]
    results.write_text(target, natural.to_json(rows, digest) + "\n")
    click.echo(natural.to_text(rows))
    click.echo(f"wrote {target}")
