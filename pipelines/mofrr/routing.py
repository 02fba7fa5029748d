"""Who acts: what follows from the router's estimate and the caller's wishes."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Routing(NamedTuple):
    """What is to be undone on each photo of a batch; K operations."""

    probabilities: Tensor  # B K in [0, 1], the router's; without a router 1 = active, 0 = not
    degrees: Tensor  # B K in [0, 1]; NaN = the expert's own estimate
    active: Tensor  # B K bool
    gates: Tensor  # B K in [0, 1], what the merger sees: probabilities, 1 or 0 where forced


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
