"""Other ways to run the same networks: layouts, precisions, compilation, experts in one call.

Each variant is timed beside the plain pipeline in turns, and its result compared with the plain
one's. What needs CUDA is left out on a CPU, with a line that says so.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from frr.pipelines.photos.quality import psnr

from .must_show import PAIR
from .timing import Clock, take_turns
from .workloads import make_pipeline, photos, restoring

CUDA_ONLY = ("bfloat16", "bfloat16, channels last", "compiled, CUDA graphs")


class Variant(NamedTuple):
    """How a variant did; `speed` None where it was left out, and `note` says why."""

    name: str
    speed: float | None  # times the plain pipeline's
    agreement: float | None  # PSNR in dB of its result against the plain one's; infinite if equal
    note: str = ""

    def line(self) -> str:
        """The variant as a line of text."""
        if self.speed is None:
            return f"{self.name}: left out ({self.note})"
        return f"{self.name}: {self.speed:.2f} times as fast, {self.agreement:.1f} dB {self.note}"


def denoisers(pipe: Any) -> list[nn.Module]:
    """The experts' denoisers, where most of the time goes."""
    return [getattr(pipe, f"{name}_expert").denoiser for name in pipe.expert_names]


def _layout(pipe: Any, memory_format: torch.memory_format) -> None:
    for part in pipe.components.values():
        if isinstance(part, nn.Module):
            part.to(memory_format=memory_format)


def _contiguous(pipe: Any) -> None:
    _layout(pipe, torch.contiguous_format)


def _channels_last(pipe: Any) -> None:
    _layout(pipe, torch.channels_last)


def _bfloat16(pipe: Any) -> None:
    _contiguous(pipe)
    pipe.to(torch.bfloat16)


def _bfloat16_channels_last(pipe: Any) -> None:
    pipe.to(torch.bfloat16)
    _channels_last(pipe)


def _compiled(pipe: Any) -> None:
    for denoiser in denoisers(pipe):
        denoiser.compile()


def _cuda_graphs(pipe: Any) -> None:
    for denoiser in denoisers(pipe):
        denoiser.compile(mode="reduce-overhead")


CHANGES: dict[str, Callable[[Any], None]] = {
    "all contiguous": _contiguous,
    "all channels last": _channels_last,
    "bfloat16": _bfloat16,
    "bfloat16, channels last": _bfloat16_channels_last,
    "compiled": _compiled,
    "compiled, CUDA graphs": _cuda_graphs,
}


def compare(
    preset: str, size: int, device: torch.device, repeats: int, clock: Clock, compiled: bool
) -> list[Variant]:
    """Every variant against the pipeline as it is: denoisers and warp heads channels last."""
    image = photos(size, 1, device)
    plain = restoring(make_pipeline(preset, device), image, PAIR)
    expected, found = plain(), []
    for name, change in CHANGES.items():
        if name in CUDA_ONLY and device.type != "cuda":
            found.append(Variant(name, None, None, "needs CUDA"))
        elif "compiled" in name and not compiled:
            found.append(Variant(name, None, None, "asked for by --compile"))
        else:
            found.append(_one(name, preset, change, plain, expected, repeats, clock, image))
    return [*found, batched_experts(preset, device, repeats, clock)]


def _one(
    name: str,
    preset: str,
    change: Callable[[Any], None],
    plain: Callable[[], Tensor],
    expected: Tensor,
    repeats: int,
    clock: Clock,
    image: Tensor,
) -> Variant:
    pipe = make_pipeline(preset, image.device)
    change(pipe)
    work = restoring(pipe, image, PAIR)
    try:
        answer = work()
    except (RuntimeError, ImportError) as error:  # no compiler, or a kernel that is not there
        return Variant(name, None, None, f"failed: {str(error).splitlines()[0]}")
    seconds = take_turns({"plain": plain, "variant": work}, repeats, clock)
    agreement = float(psnr(answer.float().cpu() * 2 - 1, expected.cpu() * 2 - 1)[0])
    return Variant(name, seconds["plain"] / seconds["variant"], agreement)


def batched_experts(preset: str, device: torch.device, repeats: int, clock: Clock) -> Variant:
    """One step of two experts of one shape: weights stacked into one call, against two calls."""
    from torch.func import functional_call, stack_module_state

    pipe = make_pipeline(preset, device)
    name = "denoisers of two experts in one call (vmap)"
    pair = [pipe.whitening_expert.denoiser, pipe.smoothing_expert.denoiser]
    weights, buffers = stack_module_state(pair)
    base = copy.deepcopy(pair[0])
    channels = pair[0].config.in_channels
    features = torch.randn(2, 1, channels, 64, 64, device=device)

    def single(state: Any, planes: Tensor) -> Tensor:
        return functional_call(base, state, (planes, 999)).sample

    def apart() -> Tensor:
        return torch.stack([net(x, 999).sample for net, x in zip(pair, features, strict=True)])

    def together() -> Tensor:
        return torch.vmap(single)((weights, buffers), features)

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no batching rule for attention on a CPU: it loops
        agreement = float(psnr(together().flatten(1, 2), apart().flatten(1, 2)).min())
        seconds = take_turns({"apart": apart, "together": together}, repeats, clock)
    return Variant(name, seconds["apart"] / seconds["together"], agreement, "of the same two steps")
