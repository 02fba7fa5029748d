"""The single door to ComfyUI: its node API, folders, devices, memory, progress and interruption.

Networks stay under the host's memory management: each is wrapped in the host's own patcher, is
asked for at every use, and may be taken off the device at any other time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import comfy.model_management as management
import comfy.model_patcher
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import ComfyExtension as ComfyExtension
from comfy_api.latest import io as io
from comfy_api.latest import ui as ui
from PIL import Image
from torch import Tensor, nn

logger = logging.getLogger(__name__)

Patcher = Any
Result = TypeVar("Result")
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
SMALLEST_TILE = 128
PREVIEW_SIDE = 512
_HALVINGS = 2  # of the tile, once a single picture is too large


# ---------------------------------------------------------------------------------------------
# Folders


def add_model_folder(name: str) -> None:
    """Make `models/<name>` known to the host, beside what its extra_model_paths.yaml names."""
    folder_paths.add_model_folder_path(name, str(Path(folder_paths.models_dir) / name))


def list_models(name: str, index: str, suffix: str | None) -> dict[str, Path]:
    """The models under the host's folders of that name, by their path inside it.

    Args:
        name: what `add_model_folder` was called with.
        index: a folder that holds a file of this name is a model.
        suffix: so is a file that ends with this; None: no file is.
    """
    found: dict[str, Path] = {}
    for home in map(Path, folder_paths.get_folder_paths(name)):
        files = [path for path in home.rglob(f"*{suffix}") if path.is_file()] if suffix else []
        folders = [path.parent for path in home.rglob(index)]
        inside = [path for path in files if not any(f in path.parents for f in folders)]
        for path in sorted([*folders, *inside]):
            found.setdefault(path.relative_to(home).as_posix(), path)
    return found


def read_tensors(file: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, mapped from it where the host can."""
    return comfy.utils.load_torch_file(file, safe_load=True)


# ---------------------------------------------------------------------------------------------
# Devices and memory


class Hosted(nn.Module):
    """A network as the host wants it: a plain module whose `device` can be set.

    diffusers' networks have a read-only `device`, which the host's patcher writes to.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def get_dtype(self) -> torch.dtype:
        """The dtype of the weights, for the host's accounts."""
        return next(self.network.parameters()).dtype


def device() -> torch.device:
    """The device that the host computes on."""
    return management.get_torch_device()


def output_device() -> torch.device:
    """Where pictures wait between nodes."""
    return management.intermediate_device()


def output_dtype() -> torch.dtype:
    """The dtype in which pictures travel between nodes."""
    find = getattr(management, "intermediate_dtype", None)
    return torch.float32 if find is None else find()


def network_dtype(parameters: int) -> torch.dtype:
    """The dtype that the host chooses for networks of so many parameters."""
    chosen = management.unet_dtype(
        device=device(), model_params=parameters, supported_dtypes=list(DTYPES)
    )
    return chosen if chosen in DTYPES else torch.float32


def wrap(network: nn.Module) -> Patcher:
    """Put a network under the host's memory management; it waits on the offload device."""
    kind = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    hosted = Hosted(network.requires_grad_(False).eval())
    return kind(hosted, load_device=device(), offload_device=management.unet_offload_device())


def load(patcher: Patcher, activation_bytes: int) -> torch.device:
    """Bring a network to its device whole, with room for its activations; returns the device.

    Whole, because its layers are plain `torch.nn` and cannot be streamed one by one.
    """
    management.load_models_gpu([patcher], memory_required=activation_bytes, force_full_load=True)
    if not patcher.is_dynamic() and patcher.loaded_size() < patcher.model_size():
        patcher.partially_load(patcher.load_device, extra_memory=1e32)
    return patcher.load_device


# ---------------------------------------------------------------------------------------------
# Work that may not fit


def shrink_to_fit(
    run: Callable[[int, int | None], Result], batch: int, side: int, bytes_each: int = 0
) -> Result:
    """Run work in parts that fit: on running out of memory halve the batch, then the tile.

    The first try takes no more pictures at once than half of the device's memory should hold.

    Args:
        run: called with the number of pictures worked on at once and the side of the tiles they are
            cut into, None for whole ones.
        batch: the number of pictures.
        side: the longer side of a picture as it is worked on.
        bytes_each: activation memory of one picture, 0 where it is not known.

    Raises:
        RuntimeError: a single tile does not fit either.
    """
    room = management.get_total_memory(device()) // 2
    sizes = _sizes(min(batch, max(int(room // max(bytes_each, 1)), 1)), side)
    cause: Exception | None = None
    for count, tile in sizes:
        try:
            return run(count, tile)
        except Exception as error:
            _raise_unless_out_of_memory(error)
            cause = error.with_traceback(None)  # its frames hold the tensors that did not fit
        management.soft_empty_cache()
        logger.warning("Out of memory with %d picture(s) at once, tile %s.", count, tile or "none")
    raise RuntimeError(
        f"Out of memory even with one picture at a time in tiles of {sizes[-1][1] or side} px. "
        "Close other programs that use the device, choose a smaller working size or a half "
        "precision dtype, or start the host with --cpu."
    ) from cause


def _sizes(batch: int, side: int) -> list[tuple[int, int | None]]:
    """What to try, in turn: pictures at once and the tile's side (None: no tiles)."""
    counts = [batch]
    while counts[-1] > 1:
        counts.append((counts[-1] + 1) // 2)
    tiles = [side >> halving for halving in range(1, _HALVINGS + 1)]
    whole: list[tuple[int, int | None]] = [(count, None) for count in counts]
    return whole + [(1, max(tile, SMALLEST_TILE)) for tile in tiles if tile >= SMALLEST_TILE // 2]


def _raise_unless_out_of_memory(error: Exception) -> None:
    judge = getattr(management, "raise_non_oom", None)
    if judge is not None:
        judge(error)
    elif not isinstance(error, management.OOM_EXCEPTION):
        raise error


# ---------------------------------------------------------------------------------------------
# Progress


def check_interrupted() -> None:
    """Stop the prompt here if the user asked for it."""
    management.throw_exception_if_processing_interrupted()


class Progress:
    """The bar on the running node, with a picture of how far the work has come.

    Args:
        total: steps in all.
    """

    def __init__(self, total: int) -> None:
        self._total = max(total, 1)
        self._bar = comfy.utils.ProgressBar(self._total)
        self._done = 0

    def step(self, preview: Image.Image | None = None) -> None:
        """One step is done; raises if the user interrupted the prompt."""
        check_interrupted()
        self._done += 1
        shown = None if preview is None else ("JPEG", preview, PREVIEW_SIDE)
        self._bar.update_absolute(self._done, preview=shown)

    def reach(self, share: float, preview: Image.Image | None = None) -> None:
        """Take the steps up to a share of all, each once, also where work began anew.

        Raises if the user interrupted the prompt.
        """
        check_interrupted()
        while self._done < int(share * self._total + 1e-6):
            self.step(preview)


def save_previews(images: Tensor, node: Any) -> list[dict[str, str]]:
    """Save pictures B H W C in [0, 1] in the host's temporary folder; what its frontend asks by."""
    return ui.PreviewImage(images, cls=node).as_dict()["images"]
