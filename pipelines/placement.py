"""Where networks are, and in which dtype: found without a walk through every layer."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


def onloaded(network: Any) -> Any:
    """Has accelerate bring an offloaded network to its device: its hooks watch `forward` alone."""
    hook = getattr(network, "_hf_hook", None)
    if hook is not None and hasattr(hook, "pre_forward"):
        hook.pre_forward(network)
    return network


def layers_of(network: nn.Module) -> Iterator[nn.Module]:
    """A network and all its layers, the outer ones first: quicker than `modules`."""
    layers: list[nn.Module | None] = [network]
    for layer in layers:  # grows as it goes
        if layer is not None:
            yield layer
            layers += layer._modules.values()


def first_parameter(network: nn.Module) -> Tensor | None:
    """Any parameter of a network, None where it has none."""
    parameters = (each for layer in layers_of(network) for each in layer._parameters.values())
    return next((each for each in parameters if each is not None), None)


def is_hooked(network: nn.Module) -> bool:
    """Whether accelerate or diffusers move, or cast, any layer of a network while it runs."""
    hooks = "_hf_hook", "_diffusers_hook"
    return any(hook in layer.__dict__ for layer in layers_of(network) for hook in hooks)


def dtype_of(network: Any) -> torch.dtype:
    """The dtype that a network works in: `network.dtype`, which looks through every layer."""
    first = first_parameter(network)
    if first is None or not first.is_floating_point() or is_hooked(network):
        return network.dtype
    return first.dtype
