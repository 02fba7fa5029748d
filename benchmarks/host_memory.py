"""What a host's memory does over many prompts: `python -m benchmarks.host_memory`.

The nodes run under a memory manager with a budget: the real one of ComfyUI where COMFYUI_PATH
names a checkout, else a stand-in. It prints two things.

1. Resident memory of the process after 5 prompts and after the last one, each on another picture:
   with one model kept, as the host's cache keeps it, and with the model loaded anew every time.
   Nothing may stay behind. (safetensors 0.8.0 itself loses about 0.1 MiB each time it reads the
   seven files of a model, in `get_tensors`; that is all that the second number may show.)
2. A restoration with all four operations forced on, on a device with room for one expert: how much
   was on it at most, and whether the result is that of a device with room for everything.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import importlib.util
import os
import resource
import sys
import tempfile
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import torch

ROOT = Path(__file__).resolve().parent.parent
OPERATIONS = ("whitening", "smoothing", "face_slimming", "eye_enlarging")
MEBIBYTE = 2**20


class Device:
    """A device of the manager's with a budget; it computes on the CPU."""

    def __init__(self) -> None:
        self.budget, self.largest = 2**50, 0

    def see(self, used: int) -> int:
        """Note what is on the device, in bytes; returns what is left."""
        self.largest = max(self.largest, used)
        return max(self.budget - used, 0)


def use_comfyui(path: str, device: Device) -> None:
    """Import ComfyUI's manager and make it believe in `device`."""
    shims = ROOT / "tests" / "comfy" / "host_shims" / "prestartup_script.py"
    _import("frr_host_shims", shims)
    sys.path.insert(0, path)
    sys.argv = sys.argv[:1]
    import comfy.options  # pyright: ignore[reportMissingImports]

    comfy.options.enable_args_parsing(False)
    import comfy.cli_args  # pyright: ignore[reportMissingImports]

    comfy.cli_args.args.cpu = True
    import comfy.model_management as management  # pyright: ignore[reportMissingImports]

    card = torch.device("cpu", 0)

    def free(_: Any = None, torch_free_too: bool = False) -> Any:
        loaded = [each for each in management.current_loaded_models if each.device == card]
        left = device.see(sum(each.model.loaded_size() for each in loaded))
        return (left, left) if torch_free_too else left

    management.get_free_memory = free
    management.get_torch_device = lambda: card
    management.minimum_inference_memory = lambda: 0
    management.extra_reserved_memory = lambda: 0


def use_stand_in(device: Device) -> None:
    """Put the tests' stand-in in ComfyUI's place."""
    stub = _import("frr_stub_host", ROOT / "tests" / "nodes" / "stub_host.py")
    sys.modules.update(stub.modules(Path(tempfile.mkdtemp(prefix="frr-models-"))))
    load = stub.MEMORY.load

    def watched(*given: Any, **options: Any) -> None:
        stub.MEMORY.budget = device.budget
        load(*given, **options)
        device.see(stub.MEMORY.largest)
        stub.MEMORY.loads.clear()

    sys.modules["comfy.model_management"].load_models_gpu = watched  # pyright: ignore


def _import(name: str, file: Path, **options: Any) -> Any:
    spec = importlib.util.spec_from_file_location(name, file, **options)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def load_nodes() -> dict[str, Any]:
    """The pack's nodes by id, imported under the name that a host gives it."""
    folder = {"submodule_search_locations": [str(ROOT)]}
    sys.modules.setdefault("custom_nodes", ModuleType("custom_nodes"))
    pack = _import("custom_nodes.ComfyUI-FRR", ROOT / "__init__.py", **folder)

    async def ask() -> list[Any]:
        extension = await pack.comfy_entrypoint()
        await extension.on_load()
        return await extension.get_node_list()

    return {node.define_schema().node_id: node for node in asyncio.run(ask())}


def resident() -> float:
    """MiB of the process that are in memory, once everything free is given back."""
    gc.collect()
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).malloc_trim(0)
        pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / MEBIBYTE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def prompt(nodes: dict[str, Any], picture: torch.Tensor, seed: int, model: Any = None) -> Any:
    """One prompt: load, restore with all operations forced on; the restored picture."""
    if model is None:
        model = nodes["MoFRRLoadModel"].execute("mofrr-tiny (embedded)", "float32")[0]
    settings = {"steps": 2, "strength": 1.0, "samples": 1, "working_size": 0, "frames": "pictures"}
    settings |= dict.fromkeys(OPERATIONS, "on")
    settings |= {f"{name}_degree": 0.0 for name in OPERATIONS}
    with torch.inference_mode():
        return nodes["MoFRRRestore"].execute(picture, model, seed=seed, **settings)[0]


def measure_prompts(nodes: dict[str, Any], count: int, size: int, keep: bool) -> None:
    """Print resident memory after the fifth and the last of `count` prompts."""
    noise = torch.Generator().manual_seed(0)
    model = nodes["MoFRRLoadModel"].execute("mofrr-tiny (embedded)", "float32")[0] if keep else None
    marks = []
    for number in range(count):
        prompt(nodes, torch.rand(1, size, size, 3, generator=noise), number, model)
        marks.append(resident())
    steps = [abs(after - before) for before, after in pairwise(marks[4:])]
    click.echo(f"model {'kept' if keep else 'loaded anew by every prompt'}:")
    click.echo(f"  resident after  5 prompts: {marks[4]:8.1f} MiB")
    click.echo(f"  resident after {count:2d} prompts: {marks[-1]:8.1f} MiB")
    click.echo(f"  growth a prompt:          {(marks[-1] - marks[4]) / (count - 5):8.3f} MiB")
    click.echo(f"  largest step between two: {max(steps):8.3f} MiB")


def measure_budget(nodes: dict[str, Any], device: Device, size: int) -> None:
    """Print how four operations get by with room for one expert."""
    model = nodes["MoFRRLoadModel"].execute("mofrr-tiny (embedded)", "float32")[0]
    picture = torch.rand(1, size, size, 3, generator=torch.Generator().manual_seed(1))
    expected = prompt(nodes, picture, 0, model)
    sizes = [patcher.model_size() for patcher in model.get_models()]
    room = max(model.bytes_for_picture(part, size, size) for part in model.patchers)
    for patcher in model.get_models():
        if hasattr(patcher, "detach"):
            patcher.detach()
    weights = int(1.11 * max(sizes))  # the manager keeps a tenth free
    device.budget, device.largest = weights + room, 0
    same = torch.equal(prompt(nodes, picture, 0, model), expected)
    click.echo(
        f"all networks: {sum(sizes) / MEBIBYTE:.1f} MiB; the largest {max(sizes) / MEBIBYTE:.1f}"
    )
    click.echo(
        f"budget {device.budget / MEBIBYTE:.1f} MiB, {room / MEBIBYTE:.1f} of it for activations; "
        f"weights on the device at most: {device.largest / MEBIBYTE:.1f} MiB"
    )
    click.echo(f"the result is that of a device with room for everything: {same}")


@click.command()
@click.option("--prompts", type=click.IntRange(6), default=50, show_default=True)
@click.option("--size", type=click.IntRange(32), default=128, show_default=True)
def main(prompts: int, size: int) -> None:
    """Measure and print."""
    device, path = Device(), os.environ.get("COMFYUI_PATH")
    if path:
        use_comfyui(path, device)
    else:
        use_stand_in(device)
    click.echo(f"manager: {'ComfyUI' if path else 'stand-in'}; pictures of {size} px")
    nodes = load_nodes()
    measure_prompts(nodes, prompts, size, keep=True)
    measure_prompts(nodes, prompts, size, keep=False)
    measure_budget(nodes, device, size)


if __name__ == "__main__":
    main()
