"""What is believed of a degree that nobody tells: a distribution over levels, and draws from it.

A router's degree levels are read as a histogram: level i of L stands for the degrees nearest to
i / L, the first for all below it too, and within a level every degree is as likely.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

LEVELS = 8
PRIOR = (0.25, 0.21, 0.17, 0.13, 0.1, 0.07, 0.04, 0.03)
"""What is believed where there is no router: most retouching is slight."""
FLOOR = 1e-4


def edges(levels: int) -> Tensor:
    """Where L levels begin and end, L + 1 in [0, 1]."""
    inner = (torch.arange(1, levels) + 0.5) / levels
    return torch.cat((torch.zeros(1), inner, torch.ones(1)))


def believe(logits: Tensor, config: Mapping[str, Any]) -> Tensor:
    """The calibrated distribution that follows from a router's logits.

    Args:
        logits: ... K L over degree levels, given that the operation was applied.
        config: of the router; `degree_temperature`, `degree_mixing` and `degree_prior` are read
            where it has them.

    Returns:
        ... K L, with sums of 1.
    """
    logits = logits.float()
    if temperature := config.get("degree_temperature"):
        logits = logits / logits.new_tensor(temperature)[:, None]
    belief = logits.softmax(-1)
    mixing, prior = config.get("degree_mixing"), config.get("degree_prior")
    if mixing and prior:
        share = belief.new_tensor(mixing)[:, None]
        marginal = belief.new_tensor(prior)
        belief = (1 - share) * belief + share * marginal / marginal.sum(-1, keepdim=True)
    return belief


def unheard(photos: int, operations: int) -> Tensor:
    """What is believed where no router says anything: the prior, photos operations L."""
    return torch.tensor(PRIOR).expand(photos, operations, LEVELS).clone()


def quantiles(belief: Tensor, shares: Tensor) -> Tensor:
    """The degrees below which these shares of a distribution lie.

    Args:
        belief: L, of sum 1.
        shares: n in [0, 1].
    """
    belief = (belief.double().cpu() + FLOOR) / (1 + FLOOR * len(belief))
    below = torch.cat((belief.new_zeros(1), belief.cumsum(0)))
    level = torch.bucketize(shares.double().contiguous(), below[1:-1].contiguous(), right=True)
    bounds = edges(len(belief)).double()
    inside = (shares - below[level]) / belief[level]
    return (bounds[level] + inside * (bounds[level + 1] - bounds[level])).clamp(0, 1).float()


def density(belief: Tensor, degrees: Tensor) -> Tensor:
    """How dense a distribution L is at degrees n in [0, 1]: 1 where all degrees are as likely."""
    bounds = edges(len(belief))
    level = torch.bucketize(degrees.cpu().contiguous(), bounds[1:-1], right=True)
    return (belief.cpu().float() / bounds.diff())[level]


def spread_out(seed: int, operations: int, count: int) -> Tensor:
    """Shares of distributions to be drawn, operations count in [0, 1]: one in each count-th.

    Each operation's shares are in an order of their own (a Latin hypercube). They hang on the seed
    alone, wherever the networks run.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = [
        (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator))
        / count
        for _ in range(operations)
    ]
    return torch.stack(rows)


def seeds_of(
    generator: torch.Generator | Sequence[torch.Generator] | None, photos: int
) -> list[int]:
    """The seed of each photo's draws: its generator's own; one for all photos of a generator.

    It is the number that the generator was seeded with, not its state: a photo's draws are the same
    alone and among others. Without a generator it is drawn.
    """
    if isinstance(generator, torch.Generator):
        return [generator.initial_seed()] * photos
    if generator is None:
        return [int(torch.randint(2**62, ()))] * photos
    return [each.initial_seed() for each in generator]
