"""Options that several commands share, how their values are read, and the pipeline they ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .. import hub
from ..pipelines.freed_memory import keep_freed_memory
from .results import Results

if TYPE_CHECKING:
    from PIL import Image

    from ..pipelines.bpfre.pipeline import BPFRePipeline
    from ..pipelines.mofrr.output import MoFRRPipelineOutput
    from ..pipelines.mofrr.pipeline import MoFRRPipeline
    from ..training.data.faces import FaceSet

Command = TypeVar("Command", bound=Callable[..., Any])
DTYPES = ("float32", "float16", "bfloat16")
SWITCHES = {"on": True, "off": False, "auto": "auto"}

output = click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder to write to; made if it is not there.",
)


class Place(click.ParamType):
    """A file or folder; an address such as s3://bucket/folder stays the text that it is."""

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | Path:
        """Read the argument's value."""
        return value if isinstance(value, str) and "://" in value else Path(value)


photos = click.argument("paths", metavar="PHOTO...", nargs=-1, required=True, type=Place())
steps = click.option("--steps", type=click.IntRange(1), help="[default: the model's]")
overwrite = click.option(
    "--overwrite", is_flag=True, help="Replace results of an earlier run; nothing else ever is."
)
resume = click.option(
    "--resume", is_flag=True, help="Go on where an earlier run stopped: keep what is whole."
)
seed = click.option("--seed", default=0, show_default=True, help="Seed of everything random.")

size = click.option(
    "--size", type=click.IntRange(32), default=256, show_default=True, help="Side of the faces."
)
limit = click.option("--limit", type=click.IntRange(1), help="Faces at most. [default: all]")


def model_of(default: str) -> Callable[[Command], Command]:
    """Make what adds `--model`, `--device` and `--dtype`; `default` is the model's."""

    def add(command: Command) -> Command:
        for option in (
            click.option(
                "--dtype", type=click.Choice(DTYPES), default=DTYPES[0], show_default=True
            ),
            click.option("--device", help="cpu, cuda, cuda:1, mps, ...  [default: the fastest]"),
            click.option(
                "--model",
                default=default,
                show_default=True,
                help="Model folder, embedded model, or Hub id (which downloads it).",
            ),
        ):
            command = option(command)
        return command

    return add


model = model_of(hub.DEFAULT)


def device_or_default(name: str | None) -> str:
    """Return the device asked for, or CUDA or MPS where there is one, else the CPU.

    Raises:
        click.ClickException: no such device here.
    """
    import torch

    if name is None:
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise click.ClickException(f"--device {name} cannot be used here: {reason}") from error
    return name


def results_in(folder: Path, files: Iterable[str], overwrite: bool) -> Results:
    """Where a command writes files of known names; refused before any work is done.

    Raises:
        click.UsageError: one of them is there and may not be replaced.
    """
    results = Results(folder, overwrite=overwrite)
    try:
        results.check(*(folder / name for name in files))
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    return results


def load_pipeline(name: str, device: str | None, dtype: str) -> MoFRRPipeline:
    """Load a MoFRR pipeline from a folder, the embedded models, or the Hub, in that order.

    Raises:
        click.ClickException: it cannot be loaded.
    """
    from ..pipelines.mofrr.pipeline import MoFRRPipeline

    return _load(MoFRRPipeline, name, device, dtype)


def load_bpfre(name: str, device: str | None, dtype: str) -> BPFRePipeline:
    """Load a BPFRe pipeline, as `load_pipeline` does.

    Raises:
        click.ClickException: it cannot be loaded.
    """
    from ..pipelines.bpfre.pipeline import BPFRePipeline

    return _load(BPFRePipeline, name, device, dtype)


def load_either(folder: Path) -> MoFRRPipeline | BPFRePipeline:
    """Load the pipeline of a model folder, of whichever kind its index names, on the CPU.

    Raises:
        click.ClickException: it cannot be loaded.
    """
    index = folder / "model_index.json"
    text = index.read_text(encoding="utf-8") if index.is_file() else ""
    load = load_bpfre if '"BPFRePipeline"' in text else load_pipeline
    return load(str(folder), "cpu", DTYPES[0])


def _load(kind: Any, name: str, device: str | None, dtype: str) -> Any:
    import torch

    keep_freed_memory()
    place = device_or_default(device)
    try:
        source = hub.folder(name) if "/" not in name and not Path(name).is_dir() else name
        pipe = kind.from_pretrained(str(source), torch_dtype=getattr(torch, dtype))
    except (OSError, ValueError) as error:
        raise click.ClickException(f"--model {name}: {error}") from error
    pipe.set_progress_bar_config(disable=True)
    return pipe.to(place)


def steps_or_default(pipe: MoFRRPipeline, steps: int | None) -> int:
    """The denoising steps asked for, or else those that the pipeline takes unasked."""
    return steps or inspect.signature(pipe.__call__).parameters["num_inference_steps"].default


def load_faces(folder: Path, size: int, limit: int | None) -> FaceSet:
    """Load a folder of faces.

    Raises:
        click.ClickException: it has none that can be used.
    """
    from ..training.data import faces

    try:
        return faces.load_faces(folder, size, limit)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def restore_photo(
    pipe: MoFRRPipeline, photo: Any, **arguments: Any
) -> tuple[Image.Image, MoFRRPipelineOutput]:
    """Restore one photo, a picture or a tensor; also returns all the pipeline says about it."""
    from PIL import Image

    from ..pipelines.mofrr.output import MoFRRPipelineOutput

    output = pipe(photo, output_type="pil", **arguments)
    assert isinstance(output, MoFRRPipelineOutput)
    picture = output.images[0]
    assert isinstance(picture, Image.Image)
    return picture, output


def by_name(names: Sequence[str], values: Any) -> dict[str, float]:
    """Numbers by the operations' names, as reports hold them."""
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}


def read_numbers(text: str | None, option: str) -> tuple[int, ...]:
    """Read `300,512`; None gives no number.

    Raises:
        click.BadParameter: something else, or a number below 64.
    """
    try:
        numbers = tuple(int(item) for item in (text or "").split(",") if item.strip())
    except ValueError:
        numbers = (0,)
    if numbers and min(numbers) < 64:
        raise click.BadParameter(
            f"{text!r}: expected numbers from 64 on, as 300,512", param_hint=option
        )
    return numbers


def split_names(text: str | None, known: Sequence[str]) -> list[str]:
    """Read `a,b`; None gives no name.

    Raises:
        click.BadParameter: an unknown operation.
    """
    names = [item.strip() for item in (text or "").split(",") if item.strip()]
    for name in names:
        check_operation(name, known)
    return names


def parse_operations(
    text: str | None, known: Sequence[str]
) -> set[str] | dict[str, bool | str] | None:
    """Read `a,b` as the set of operations to undo, `a=on,b=off,c=auto` as a switch for each.

    Args:
        text: the option's value; None leaves all to the router.
        known: the operations the model has.

    Raises:
        click.BadParameter: an unknown operation or switch, or both ways mixed.
    """
    if text is None or "=" not in text:
        return None if text is None else set(split_names(text, known))
    wishes: dict[str, bool | str] = {}
    for item in text.split(","):
        name, sign, switch = item.strip().partition("=")
        check_operation(name, known)
        if not sign:
            raise click.BadParameter(f"{text!r} mixes names and name=switch: give each a switch")
        if switch not in SWITCHES:
            raise click.BadParameter(f"{item.strip()!r}: a switch is on, off or auto")
        wishes[name] = SWITCHES[switch]
    return wishes


def parse_degrees(texts: Sequence[str], known: Sequence[str]) -> dict[str, float]:
    """Read values such as `whitening=0.5`.

    Raises:
        click.BadParameter: an unknown operation, or no number in 0..1.
    """
    degrees = {}
    for text in texts:
        name, _, number = text.partition("=")
        check_operation(name, known)
        try:
            degrees[name] = float(number)
        except ValueError:
            raise click.BadParameter(f"{text!r}: expected NAME=NUMBER, as {name}=0.5") from None
        if not 0 <= degrees[name] <= 1:
            raise click.BadParameter(f"{text!r}: a degree lies between 0 and 1")
    return degrees


def check_operation(name: str, known: Sequence[str]) -> None:
    """Raise click.BadParameter, listing the known operations, if `name` is none of them."""
    if name not in known:
        raise click.BadParameter(f"unknown operation {name!r}; known: {', '.join(known)}")
