"""Who acts: what follows from the router's estimate and the caller's wishes."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .beliefs import unheard
from .sight import Sight


class Estimate(NamedTuple):
    """What the router makes of each photo of a batch; K operations."""

    probabilities: Tensor  # B K in [0, 1]
    degrees: Tensor  # B K in [0, 1]; NaN = the expert's own estimate
    thresholds: tuple[float, ...]  # K, the probability from which an operation counts as found
    expected: Tensor | None = None  # B K in [0, 1], the router's degrees, whoever estimates them
    quality: Tensor | None = None  # B, JPEG quality as the pixels show it; NaN = they do not
    told: Tensor | None = None  # B K bool, whether the photo lets the router know; None = all
    beliefs: Tensor | None = None  # B K L, how likely each degree level is, see `beliefs.believe`

    @classmethod
    def joined(cls, parts: Sequence["Estimate"]) -> "Estimate":
        """The estimates of one router on several batches as one, in their order."""
        if len(parts) == 1:
            return parts[0]
        fields = {
            name: torch.cat([getattr(part, name) for part in parts])
            for name, value in parts[0]._asdict().items()
            if isinstance(value, Tensor)
        }
        return parts[0]._replace(**fields)

    def of_clip(self) -> "Estimate":
        """The mean of all photos (of quality the median) for each: they are frames of one clip."""
        probabilities, degrees = (
            planes.mean(0, keepdim=True).expand_as(planes).clone() for planes in self[:2]
        )
        expected = self.expected
        if expected is not None:
            expected = expected.mean(0, keepdim=True).expand_as(expected).clone()
        beliefs = self.beliefs
        if beliefs is not None:
            beliefs = beliefs.mean(0, keepdim=True).expand_as(beliefs).clone()
        told = self.told
        if told is not None:
            told = (told.float().mean(0, keepdim=True) > 0.5).expand_as(told).clone()
        quality = self.quality
        if quality is not None:
            quality = quality.nanmedian().expand_as(quality).clone()
        return self._replace(
            probabilities=probabilities,
            degrees=degrees,
            expected=expected,
            quality=quality,
            told=told,
            beliefs=beliefs,
        )


class Routing(NamedTuple):
    """What is to be undone on each photo of a batch; K operations."""

    estimate: Estimate  # the router's; `forced` without one
    degrees: Tensor  # B K in [0, 1]; NaN = the expert's own estimate
    active: Tensor  # B K bool
    gates: Tensor  # B K in [0, 1], what the merger sees: probabilities, 1 or 0 where forced
    sight: Sight | None = None  # for experts that see what the router saw
    side: int | None = None  # pixels, the photos' shorter side
    beliefs: Tensor | None = None  # B K L, of the degrees; zero where the caller gave one

    @property
    def probabilities(self) -> Tensor:
        """The router's, B K in [0, 1]; without a router 1 = active, 0 = not."""
        return self.estimate.probabilities

    def of(self, rows: slice) -> "Routing":
        """That of some photos."""
        fields = {n: x[rows] for n, x in self._asdict().items() if isinstance(x, Tensor)}
        estimate = {n: x[rows] for n, x in self.estimate._asdict().items() if isinstance(x, Tensor)}
        sight = self.sight
        if sight is not None:
            sight = sight.of(torch.arange(len(self.active))[rows])
        estimate = self.estimate._replace(**estimate)
        return self._replace(**fields, estimate=estimate, sight=sight)


def forced(wishes: Sequence[bool | None], photo: Tensor) -> Estimate:
    """What stands for an estimate of photos B C H W where there is no router: the caller's word."""
    known = photo.new_tensor([float(bool(wish)) for wish in wishes]).expand(len(photo), -1)
    return Estimate(known, torch.full_like(known, torch.nan), (1.0,) * len(wishes))


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
    estimate: Estimate,
    wishes: Sequence[bool | None],
    degrees: Sequence[float],
    available: Sequence[bool],
) -> Routing:
    """Joins estimate and wishes: auto operations act where probability >= threshold.

    Where a photo does not let the router know, its probability is no verdict, and nothing acts.

    Args:
        estimate: the router's, or `forced`.
        wishes: of each operation True, False or None (auto), see `read_operations`.
        degrees: of each operation the caller's degree or NaN, see `read_degrees`.
        available: of each operation whether its expert is there.
    """
    probabilities, degree, thresholds = estimate[:3]
    limit, given = probabilities.new_tensor([thresholds, tuple(degrees)])
    active, gates = probabilities >= limit, probabilities.clone()
    if estimate.told is not None:
        active &= estimate.told
    for index, wish in enumerate(wishes):
        if wish is not None:
            active[:, index], gates[:, index] = wish, float(wish)
    active &= torch.tensor(available, device=active.device)
    chosen = torch.where(given.isnan(), degree, given)
    beliefs = estimate.beliefs
    if beliefs is None:
        beliefs = unheard(*probabilities.shape).to(probabilities)
    beliefs = beliefs * given.isnan()[:, None]
    return Routing(estimate, chosen, active, gates, beliefs=beliefs)
