"""What a call asks for, read and checked before anything runs."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import torch
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from torch import Tensor

from ...models.mofrr.contract import ESTIMATED
from ..arguments import (
    check_choice,
    check_count,
    check_fraction,
    check_generator,
    check_working_size,
)

OUTPUT_TYPES = ("pil", "np", "pt", "latent")
Operations = Collection[str] | Mapping[str, bool | str] | None
WorkingSize = int | Literal["config"] | None
Generators = torch.Generator | list[torch.Generator] | None
OnStep = Callable[[int, Tensor, Tensor], Tensor]  # index, timestep, latents -> the next latents


class Request(NamedTuple):
    """What a call asks of every photo; most fields are described at `MoFRRPipeline.__call__`."""

    num_inference_steps: int = 1
    strength: float = 1.0
    operations: Operations = None
    degrees: Mapping[str, float] | None = None
    num_samples: int = 1
    skip_untouched: bool = True
    working_size: WorkingSize = "config"
    output_type: str = "pt"
    clip: bool = False  # the photos are frames of one clip: one verdict, one noise, one degree
    keep_edits: bool = False  # whether the edits at the photos' size come with the answer
    keep_samples: bool = False  # whether the samples do

    def check(self, least: int) -> None:
        """Raises ValueError for what is out of its range; a working size is `least` or more."""
        for name in ("num_inference_steps", "num_samples"):
            check_count(name, getattr(self, name))
        check_fraction("strength", self.strength)
        check_choice("output_type", self.output_type, OUTPUT_TYPES)
        if not (isinstance(self.working_size, str) and self.working_size == "config"):
            check_working_size(self.working_size, least)


def read_operations(wishes: Operations, operations: Sequence[str]) -> tuple[bool | None, ...]:
    """Turns the caller's wishes into True (on), False (off) or None (the router decides) each.

    Args:
        wishes: None leaves all to the router; names force exactly those on and all others off; a
            mapping name -> True / False / "auto" leaves what it does not name to the router.
        operations: the names known, in order.
    """
    if wishes is None:
        return (None,) * len(operations)
    if isinstance(wishes, str) or not isinstance(wishes, Collection):
        raise ValueError(
            f"operations is {wishes!r}; expected None, a set of names or a mapping "
            f"name -> True / False / 'auto', with names among {', '.join(operations)}"
        )
    _check_names("operations", wishes, operations)
    if not isinstance(wishes, Mapping):
        return tuple(name in wishes for name in operations)
    for name, wish in wishes.items():
        if not isinstance(wish, bool) and wish != "auto":
            raise ValueError(f"operations[{name!r}] is {wish!r}; expected True, False or 'auto'")
    answers = (wishes.get(name, "auto") for name in operations)
    return tuple(None if wish == "auto" else bool(wish) for wish in answers)


def read_degrees(
    degrees: Mapping[str, float] | None, operations: Sequence[str]
) -> tuple[float, ...]:
    """The caller's degree in [0, 1] of each operation, NaN where it gave none: to be estimated."""
    if degrees is None:
        return (ESTIMATED,) * len(operations)
    if not isinstance(degrees, Mapping):
        raise ValueError(f"degrees is {degrees!r}; expected a mapping name -> number in [0, 1]")
    _check_names("degrees", degrees, operations)
    given = {name: check_fraction(f"degrees[{name!r}]", each) for name, each in degrees.items()}
    return tuple(given.get(name, ESTIMATED) for name in operations)


def _check_names(what: str, names: Collection[str], operations: Sequence[str]) -> None:
    unknown = [name for name in names if name not in operations]
    if unknown:
        raise ValueError(
            f"{what} names {', '.join(map(repr, unknown))}; known are {', '.join(operations)}"
        )


def read_callback(
    callback: Callable[..., dict[str, Any]] | None, tensor_inputs: Sequence[str], pipeline: Any
) -> OnStep:
    """The callback_on_step_end of diffusers in the form that the denoising loop takes."""
    if isinstance(callback, PipelineCallback | MultiPipelineCallbacks):
        tensor_inputs = callback.tensor_inputs
    known = pipeline._callback_tensor_inputs
    if unknown := [name for name in tensor_inputs if name not in known]:
        raise ValueError(
            f"callback_on_step_end_tensor_inputs names {unknown}; known are {', '.join(known)}"
        )

    if callback is not None and not callable(callback):
        raise ValueError(f"callback_on_step_end is {callback!r}; expected a function, or None")

    def on_step(index: int, timestep: Tensor, latents: Tensor) -> Tensor:
        if callback is None:
            return latents
        tensors = {"latents": latents} if "latents" in tensor_inputs else {}
        answer = callback(pipeline, index, timestep, tensors)
        if not isinstance(answer, dict):
            raise TypeError(
                f"callback_on_step_end returned {answer!r}; expected the dict of tensors it was "
                "given, with those it changed"
            )
        after = answer.pop("latents", latents)
        came = tuple(after.shape) if isinstance(after, Tensor) else after
        if came != tuple(latents.shape):
            raise TypeError(
                f"callback_on_step_end returned latents {came!r}; expected a tensor of shape "
                f"{tuple(latents.shape)}"
            )
        return after

    return on_step


def check_generators(generator: Generators, photos: int) -> None:
    """Raises ValueError for what is no generator, or a list that is not one for each photo."""
    check_generator(generator)
    if isinstance(generator, list) and len(generator) != photos:
        raise ValueError(
            f"a list of {len(generator)} generators came for {photos} photos; pass one for each"
        )


def group_by_size(
    sizes: Sequence[tuple[int, ...]], generator: Generators, latents: Tensor | None
) -> list[tuple[slice, Generators]]:
    """All photos in one batch if they are of one size, else each in its own; their generators."""
    check_generators(generator, len(sizes))
    if len(set(sizes)) == 1:
        return [(slice(None), generator)]
    if latents is not None:
        raise ValueError(
            f"latents came with photos of different sizes ({sorted(set(sizes))}); pass the photos "
            "of each size by themselves"
        )
    singles = [slice(i, i + 1) for i in range(len(sizes))]
    return [(one, generator[one] if isinstance(generator, list) else generator) for one in singles]
