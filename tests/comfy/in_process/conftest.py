"""ComfyUI's modules and the pack under the name that the host gives it, in this process."""

import asyncio
import importlib.util
import os
import runpy
import sys
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PACK = "custom_nodes.ComfyUI-FRR"

os.environ["HF_HUB_OFFLINE"] = "1"
runpy.run_path(str(HERE.parent / "host_shims" / "prestartup_script.py"))
sys.path.insert(0, os.environ["COMFYUI_PATH"])
sys.argv = sys.argv[:1]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing(False)
import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True
import comfy.model_management as management  # noqa: E402

# A device that the manager takes for a graphics card, though it computes on the CPU.
CARD = torch.device("cpu", 0)


def import_file(name: str, file: Path, **options):
    spec = importlib.util.spec_from_file_location(name, file, **options)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pack():
    """The pack, imported as the host does it."""
    return import_file(PACK, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)])


@pytest.fixture(scope="session")
def nodes(pack) -> dict:
    async def ask():
        extension = await pack.comfy_entrypoint()
        await extension.on_load()
        return await extension.get_node_list()

    return {node.define_schema().node_id: node for node in asyncio.run(ask())}


class Card:
    """The simulated card: how much it holds, how much was ever on it, and who."""

    def __init__(self):
        self.budget, self.largest = 2**40, 0

    def used(self) -> int:
        loaded = [each for each in management.current_loaded_models if each.device == CARD]
        used = sum(each.model.loaded_size() for each in loaded)
        self.largest = max(self.largest, used)
        return used

    def free(self, device=None, torch_free_too=False):
        free = max(self.budget - self.used(), 0)
        return (free, free) if torch_free_too else free


@pytest.fixture
def card(monkeypatch):
    """The manager believes in a card with `card.budget` bytes."""
    simulated = Card()
    management.unload_all_models()
    monkeypatch.setattr(management, "get_free_memory", simulated.free)
    monkeypatch.setattr(management, "get_torch_device", lambda: CARD)
    monkeypatch.setattr(management, "minimum_inference_memory", lambda: 0)
    monkeypatch.setattr(management, "extra_reserved_memory", lambda: 0)
    yield simulated
    management.unload_all_models()


@pytest.fixture
def model(nodes, card):
    """The embedded model, made for the simulated card."""
    return nodes["MoFRRLoadModel"].execute("mofrr-tiny (embedded)", "float32")[0]


@pytest.fixture
def retoucher(nodes, card):
    """The embedded BPFRe model, made for the simulated card."""
    return nodes["BPFReLoadModel"].execute("bpfre-tiny (embedded)", "float32")[0]


@pytest.fixture
def retouch(nodes, retoucher):
    """`retouch(pictures, strength=0.5)`: runs BPFReRetouch."""

    def run(image, **given):
        settings = {"strength": 1.0, "working_size": 0, "no_face": "do not look", **given}
        with torch.inference_mode():
            return nodes["BPFReRetouch"].execute(image, retoucher, **settings)

    return run


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(2, 64, 64, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def restore(nodes, model):
    """`restore(pictures, smoothing="on")`: runs MoFRRRestore."""
    names = ("whitening", "smoothing", "face_slimming", "eye_enlarging")
    settings = {"steps": 2, "seed": 0, "strength": 1.0, "samples": 1, "working_size": 0}
    settings |= {"frames": "pictures", **dict.fromkeys(names, "off")}
    settings |= {f"{name}_degree": 0.0 for name in names}

    def run(image, **given):
        with torch.inference_mode():
            return nodes["MoFRRRestore"].execute(image=image, model=model, **{**settings, **given})

    return run
