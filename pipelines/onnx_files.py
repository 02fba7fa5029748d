"""Router and experts as ONNX files, for hosts without PyTorch, each compared with its network.

A file holds what a network answers at once on what `look` sees of one photo (see
`models/mofrr/native_view`), or, for experts of texture, on tiles of the photo itself, any number of
any size. Reading the view, and applying flows, grids and changes to the photo, is the host's part.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..models.mofrr.coarse_encoder import hedge
from ..models.mofrr.flow_expert import FlowExpert
from ..models.mofrr.native_router import NativeRouter
from ..models.mofrr.native_view import COLOUR_SIDE, NativeView
from ..models.mofrr.texture_expert import TextureExpert
from ..models.mofrr.tone_expert import ToneExpert
from ..models.native_traces import CHANNELS, FINE_GRID, GRID, SPECTRUM

TILE = 128  # of the example of a tile; any that 8 divides will do
OPSET = 18
TILES = 3  # of the comparison


class Difference(NamedTuple):
    """How far an ONNX file is from its network.

    Attributes:
        name: of the file.
        largest: largest difference of any number of any output.
        scale: largest of the network's numbers, to compare it with.
    """

    name: str
    largest: float
    scale: float


class _Answers(nn.Module):
    """A network's answer with its inputs and outputs by name."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class _Router(_Answers):
    """The fields of a view of one photo -> the verdict's three logits."""

    inputs = NativeView._fields
    outputs = ("presence_logits", "degree_logits", "location_logits")

    def __init__(self, router: NativeRouter) -> None:
        super().__init__()
        self.router = router

    def forward(self, *view: Tensor) -> tuple[Tensor, ...]:
        """See `NativeRouter.judge`."""
        return tuple(self.router.judge(NativeView(*view)))


class _Expert(_Answers):
    """The same view and the degree 1, NaN where it is not known -> flow or grid, as applied."""

    inputs = (*NativeView._fields, "degree")
    outputs = ("edit",)

    def __init__(self, expert: FlowExpert | ToneExpert) -> None:
        super().__init__()
        self.expert, self.share = expert, float(expert.config.unknown_share)

    def forward(self, *given: Tensor) -> Tensor:
        """See the expert's `answer`."""
        *view, degree = given
        return hedge(self.expert(NativeView(*view), degree), degree, self.share)


class _Texture(_Answers):
    """A tile B 3 h w in [-1, 1], 8 | h, w, and condition B 2 (degree, whether it is known)."""

    inputs = ("tile", "condition")
    outputs = ("change",)

    def __init__(self, expert: TextureExpert) -> None:
        super().__init__()
        self.expert = expert

    def forward(self, tile: Tensor, condition: Tensor) -> Tensor:
        """See `TextureExpert.forward`."""
        return self.expert(tile, condition)


def write_onnx(pipe: Any, folder: Path) -> Iterator[Difference]:
    """Write a file for the router and for each expert, and run it beside its network.

    Args:
        pipe: a MoFRR pipeline whose networks read photos at their own size, on the CPU.
        folder: for the files.

    Yields:
        How far each file is from its network.

    Raises:
        ValueError: a network that cannot be written so.
        ImportError: the `onnx` extra is missing.
    """
    import onnxruntime  # noqa: F401  # before anything is written
    import onnxscript  # noqa: F401

    folder.mkdir(parents=True, exist_ok=True)
    for name, network in _networks(pipe).items():
        module = _module_of(name, network)
        module.eval()
        path = folder / f"{name}.onnx"
        _export(module, path)
        yield _compare(module, path)


def _networks(pipe: Any) -> dict[str, nn.Module]:
    experts = {f"{name}_expert": getattr(pipe, f"{name}_expert") for name in pipe.expert_names}
    networks = {"router": pipe.router, **experts}
    return {name: network for name, network in networks.items() if network is not None}


def _module_of(name: str, network: nn.Module) -> _Answers:
    if isinstance(network, NativeRouter):
        return _Router(network)
    if isinstance(network, FlowExpert | ToneExpert):
        return _Expert(network)
    if isinstance(network, TextureExpert):
        return _Texture(network)
    raise ValueError(
        f"{name} is a {type(network).__name__}: ONNX files are written of networks that read "
        "photos at their own size and answer at once, as mofrr-tiny's"
    )


def _example(module: _Answers, tiles: int = 2, degree: float = 0.5) -> dict[str, Tensor]:
    """Inputs of a module by name: a photo, or tiles."""
    made = torch.Generator().manual_seed(tiles)

    def noise(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=made)

    if isinstance(module, _Texture):
        condition = torch.tensor([[degree, 1.0]]).nan_to_num(0.0).repeat(tiles, 1)
        return {"tile": noise(tiles, 3, TILE, TILE) * 2 - 1, "condition": condition}
    view = {
        "traces": noise(1, CHANNELS, GRID, GRID),
        "colour": noise(1, 3, COLOUR_SIDE, COLOUR_SIDE) * 2 - 1,
        "side": noise(1) * 2,
        "spectrum": noise(1, SPECTRUM, GRID, GRID),
        "fine": noise(1, 3, FINE_GRID, FINE_GRID),
    }
    return view if isinstance(module, _Router) else {**view, "degree": torch.tensor([degree])}


def _export(module: _Answers, path: Path) -> None:
    inputs, shapes = _example(module), None
    if isinstance(module, _Texture):
        tiles = torch.export.Dim("tiles", min=1, max=1024)
        height, width = (torch.export.Dim(name, min=2, max=512) for name in ("rows", "columns"))
        shapes = ({0: tiles, 2: 8 * height, 3: 8 * width}, {0: tiles})
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter about itself
        torch.onnx.export(
            module,
            tuple(inputs.values()),
            str(path),
            input_names=list(module.inputs),
            output_names=list(module.outputs),
            dynamic_shapes=shapes,
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )


@torch.no_grad()
def _compare(module: _Answers, path: Path) -> Difference:
    from onnxruntime import InferenceSession

    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    largest = scale = 0.0
    for degree in (0.8, float("nan")):
        inputs = _example(module, TILES, degree)
        asked = {each.name for each in session.get_inputs()}  # not what the network does not read
        fed = {name: value.numpy() for name, value in inputs.items() if name in asked}
        theirs = session.run(None, fed)
        answers = module(*inputs.values())
        ours = answers if isinstance(answers, tuple) else (answers,)
        for mine, other in zip(ours, theirs, strict=True):
            largest = max(largest, float((mine - torch.from_numpy(other)).abs().max()))
            scale = max(scale, float(mine.abs().max()))
    return Difference(path.name, largest, scale)
