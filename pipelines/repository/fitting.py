"""Whether weights fit a configuration, found out before the network is built; and are numbers.

A file that comes from anywhere may hold a configuration of a network much larger than its weights.
Built without memory, and no further than the weights go, it costs next to nothing to refuse.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from torch.nn.modules import module as hooks

MODULES_PER_TENSOR = 8  # networks here have fewer than 3
AT_LEAST = 64


def shapes_of(files: Sequence[Path], prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Shapes by name, without their prefix, of the tensors in safetensors files; none is read."""
    shapes = {}
    for file in files:
        with safe_open(str(file), "pt") as content:
            for name in content.keys():  # noqa: SIM118
                if name.startswith(prefix):
                    shape = tuple(content.get_slice(name).get_shape())
                    shapes[name.removeprefix(prefix)] = shape
    return shapes


def check_fit(
    kind: type[Any],
    config: Mapping[str, Any],
    shapes: Mapping[str, Sequence[int]],
    source: object,
) -> None:
    """Raises ValueError unless a network of this config has just these tensors.

    Args:
        kind: a diffusers model class.
        config: as its folder holds it.
        shapes: of the weights, by name.
        source: what the message names.
    """
    with torch.device("meta"), building(len(shapes), source):
        network = kind.from_config(dict(config))
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    for name in sorted({*expected, *shapes}, key=lambda name: (name in expected, name)):
        want, got = expected.get(name), shapes.get(name)
        if want is None or got is None or want != tuple(got):
            raise ValueError(
                f"{source} does not hold the weights of this {kind.__name__}: {name} is "
                f"{'missing' if got is None else 'x'.join(map(str, got)) or 'a number'}, its "
                f"config asks for {'none' if want is None else 'x'.join(map(str, want))}"
            )


def check_finite(network: nn.Module, source: object) -> None:
    """Raises ValueError, naming the tensor, where weights are NaN or infinite.

    What a quantizer made of a tensor is not looked at.
    """
    for name, value in network.state_dict().items():
        if (
            type(value) is torch.Tensor
            and value.is_floating_point()
            and value.numel()
            and not value.is_meta
        ):
            low, high = value.aminmax()
            if not bool((high - low).float().isfinite()) and not bool(value.isfinite().all()):
                raise ValueError(
                    f"{source} holds weights that are NaN or infinite ({name}); fetch it again, "
                    "or train from an earlier checkpoint"
                )


@contextmanager
def building(tensors: int, source: object) -> Iterator[None]:
    """Ends the building of a network that has many more modules than there are tensors.

    Raises:
        ValueError: it has.
    """
    thread, built = threading.get_ident(), 0
    most = MODULES_PER_TENSOR * tensors + AT_LEAST

    def count(*_: object) -> None:
        nonlocal built
        built += threading.get_ident() == thread
        if built > most and threading.get_ident() == thread:
            raise ValueError(
                f"{source}: its config is of a network far larger than {tensors} tensors"
            )

    handle = hooks.register_module_module_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
