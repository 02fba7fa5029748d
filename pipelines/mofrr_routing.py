"""Who acts: the router's estimate, the caller's wishes, and what follows from both."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

OUTPUT_TYPES = ("pil", "np", "pt", "latent")
Operations = Collection[str] | Mapping[str, bool | str] | None


class Request(NamedTuple):
    """What a call asks of every photo; the fields are described at `MoFRRPipeline.__call__`."""

    num_inference_steps: int
    strength: float
    operations: Operations
    degrees: Mapping[str, float] | None
    num_samples: int
    skip_untouched: bool
    working_size: int | str | None
    output_type: str

    def check(self) -> None:
        """Raises ValueError for a number or name out of its range."""
        for name in ("num_inference_steps", "num_samples"):
            count = getattr(self, name)
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ValueError(f"{name} is {count!r}; expected a whole number of at least 1")
        _check_fraction("strength", self.strength)
        if self.output_type not in OUTPUT_TYPES:
            raise ValueError(
                f"output_type is {self.output_type!r}; expected one of {', '.join(OUTPUT_TYPES)}"
            )
        size = self.working_size
        if size not in (None, "config") and (not isinstance(size, int) or size < 32):
            raise ValueError(
                f"working_size is {size!r}; expected at least 32 pixels, None (the photo's own "
                "size) or 'config' (the pipeline's setting)"
            )


class Routing(NamedTuple):
    """What is to be undone on each photo of a batch; K operations."""

    probabilities: Tensor  # B K in [0, 1], the router's; without a router 1 = active, 0 = not
    degrees: Tensor  # B K in [0, 1]; NaN = the expert's own estimate (no router, none given)
    active: Tensor  # B K bool
    gates: Tensor  # B K in [0, 1], what the merger sees: probabilities, 1 or 0 where forced


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
) -> tuple[float | None, ...]:
    """The caller's degree in [0, 1] of each operation, None where it gave none."""
    if degrees is None:
        return (None,) * len(operations)
    if not isinstance(degrees, Mapping):
        raise ValueError(f"degrees is {degrees!r}; expected a mapping name -> number in [0, 1]")
    _check_names("degrees", degrees, operations)
    for name, degree in degrees.items():
        _check_fraction(f"degrees[{name!r}]", degree)
    return tuple(degrees.get(name) for name in operations)


def _check_fraction(what: str, number: float) -> None:
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
        raise ValueError(f"{what} is {number!r}; expected a number in [0, 1]")


def _check_names(what: str, names: Collection[str], operations: Sequence[str]) -> None:
    unknown = [name for name in names if name not in operations]
    if unknown:
        raise ValueError(
            f"{what} names {', '.join(map(repr, unknown))}; known are {', '.join(operations)}"
        )


def check_experts(
    wishes: Sequence[bool | None], available: Mapping[str, bool], has_router: bool
) -> None:
    """Raises ValueError where a wish cannot be met by the parts that are there."""
    for (name, present), wish in zip(available.items(), wishes, strict=True):
        if wish and not present:
            raise ValueError(
                f"operation {name!r} is forced on, but {name}_expert is None; load the pipeline "
                "with it, or leave the operation out"
            )
        if wish is None and present and not has_router:
            raise ValueError(
                f"the pipeline's router is None, so nothing decides on {name!r}; pass operations= "
                "(a set of names, or True / False for each), or load the pipeline with its router"
            )


def decide(
    estimate: tuple[Tensor, Tensor] | None,
    thresholds: Sequence[float],
    wishes: Sequence[bool | None],
    degrees: Sequence[float | None],
    available: Sequence[bool],
    batch: int,
) -> Routing:
    """Joins estimate and wishes: auto operations act where probability >= threshold.

    Args:
        estimate: the router's probabilities and degrees, B K each; None without a router.
        thresholds: K numbers.
        wishes: of each operation True, False or None (auto), see `read_operations`.
        degrees: of each operation the caller's degree or None, see `read_degrees`.
        available: of each operation whether its expert is there.
        batch: B.
    """
    count = len(wishes)
    if estimate is None:
        forced = torch.tensor([float(bool(wish)) for wish in wishes]).expand(batch, count)
        estimate = forced, torch.full((batch, count), torch.nan)
    probabilities, expected = estimate
    limit = probabilities.new_tensor(thresholds)
    active, gates, chosen = probabilities >= limit, probabilities.clone(), expected.clone()
    for index, (wish, degree) in enumerate(zip(wishes, degrees, strict=True)):
        if wish is not None:
            active[:, index], gates[:, index] = wish, float(wish)
        if degree is not None:
            chosen[:, index] = degree
    active &= torch.tensor(available, device=active.device)
    return Routing(probabilities, chosen, active, gates)
