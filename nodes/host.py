"""The single door to ComfyUI: its node API, folders, devices, memory, progress and interruption.

Networks stay under the host's memory management: each is wrapped in the host's own patcher, is
asked for at every use, and may be taken off the device at any other time.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Protocol

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

from ..pipelines.photos.arrays import to_working_size
from ..pipelines.photos.drawings import to_picture
from ..pipelines.room import Result, Share, Work

logger = logging.getLogger(__name__)

Patcher = Any
DTYPES = (torch.float16, torch.bfloat16, torch.float32)
SMALLEST_TILE = 128
PREVIEW_SIDE = 512
MEDIAPIPE = ("LoadMediaPipeFaceLandmarker", "MediaPipeFaceLandmarker")
MOST_FACES = 16  # that these find in a picture
INTERRUPT_SECONDS = 0.2
_HALVINGS = 2  # of the tile, once a single picture is too large


# ---------------------------------------------------------------------------------------------
# Folders


def add_model_folder(name: str) -> None:
    """Make `models/<name>` known to the host, beside what its extra_model_paths.yaml names."""
    folder_paths.add_model_folder_path(name, str(Path(folder_paths.models_dir) / name))


def list_models(name: str, index: str, suffix: str | None) -> dict[str, Path]:
    """The models under the host's folders of that name, by their path inside it.

    Where two of these folders have a model of one name, the later one's home is part of its name.

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
            name = path.relative_to(home).as_posix()
            found[f"{name} ({home})" if name in found else name] = path
    return found


def find_landmarks(images: Tensor) -> Any:
    """Landmarks of the faces of each picture B H W C, by the host's own MediaPipe nodes.

    None where the host has no such nodes, or no file of their model.
    """
    known = getattr(sys.modules.get("nodes"), "NODE_CLASS_MAPPINGS", {})
    load, find = (known.get(name) for name in MEDIAPIPE)
    try:
        files = folder_paths.get_filename_list("detection")
    except KeyError:  # no such folder in older hosts
        return None
    chosen = [file for file in files if "mediapipe" in file.lower()]
    if load is None or find is None or not chosen:
        return None
    model = load.execute(chosen[0]).args[0]
    return find.execute(model, images, "both", MOST_FACES, 0.5, "empty").args[0]


def offer_files(folder: Path) -> None:
    """Copy files into the host's input folder, so that example graphs find them.

    A file that is there stays as it is, whatever it holds; an input folder that cannot be written
    to is told of in the log.
    """
    home = Path(folder_paths.get_input_directory())
    samples = [*folder.glob("frr_*"), *folder.glob("frr_*/*")]
    for file in sorted(path for path in samples if path.is_file()):
        place = home / file.relative_to(folder)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with place.open("xb") as copy:
                copy.write(file.read_bytes())
        except FileExistsError:
            continue
        except OSError as error:
            logger.warning("The sample %s cannot be put into %s: %s", file.name, home, error)


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
    """The dtype that the host chooses for networks with this number of parameters."""
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


class Owner(Protocol):
    """Whoever holds networks for the host."""

    def ready(
        self, part: str, pictures: int, height: int, width: int, drawing: bool = False
    ) -> torch.device:
        """Brings one network to its device for pictures of this size; returns the device."""
        ...

    def bytes_for_picture(self, part: str, height: int, width: int, drawing: bool = False) -> int:
        """Activation memory that a network needs for one picture of this size."""
        ...


class HostRoom:
    """The host's memory as a procedure's `Room`: one network at a time, in shares that fit.

    Args:
        owner: of the networks.
    """

    holds_everything = False

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._bar: Progress | None = None

    def split(self, work: Work, run: Callable[[Share], Result]) -> Result:
        """Runs work in shares: on running out of memory halves the batch, then the tile.

        The first try takes no more pictures at once than half of the device's memory should hold.

        Raises:
            RuntimeError: the smallest share does not fit either.
        """
        cause: Exception | None = None
        shares = self._shares(work)
        for count, tile in shares:
            try:
                return run(Share(count, tile, self._ready(work, count, tile)))
            except Exception as error:
                _raise_unless_out_of_memory(error)
                cause = error.with_traceback(None)  # its frames hold the tensors that did not fit
            management.soft_empty_cache()
            where = f"tiles of {tile} px" if tile else "whole"
            logger.warning("Out of memory with %d picture(s) at once, %s.", count, where)
        smallest = shares[-1][1]
        raise RuntimeError(
            "Out of memory even with one picture at a time"
            + (f" in tiles of {smallest} px. " if smallest else ". ")
            + "Close other programs that use the device, choose a smaller working size or a half "
            "precision dtype, or start the host with --cpu."
        ) from cause

    def _shares(self, work: Work) -> list[tuple[int, int | None]]:
        """What to try, in turn: pictures at once and the tile's side (None: no tiles)."""
        each = 0
        if work.network is not None:
            size = work.height, work.width
            each = self._owner.bytes_for_picture(work.network, *size, work.drawing)
        room = management.get_total_memory(device()) // 2
        counts = [max(min(work.photos, room // max(each, 1)), 1)]
        while counts[-1] > 1:
            counts.append((counts[-1] + 1) // 2)
        whole: list[tuple[int, int | None]] = [(count, None) for count in counts]
        return whole + [(1, tile) for tile in _tiles(max(work.height, work.width)) if work.tiles]

    def _ready(self, work: Work, count: int, tile: int | None) -> torch.device:
        if work.network is None:
            return device()
        height, width = (min(side, tile or side) for side in (work.height, work.width))
        return self._owner.ready(work.network, count, height, width, work.drawing)

    def check(self) -> None:
        """Stops the prompt here if the user asked for it."""
        check_interrupted()

    def show(self, done: float, steps: int, estimate: Tensor | None) -> None:
        """Moves the bar on the running node, with a picture of how far the work has come."""
        if self._bar is None:
            self._bar = Progress(steps)
        self._bar.reach(done, None if estimate is None else preview(estimate))


def _tiles(side: int) -> list[int]:
    """Sides of the tiles to try for pictures of a longer side, in turn."""
    tiles = [side >> halving for halving in range(1, _HALVINGS + 1)]
    return [max(tile, SMALLEST_TILE) for tile in tiles if tile >= SMALLEST_TILE // 2]


def _raise_unless_out_of_memory(error: Exception) -> None:
    judge = getattr(management, "raise_non_oom", None)
    if judge is not None:
        judge(error)
    elif not isinstance(error, management.OOM_EXCEPTION):
        raise error


# ---------------------------------------------------------------------------------------------
# Progress


def interruptible(work: Callable[[], Result]) -> Result:
    """What `work` returns; where the user interrupts the prompt, it is not waited for.

    For work that itself cannot be asked to stop, and that uses none of the host's networks.
    """
    inference = torch.is_inference_mode_enabled()

    def run() -> Result:
        with torch.inference_mode(inference), torch.set_grad_enabled(False):
            return work()

    worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="frr-work")
    try:
        result = worker.submit(run)
        while not wait([result], timeout=INTERRUPT_SECONDS).done:
            check_interrupted()
        return result.result()
    finally:
        worker.shutdown(wait=False)


def check_interrupted() -> None:
    """Stop the prompt here if the user asked for it."""
    management.throw_exception_if_processing_interrupted()


class Progress:
    """The bar on the running node.

    Args:
        total: steps in all.
    """

    def __init__(self, total: int) -> None:
        self._total = max(total, 1)
        self._bar = comfy.utils.ProgressBar(self._total)
        self._done = 0

    def reach(self, done: float, picture: Image.Image | None = None) -> None:
        """Takes the whole steps in a part of the work, 0 .. 1, each once, also where it began anew.

        Raises if the user interrupted the prompt.
        """
        check_interrupted()
        shown = None if picture is None else ("JPEG", picture, PREVIEW_SIDE)
        while self._done < int(done * self._total + 1e-6):
            self._done += 1
            self._bar.update_absolute(self._done, preview=shown)


def preview(estimate: Tensor) -> Image.Image:
    """A picture 3 h w around [-1, 1] to look at: small ones are enlarged, large ones reduced."""
    picture = to_picture(to_working_size(estimate[None], PREVIEW_SIDE)[0])
    scale = max(PREVIEW_SIDE // 2 // max(picture.size), 1)
    return picture.resize((picture.width * scale, picture.height * scale))


def save_previews(images: Tensor, node: Any) -> list[dict[str, str]]:
    """Save pictures B H W C in [0, 1] in the host's temporary folder; what its frontend asks by."""
    return ui.PreviewImage(images, cls=node).as_dict()["images"]
