"""The floor: how long the networks' convolutions and attention alone take.

`record` notes every convolution, matrix product and attention of a call with the shapes, strides
and options it had; `Floor` runs the same functions on the networks' own weights and on tensors of
the same kind, and nothing else. What a call takes beyond its floor is normalisation, activations,
copies, and our own code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

COUNTED = {
    torch.conv2d,
    torch.conv_transpose2d,
    F.linear,
    F.scaled_dot_product_attention,
    torch.matmul,
    torch.bmm,
    Tensor.matmul,
    Tensor.__matmul__,
}


class Kind(NamedTuple):
    """All that a tensor's share in a call's time hangs on."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def like(self) -> Tensor:
        """A random tensor of this kind."""
        reach = sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        memory = torch.randn(1 + reach, device=self.device).to(self.dtype)
        return memory.as_strided(self.shape, self.stride)


class Call(NamedTuple):
    """One recorded call; weights are kept as they are, other tensors as their kinds."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    options: tuple[tuple[str, Any], ...]


class Recorder(TorchFunctionMode):
    """Notes the calls of the functions in COUNTED."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run the function, and note it if it counts."""
        kwargs = kwargs or {}
        if function in COUNTED:
            options = tuple((name, _kind(value)) for name, value in kwargs.items())
            self.calls.append(Call(function, tuple(map(_kind, args)), options))
        return function(*args, **kwargs)


def _kind(value: Any) -> Any:
    if isinstance(value, nn.Parameter):
        return value
    if isinstance(value, Tensor):
        return Kind(tuple(value.shape), value.stride(), value.dtype, value.device)
    return tuple(value) if isinstance(value, list) else value


def record(work: Callable[[], Any]) -> list[Call]:
    """The convolutions, products and attentions of one call of `work`, in order."""
    with torch.no_grad(), Recorder() as recorder:
        work()
    return recorder.calls


class Floor:
    """Calls that can be run again; equal kinds share one random tensor.

    Args:
        calls: from `record`.
    """

    def __init__(self, calls: Sequence[Call]) -> None:
        tensors: dict[tuple[int, Kind], Tensor] = {}

        def real(place: int, value: Any) -> Any:
            if not isinstance(value, Kind):
                return value
            if (place, value) not in tensors:
                tensors[place, value] = value.like()
            return tensors[place, value]

        self.jobs = [
            (
                call.function,
                [real(place, value) for place, value in enumerate(call.arguments)],
                {name: real(-1, value) for name, value in call.options},
            )
            for call in calls
        ]

    @torch.no_grad()
    def __call__(self) -> None:
        """Run all of them once."""
        for function, arguments, options in self.jobs:
            function(*arguments, **options)
