"""Candidates: distinct restorations of one photo, with what differs between them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..operations import label
from .beliefs import density, quantiles, seeds_of, spread_out
from .request import Generators
from .routing import Routing


@dataclass(frozen=True)
class Candidate:
    """One restoration of a photo that may be the true one.

    Attributes:
        image: in the form of the call's images.
        degrees: of each operation that was undone, in [0, 1], the degree that it was undone at; NaN
            where an expert worked without one.
        likelihood: how dense the distribution of degrees is at these, as a share of the sum over
            the photo's candidates.
        words: the degrees in which candidates differ, as "whitening .52, smoothing .31"; "texture"
            where that alone is drawn; empty where the photo leaves nothing open.
    """

    image: Any
    degrees: Mapping[str, float]
    likelihood: float
    words: str


class Draws(NamedTuple):
    """What was drawn for B photos: n samples of K operations' degrees."""

    degrees: Tensor  # B n K in [0, 1]
    drawn: Tensor  # B K bool, on the CPU: whose degrees were; the others' are not to be used
    likelihoods: Tensor  # B n, their sum over the samples is 1
    noises: int  # of how many noises the main image is the mean
    textured: Tensor  # B bool, on the CPU: whose texture is drawn, too
    seeds: tuple[int, ...]  # B, of each photo's draws; none where nothing is drawn

    @property
    def varied(self) -> Tensor:
        """The photos whose samples differ, B bool."""
        return self.drawn.any(1) | self.textured

    def told(self, sample: int, degrees: Tensor) -> Tensor:
        """The degrees B K that experts are told for one sample: those drawn, else `degrees`."""
        mine = self.degrees[:, sample].to(degrees)
        return torch.where(self.drawn.to(degrees.device), mine, degrees)

    def acting(self, acting: Tensor) -> Tensor:
        """The experts B (K + 1) that act in a sample: none where nothing was drawn."""
        return acting & self.varied[:, None].to(acting.device)

    def noise_of(self, row: int, sample: int) -> torch.Generator:
        """What draws a photo's texture in a sample: alone and among others the same."""
        return torch.Generator().manual_seed((self.seeds[row] * 1_000_003 + sample) % 2**63)


class Samples(NamedTuple):
    """The samples of B photos."""

    images: tuple[Tensor, ...]  # n of B 3 H W in [0, 1]; none where they were not to be kept
    draws: Draws


def draw_degrees(
    routing: Routing,
    open_degrees: Tensor,
    textured: Tensor,
    generator: Generators,
    count: int,
    noises: int,
) -> Draws | None:
    """Draws degrees from what is believed of them; None where one sample is asked for.

    Args:
        routing: of B photos; its beliefs are zero where the caller gave a degree.
        open_degrees: B K bool, the operations that an expert undoes which can be told a degree.
        textured: B bool, where an expert acts that draws texture.
        generator: its seed is that of the draws, see `beliefs.seeds_of`.
        count: samples of each photo.
        noises: of how many noises the main image is the mean.
    """
    assert routing.beliefs is not None
    beliefs = routing.beliefs.float().cpu()
    drawn = open_degrees.cpu() & (beliefs.sum(-1) > 0)
    if count == 1:
        return None
    photos, operations = drawn.shape
    degrees = torch.zeros(photos, count, operations)
    weights = torch.zeros(photos, count)
    textured = textured.cpu()
    seeds = seeds_of(generator, photos) if drawn.any() or textured.any() else []
    for photo, seed in enumerate(seeds):
        shares = spread_out(seed, operations, count)
        for k in drawn[photo].nonzero()[:, 0].tolist():
            belief = beliefs[photo, k]
            degrees[photo, :, k] = quantiles(belief, shares[k])
            weights[photo] += density(belief, degrees[photo, :, k]).clamp_min(1e-9).log()
    return Draws(degrees, drawn, weights.softmax(1), noises, textured, tuple(seeds))


def offered(
    samples: Samples | None,
    row: int,
    image: Tensor,
    degrees: Mapping[str, float],
    names: Sequence[str],
    write: Callable[[Tensor], Any],
) -> list[Candidate]:
    """What one photo may have been, the likeliest first.

    Args:
        samples: of its batch.
        row: its place there.
        image: 3 H W, its main image.
        degrees: of the operations that were undone there.
        names: of all K operations, others behind them.
        write: brings an image to the form that was asked for.
    """
    if samples is None or not samples.images or not samples.draws.varied[row]:
        return [Candidate(write(image), degrees, 1.0, "")]
    draws, found = samples.draws, []
    for n in draws.likelihoods[row].argsort(descending=True, stable=True).tolist():
        told = zip(names, draws.degrees[row, n].tolist(), draws.drawn[row].tolist(), strict=False)
        mine = {name: degree for name, degree, drawn in told if drawn}
        made, chance = write(samples.images[n][row]), float(draws.likelihoods[row, n])
        found.append(Candidate(made, {**degrees, **mine}, chance, wording(mine) or "texture"))
    return found


def wording(degrees: Mapping[str, float]) -> str:
    """Degrees in words: "whitening .52, smoothing .31"."""
    return ", ".join(f"{label(name)} {_short(degree)}" for name, degree in degrees.items())


def differences(candidates: Sequence[Candidate]) -> str:
    """What differs between candidates: "whitening .30 / .52 / .71"; empty where nothing does."""
    first = candidates[0].degrees if candidates else {}
    told = {name: [each.degrees[name] for each in candidates] for name in first}
    return ", ".join(
        f"{label(name)} {' / '.join(map(_short, values))}"
        for name, values in told.items()
        if len(set(values)) > 1 and not any(value != value for value in values)
    )


def _short(degree: float) -> str:
    return f"{degree:.2f}".removeprefix("0")
