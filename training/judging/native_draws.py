"""Calibration of the degrees that samples draw: temperature, mixing with the prior, and spread.

A router's degree levels are too sure of themselves on algorithms that it was not trained on. What
is drawn is softmax(logits / temperature), mixed with how often each level occurs; both are chosen
for each operation so that 80 % intervals hold 80 % of the true quantities, at the least CRPS.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ...pipelines.mofrr.beliefs import believe, edges, quantiles
from ..losses import soft_level
from ..writing import write_json
from .native_candidates import TOLD, Floats, JudgedCandidates

INTERVAL = 0.1, 0.9
SHARES = 40
TEMPERATURES = 0.5, 0.7, 0.85, 1.0, 1.25, 1.5, 2.0, 3.0
MIXINGS = 0.0, 0.15, 0.3, 0.5, 0.75, 1.0
GAINS = tuple(round(0.8 + 0.05 * step, 2) for step in range(25))
ALLOWED = 0.74, 0.86
"""Coverage of 80 % intervals on validation people that is good enough to look at CRPS alone."""


class DrawsFit(NamedTuple):
    """What goes into a router's config, for its K operations."""

    degree_temperature: tuple[float, ...]
    degree_mixing: tuple[float, ...]
    degree_prior: tuple[tuple[float, ...], ...]
    sample_gain: tuple[float, ...]
    spread_scale: tuple[float, ...]


class Scores(NamedTuple):
    """How good a distribution of one photo's quantity is."""

    covered: bool
    crps: float
    width: float  # standard deviation


def quantity_samples(
    row: JudgedCandidates, belief: torch.Tensor, gain: float = 1, count: int = SHARES
) -> Floats:
    """Equally likely quantities, count, of a distribution of degrees L."""
    shares = (torch.arange(count) + 0.5) / count
    degrees = quantiles(belief, shares).double().numpy()
    return np.interp(degrees, (0.0, *TOLD), (0.0, *row.undone(gain)))


def gain_of(rows: Sequence[JudgedCandidates]) -> float:
    """The gain with which, told the true degrees, experts undo what was done in the median.

    It is 1 for experts that draw the texture which their answers lack: nothing scales those.
    """
    if any(row.textured for row in rows):
        return 1.0
    shares = {}
    for gain in GAINS:
        undone = [np.interp(r.effect, (0.0, *TOLD), (0.0, *r.undone(gain))) for r in rows]
        truth = [max(abs(r.truth), 1e-3) for r in rows]
        shares[gain] = abs(float(np.median(np.divide(undone, truth))) - 1)
    return min(shares, key=lambda gain: (round(shares[gain], 3), gain))


def score(samples: Floats, truth: float) -> Scores:
    """Scores of equally likely samples; CRPS as in Gneiting & Raftery, JASA 2007, eq. 21."""
    low, high = np.quantile(samples, INTERVAL, method="hazen")
    apart = np.abs(samples[:, None] - samples).mean() / 2
    crps = float(np.abs(samples - truth).mean() - apart)
    return Scores(bool(low <= truth <= high), crps, float(samples.std()))


def prior_of(rows: Sequence[JudgedCandidates]) -> tuple[float, ...]:
    """How often each degree level occurs."""
    levels = len(rows[0].logits)
    found = soft_level(torch.tensor([row.effect for row in rows]), levels).mean(0)
    smoothed = 0.9 * found + 0.1 * edges(levels).diff()
    return tuple(round(value, 4) for value in smoothed.tolist())


def belief_of(row: JudgedCandidates, settings: Mapping[str, tuple]) -> torch.Tensor:
    """What is believed of a photo's degree by settings of its operation alone: L."""
    return believe(torch.tensor([row.logits]), settings)[0]


def fit_operation(
    rows: Sequence[JudgedCandidates],
) -> tuple[float, float, tuple[float, ...], float, float]:
    """Temperature, mixing, prior, gain and scale of the spread for one operation.

    Of all pairs whose intervals cover well enough that of the least CRPS; if none does, the one
    whose coverage is nearest.
    """
    prior, gain, tried = prior_of(rows), gain_of(rows), []
    for temperature in TEMPERATURES:
        for mixing in MIXINGS:
            settings = _settings(temperature, mixing, prior)
            drawn = [(quantity_samples(r, belief_of(r, settings), gain), r.truth) for r in rows]
            scores = [score(*each) for each in drawn]
            covered = float(np.mean([each.covered for each in scores]))
            missed = max(ALLOWED[0] - covered, covered - ALLOWED[1], 0.0)
            crps = float(np.mean([each.crps for each in scores]))
            tried.append((round(missed, 2), crps, temperature, mixing))
    _, _, temperature, mixing = min(tried)
    return temperature, mixing, prior, gain, spread_scale(rows)


def _settings(temperature: float, mixing: float, prior: tuple[float, ...]) -> dict[str, tuple]:
    return {
        "degree_temperature": (temperature,),
        "degree_mixing": (mixing,),
        "degree_prior": (prior,),
    }


def spread_scale(rows: Sequence[JudgedCandidates]) -> float:
    """What the samples' spread is to be multiplied by so that squares are those of the errors."""
    errors, spreads = (np.array([getattr(r, name) for r in rows]) for name in ("error", "spread"))
    total = float(np.square(spreads).sum())
    return round(float(np.sqrt(np.square(errors).sum() / total)), 4) if total else 1.0


def calibrate_draws(folder: Path, rows: Sequence[JudgedCandidates]) -> DrawsFit:
    """Calibrates the draws of a model folder's router, and writes its config.

    Args:
        folder: of a pipeline, with `router/config.json`.
        rows: photos of validation people; an operation that none of them has is drawn as its
            levels say.

    Raises:
        ValueError: they were judged by a router of another number of degree levels.
    """
    path = folder / "router" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    levels, fits = config.get("degree_levels", 8), []
    for name in config["operations"]:
        own = [row for row in rows if row.operation == name]
        found = {len(row.logits) for row in own} or {levels}
        if found != {levels}:
            raise ValueError(
                f"photos with {name} were judged by a router of {found.pop()} degree levels, this "
                f"one has {levels}: evaluate this model with --world real --candidates 5"
            )
        plain = (1.0, 0.0, tuple(edges(levels).diff().tolist()), 1.0, 1.0)
        fits.append(fit_operation(own) if own else plain)
    fit = DrawsFit(*zip(*fits, strict=True))
    write_json(path, {**config, **{name: list(values) for name, values in fit._asdict().items()}})
    return fit
