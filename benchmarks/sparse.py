"""What sparse routing saves: `python -m benchmarks.sparse`, from the root of the checkout.

One photo is restored with 0, 1, 2, 3 and 4 operations forced, the experts with the most weights
first, so that the shares of few experts are not flattered. Everything is measured in this run.

Time: median over the repeats; the numbers of experts take turns, so that other work on the machine
falls on all of them. One call of each comes first and is not counted.

Memory is the sum of two things. Weights: bytes of parameters and buffers of the parts that really
ran, seen by hooks; the others can stay on disk or off the device. Activations: how far the process
grew, at its highest, beyond what it held before the call, in a fresh process for each number of
experts. There the same call on a photo of a quarter of the side comes first, so that what torch
sets up once (code, thread pools, kernels) is not counted. On Linux the kernel's high-water mark is
set back just before the call; elsewhere, or where that is not allowed, `getrusage` gives the
highest mark since the process began, and what loading took hides as much of the growth: the number
is then a lower bound, and is marked with ">". Memory that the allocator already held is no growth.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import click
import torch
from torch import Tensor, nn

from frr.pipelines.freed_memory import keep_freed_memory

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_MODEL = ROOT / "hub" / "mofrr-tiny"
MEBIBYTE = 2**20


class Memory(NamedTuple):
    """What one call needs, in bytes."""

    weights: int
    activations: int
    exact: bool  # False: activations are a lower bound


class Cost(NamedTuple):
    """One line of the table."""

    experts: int
    seconds: float
    memory: Memory


def embedded_model() -> str | None:
    """The folder of the model that comes with the checkout, None without one."""
    return str(DEFAULT_MODEL) if (DEFAULT_MODEL / "model_index.json").is_file() else None


def load_pipeline(model: str | None) -> Any:
    """The model in a folder, else the embedded one, else tiny networks with fresh weights."""
    source = model or embedded_model()
    if source is None:
        from frr.training.publishing.assemble_mofrr import fresh_pipeline

        pipe = fresh_pipeline()
    else:
        from frr.pipelines.mofrr.pipeline import MoFRRPipeline

        pipe = MoFRRPipeline.from_pretrained(source)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def photo(size: int) -> Tensor:
    """scikit-image's astronaut portrait, 1 3 size size in [0, 1]."""
    from PIL import Image
    from skimage.data import astronaut

    picture = Image.fromarray(astronaut()[:256, 100:356]).resize((size, size))
    pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
    return pixels.view(size, size, 3).permute(2, 0, 1)[None].to(torch.float32) / 255


def bytes_of(network: nn.Module) -> int:
    """Bytes of all parameters and buffers."""
    return sum(t.numel() * t.element_size() for t in (*network.parameters(), *network.buffers()))


def costliest_first(pipe: Any) -> list[str]:
    """The operations, those whose expert has the most weights first."""
    experts = {name: getattr(pipe, f"{name}_expert") for name in pipe.operations}
    sizes = {name: bytes_of(expert) for name, expert in experts.items() if expert is not None}
    return sorted(sizes, key=lambda name: sizes[name], reverse=True)


def restore(pipe: Any, image: Tensor, experts: int, steps: int | None) -> None:
    """One call with so many operations forced; with 0, the photo counts as untouched."""
    options = {} if steps is None else {"num_inference_steps": steps}
    forced = set(costliest_first(pipe)[:experts])
    generator = torch.Generator().manual_seed(0)
    pipe(image, operations=forced, generator=generator, output_type="pt", **options)


def weights_that_run(pipe: Any, image: Tensor, experts: int, steps: int | None) -> int:
    """Bytes of the networks of which any layer is called."""
    networks = {n: part for n, part in pipe.components.items() if isinstance(part, nn.Module)}
    ran: set[str] = set()
    handles = [
        layer.register_forward_pre_hook(lambda *_, name=name: ran.add(name))
        for name, network in networks.items()
        for layer in network.modules()
    ]
    restore(pipe, image, experts, steps)
    for handle in handles:
        handle.remove()
    return sum(bytes_of(networks[name]) for name in ran)


def held_bytes() -> int:
    """Memory that the process holds now (Linux), else the most it has held."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return highest_bytes()


def highest_bytes() -> int:
    """The most memory that the process has held since the mark was set back."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest if sys.platform == "darwin" else highest * 1024


def set_mark_back() -> bool:
    """Set the high-water mark to what is held now; False where that cannot be done."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def measure_memory(model: str | None, size: int, steps: int | None, experts: int) -> Memory:
    """Memory of one call; meant for a process that does nothing else."""
    pipe = load_pipeline(model)
    image = photo(size)
    weights = weights_that_run(pipe, photo(max(32, size // 4)), experts, steps)

    exact = set_mark_back()
    before = held_bytes() if exact else highest_bytes()
    restore(pipe, image, experts, steps)
    return Memory(weights, max(0, highest_bytes() - before), exact)


def memory_in_fresh_process(arguments: list[str], experts: int) -> Memory:
    """`measure_memory` in a new process of this module."""
    command = [sys.executable, "-m", "benchmarks.sparse", *arguments, "--probe", str(experts)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode:
        raise click.ClickException(f"{' '.join(command)} failed:\n{result.stderr}")
    return Memory(*json.loads(result.stdout.splitlines()[-1]))


def measure_seconds(
    model: str | None, size: int, steps: int | None, repeats: int
) -> dict[int, float]:
    """Median seconds of a call for each number of experts, which take turns."""
    pipe, image = load_pipeline(model), photo(size)
    seconds: dict[int, list[float]] = {n: [] for n in range(len(costliest_first(pipe)) + 1)}
    for turn in range(repeats + 1):
        for experts, measured in seconds.items():
            start = time.perf_counter()
            restore(pipe, image, experts, steps)
            if turn:
                measured.append(time.perf_counter() - start)
    return {experts: statistics.median(measured) for experts, measured in seconds.items()}


def table(costs: list[Cost]) -> str:
    """Costs as aligned text, with their shares of the last line's."""
    last = costs[-1]
    whole = last.memory.weights + last.memory.activations
    heads = ("experts", "seconds", "share", "weights", "activations", "together", "share")
    lines = ["".join(head.rjust(13) for head in heads)]
    for cost in costs:
        weights, activations, exact = cost.memory
        grown = f"{'' if exact else '> '}{activations / MEBIBYTE:.1f} MiB"
        cells = (
            str(cost.experts) if cost.experts else "untouched",
            f"{cost.seconds:.3f}",
            f"{cost.seconds / last.seconds:.2f}",
            f"{weights / MEBIBYTE:.1f} MiB",
            grown,
            f"{(weights + activations) / MEBIBYTE:.1f} MiB",
            f"{(weights + activations) / whole:.2f}",
        )
        lines.append("".join(cell.rjust(13) for cell in cells))
    return "\n".join(lines)


@click.command()
@click.option("--model", help="Model folder. [default: hub/mofrr-tiny, else fresh tiny networks]")
@click.option(
    "--size",
    type=click.IntRange(32),
    default=256,
    show_default=True,
    help="Side of the photo in pixels.",
)
@click.option("--steps", type=click.IntRange(1), help="Denoising steps. [default: the pipeline's]")
@click.option(
    "--repeats",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Timed calls for each line.",
)
@click.option("--probe", type=int, hidden=True)
def main(model: str | None, size: int, steps: int | None, repeats: int, probe: int | None) -> None:
    """Time and memory of a call by the number of active experts, as shares of all experts."""
    if probe is not None:
        click.echo(json.dumps(measure_memory(model, size, steps, probe)))
        return
    keep_freed_memory()
    arguments = ["--size", str(size)]
    arguments += ["--model", model] if model else []
    arguments += ["--steps", str(steps)] if steps else []

    seconds = measure_seconds(model, size, steps, repeats)
    costs = [Cost(n, s, memory_in_fresh_process(arguments, n)) for n, s in seconds.items()]
    source = model or embedded_model() or "tiny networks, not trained"
    click.echo(
        f"{source}; one photo of {size} x {size}, {torch.get_num_threads()} thread(s), CPU; "
        f"median of {repeats} calls\n"
    )
    click.echo(table(costs))
    click.echo(
        "\nshare: of the last line. weights: the parts that ran. activations: growth of a fresh "
        "process\nat its highest during one call. The untouched photo is only routed."
    )


if __name__ == "__main__":
    main()
