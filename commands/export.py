"""`frr export`: write a model folder that loads anywhere, and push it to the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options
from .bpfre import pipeline_option

if TYPE_CHECKING:
    from ..pipelines.bpfre.pipeline import BPFRePipeline
    from ..pipelines.mofrr.pipeline import MoFRRPipeline

PIPELINES = ("MoFRRPipeline", "BPFRePipeline")


@click.command(short_help="Write a model folder that loads anywhere; push it.")
@click.option("--model", help="Model folder, embedded model or Hub id to write again.")
@click.option(
    "--runs",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Instead of --model: folder of the run folders router, shared, merger, and one for each "
    "operation; or bpfre and bpfre_inpaint.",
)
@pipeline_option
@options.output
@click.option("--push", metavar="ID", help="Also upload it to the Hub as owner/name.")
@click.option("--private", is_flag=True, help="With --push: a new repository is private.")
@click.option("--dtype", type=click.Choice(options.DTYPES), default="float32", show_default=True)
@click.option("--variant", help="Part of the weights' file names, as fp16.")
@click.option(
    "--without-code",
    is_flag=True,
    help="Weights, settings and card only, as in hub/: loads where this package is installed.",
)
@click.option(
    "--onnx",
    is_flag=True,
    help="Also write router and experts as ONNX files to onnx/ in the folder, and say how far each "
    "is from its network (the `onnx` extra).",
)
@click.option("--shard-size", help="Split larger weights, as 2GB.  [default: diffusers']")
@click.option(
    "--calibrate",
    "faces_folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --runs: validation faces to set the thresholds on.",
)
@click.option(
    "--degree-source",
    type=click.Choice(["expert", "router"]),
    default="expert",
    show_default=True,
    help="With --runs: who estimates degrees that are not given.",
)
@options.size
@options.limit
@options.seed
@options.overwrite
def export(
    folder: Path,
    push: str | None,
    private: bool,
    variant: str | None,
    shard_size: str | None,
    overwrite: bool,
    without_code: bool,
    onnx: bool,
    **source: Any,
) -> None:
    """Write a model as a folder that loads anywhere: code, weights, settings, card.

    The model comes from --model, with its card, or from the networks that `frr train` made. A
    README in the folder stays. Uploading uses the login of `hf auth login` or HF_TOKEN; no token is
    stored here.
    """
    from ..pipelines.repository.writer import remove_code

    if (source["model"] is None) == (source["runs"] is None):
        raise click.UsageError("pass either --model or --runs")
    check_place(folder, overwrite)
    if push is not None:
        if without_code:
            raise click.UsageError("--push uploads what loads anywhere: leave --without-code out")
        _check_login()
        if onnx:
            raise click.UsageError("--push uploads no ONNX files: leave --onnx out")
    pipe = _assemble(**source) if source["model"] is None else _load(**source)
    hub = {"push_to_hub": True, "repo_id": push, "private": private or None} if push else {}
    try:
        pipe.save_pretrained(folder, variant=variant, max_shard_size=shard_size, **hub)
        if without_code:
            remove_code(folder)
        if onnx:
            _write_onnx(pipe, folder / "onnx")
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"wrote {folder}" + (f" and pushed it to {push}" if push else ""))


def _write_onnx(pipe: Any, folder: Path) -> None:
    """Writes the files beside their place, and says how far each is from its network.

    Raises:
        click.ClickException: the extra is not installed.
    """
    from ..pipelines.onnx_files import write_onnx
    from ..pipelines.repository.writing import replacing

    try:
        with replacing(folder) as beside:
            for name, largest, scale in write_onnx(pipe, beside):
                click.echo(f"{name}: differs from its network by {largest:.1e} of {scale:.2g}")
    except ImportError as error:
        raise click.ClickException(f'--onnx: {error}; pip install "frr[onnx]"') from error


def check_place(folder: Path, overwrite: bool) -> None:
    """Look whether a model may be written to a folder, where a card and dotfiles may be.

    Raises:
        click.UsageError: it holds a model that is not to be replaced, or something else.
    """
    from ..pipelines.repository.exchange import CHECKSUMS_NAME, CODE_VERSION, INDEX_NAME
    from ..pipelines.repository.reader import read_json
    from ..pipelines.repository.writing import clear_unfinished

    if not folder.exists():
        return
    clear_unfinished(folder)
    if not (folder / INDEX_NAME).exists():
        for path in sorted(folder.iterdir()):
            code = path.suffix == ".py" and CODE_VERSION.search(path.stem)
            if code or path.name == CHECKSUMS_NAME or (path.is_dir() and path.name[0] != "."):
                raise click.UsageError(
                    f"{folder} holds {path.name}, and no model: choose another -o, or empty it"
                )
        return
    if not overwrite:
        raise click.UsageError(f"{folder} holds a model: pass --overwrite or choose another -o")
    try:
        kind = read_json(folder / INDEX_NAME, "").get("_class_name")
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if (kind[-1] if isinstance(kind, list) and kind else kind) not in PIPELINES:
        raise click.UsageError(f"{folder} holds a {kind}, which is not replaced: choose another -o")


def _check_login() -> None:
    """Raises click.ClickException where huggingface_hub knows no token."""
    from huggingface_hub import get_token

    if get_token() is None:
        raise click.ClickException(
            "--push needs a login to the Hub, and there is none: `hf auth login` or set HF_TOKEN"
        )


def _load(model: str, dtype: str, pipeline: str, **_: Any) -> MoFRRPipeline | BPFRePipeline:
    load = options.load_bpfre if pipeline == "bpfre" else options.load_pipeline
    return load(model, "cpu", dtype)


def _assemble(
    runs: Path,
    faces_folder: Path | None,
    size: int,
    limit: int | None,
    seed: int,
    dtype: str,
    pipeline: str,
    degree_source: str,
    **_: Any,
) -> MoFRRPipeline | BPFRePipeline:
    import torch

    from ..training.publishing.assemble_bpfre import assemble_bpfre
    from ..training.publishing.assemble_mofrr import assemble

    faces = None if faces_folder is None else options.load_faces(faces_folder, size, limit)
    try:
        bpfre = pipeline == "bpfre"
        pipe = assemble_bpfre(runs, faces) if bpfre else assemble(runs, faces, seed, degree_source)
        return pipe.to(getattr(torch, dtype))
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
