"""A stand-in for ComfyUI: the node API, folders and memory manager, as far as the pack uses them.

It checks what the real one would only notice on a small graphics card: which networks are on the
device at a time, and that their weights fit a budget.
"""

import types
from pathlib import Path
from typing import Any

import torch


class Interrupted(BaseException):
    """The user stopped the prompt; like the host's, no `except Exception` catches it."""


class Patcher:
    """A network that is on the device or not."""

    def __init__(self, model, load_device, offload_device):
        self.model, self.load_device, self.offload_device = model, load_device, offload_device
        model.device = offload_device

    def is_dynamic(self):
        return False

    def model_size(self):
        return sum(p.nbytes for p in self.model.parameters())

    def loaded_size(self):
        return self.model_size() if self in MEMORY.resident else 0


class Memory:
    """The device: who is on it, what it can hold, what is to go wrong."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.resident: list[Patcher] = []
        self.budget, self.total = float("inf"), 2**33
        self.loads: list[tuple[Patcher, float]] = []
        self.largest = 0
        self.interrupted = False
        self.emptied = 0

    def load(self, patchers, memory_required=0, force_full_load=False):
        assert force_full_load, "plain torch.nn layers cannot be streamed"
        assert memory_required > 0, "activations need memory too"
        needed = sum(patcher.model_size() for patcher in patchers)
        while self.resident and self.used() + needed > self.budget:
            self.resident.pop(0)
        for patcher in patchers:
            if patcher not in self.resident:
                self.resident.append(patcher)
            self.loads.append((patcher, memory_required))
        self.largest = max(self.largest, self.used())
        if self.used() > self.budget:
            raise torch.OutOfMemoryError("the network is larger than the device")

    def used(self):
        return sum(patcher.model_size() for patcher in self.resident)

    def check(self):
        if self.interrupted:
            raise Interrupted

    def raise_non_oom(self, error):
        if not isinstance(error, torch.OutOfMemoryError):
            raise error

    def empty(self):
        self.emptied += 1


MEMORY = Memory()
PROGRESS: list[tuple[int, int, Any]] = []


class ProgressBar:
    def __init__(self, total):
        self.total = total

    def update_absolute(self, value, total=None, preview=None):
        assert 0 < value <= self.total
        PROGRESS.append((value, self.total, preview))


class Field:
    """An input or output of a node."""

    io_type = ""

    def __init__(self, id, **options):
        self.id, self.options = id, options
        self.tooltip, self.optional = options.get("tooltip"), options.get("optional", False)
        self.display_name = options.get("display_name")

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return self.__dict__["options"].get(name)


def socket(name: str) -> type:
    fields = {"Input": type("Input", (Field,), {"io_type": name})}
    fields["Output"] = type("Output", (Field,), {"io_type": name})
    return type(name, (), {"io_type": name, **fields})


class Schema:
    def __init__(self, **fields):
        self.__dict__.update({"inputs": [], "outputs": [], "search_aliases": [], **fields})


class NodeOutput:
    def __init__(self, *args, ui=None):
        self.args, self.ui = args, ui

    def __getitem__(self, index):
        return self.args[index]


class ComfyNode:
    pass


class TemplatePrefix:
    def __init__(self, input, prefix, min=1, max=10):
        self.input, self.prefix, self.min, self.max = input, prefix, min, max


class PreviewImage:
    def __init__(self, images, cls=None):
        assert images.ndim == 4 and cls is not None
        self.count = len(images)

    def as_dict(self):
        names = (f"{place}.png" for place in range(self.count))
        return {"images": [{"filename": n, "subfolder": "", "type": "temp"} for n in names]}


def modules(models: Path) -> dict[str, types.ModuleType]:
    """The host's modules by name, with `models` as its models folder."""
    made = {
        name: types.ModuleType(name)
        for name in (
            "comfy", "comfy.model_management", "comfy.model_patcher", "comfy.utils",
            "comfy_api", "comfy_api.latest", "folder_paths",
        )
    }  # fmt: skip
    cpu = torch.device("cpu")
    vars(made["comfy.model_management"]).update(
        get_torch_device=lambda: cpu,
        intermediate_device=lambda: cpu,
        intermediate_dtype=lambda: torch.float32,
        unet_offload_device=lambda: cpu,
        unet_dtype=lambda device=None, model_params=0, supported_dtypes=(): torch.float32,
        load_models_gpu=MEMORY.load,
        get_total_memory=lambda device=None: MEMORY.total,
        throw_exception_if_processing_interrupted=MEMORY.check,
        raise_non_oom=MEMORY.raise_non_oom,
        soft_empty_cache=MEMORY.empty,
        OOM_EXCEPTION=torch.OutOfMemoryError,
    )
    made["comfy.model_patcher"].CoreModelPatcher = Patcher
    made["comfy.model_patcher"].ModelPatcher = Patcher
    made["comfy.utils"].ProgressBar = ProgressBar
    made["comfy.utils"].load_torch_file = _load_torch_file
    vars(made["folder_paths"]).update(_folders(models))
    vars(made["comfy_api.latest"]).update(_api())
    for name, module in made.items():
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(made[parent], child, module)
    return made


def _load_torch_file(file, safe_load=False):
    from safetensors.torch import load_file

    assert safe_load
    return load_file(file)


def _folders(models: Path) -> dict[str, Any]:
    known: dict[str, list[str]] = {}
    return {
        "models_dir": str(models),
        "add_model_folder_path": lambda name, path: known.setdefault(name, []).append(path),
        "get_folder_paths": lambda name: known.get(name, []),
        "get_filename_list": lambda name: [],
        "get_input_directory": lambda: str(models.parent / "frr-input"),
    }


def _api() -> dict[str, Any]:
    names = ("Image", "Mask", "Int", "Float", "String", "Boolean", "Combo", "BoundingBox")
    io = types.SimpleNamespace(
        Schema=Schema,
        NodeOutput=NodeOutput,
        ComfyNode=ComfyNode,
        Custom=socket,
        Autogrow=types.SimpleNamespace(
            TemplatePrefix=TemplatePrefix, Input=type("Input", (Field,), {"io_type": "AUTOGROW"})
        ),
        **{name: socket(name.upper()) for name in names},
    )
    extension = type("ComfyExtension", (), {})
    ui = types.SimpleNamespace(PreviewImage=PreviewImage)
    return {"io": io, "ui": ui, "ComfyExtension": extension}
