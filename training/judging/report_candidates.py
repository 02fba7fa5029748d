"""How samples spread, as tables: coverage, CRPS, best candidate, and whether spread tells error."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .native_candidates import UNITS, Floats, JudgedCandidates
from .native_draws import belief_of, quantity_samples, score
from .report_mofrr import Columns, as_markdown, as_text, table


@dataclass(frozen=True)
class SpreadRow:
    """Photos with one operation by algorithms of one family.

    Attributes:
        operation: undone on photos where it was applied.
        split: "seen" or "unseen" algorithms.
        photos: how many.
        coverage: share of true quantities inside the 80 % interval.
        crps: of the quantity, in its unit.
        point: mean absolute error of the main image in the quantity.
        lift: gain of the main image in dB of PSNR.
        best: what the best candidate has above the main image in dB.
        levels: root mean square error of the main image in levels of 8 bits.
        expected: the same as `uncertainty` says it is.
        spearman: rank correlation over photos of that with the error.
    """

    operation: str
    split: str
    photos: int
    coverage: float
    crps: float
    point: float
    lift: float
    best: float
    levels: float
    expected: float
    spearman: float


def spread_row(
    rows: Sequence[JudgedCandidates], operation: str, split: str, config: Mapping[str, Any]
) -> SpreadRow:
    """The row of one operation and family, by the settings of a router's config."""
    place = list(config["operations"]).index(operation)
    names = ("degree_temperature", "degree_mixing", "degree_prior")
    own = {name: (config[name][place],) for name in names if config.get(name)}
    scale = (config.get("spread_scale") or [1.0] * len(config["operations"]))[place]
    gain = (config.get("sample_gain") or [1.0] * len(config["operations"]))[place]
    scores = [score(quantity_samples(r, belief_of(r, own), gain), r.truth) for r in rows]
    errors = np.array([row.error for row in rows])
    spreads = np.array([row.spread for row in rows]) * scale
    return SpreadRow(
        operation,
        split,
        len(rows),
        float(np.mean([each.covered for each in scores])),
        float(np.mean([each.crps for each in scores])),
        float(np.mean([abs(row.point - row.truth) for row in rows])),
        float(np.mean([row.decibels["main"] - row.decibels["photo"] for row in rows])),
        float(np.mean([max(row.candidates) - row.decibels["main"] for row in rows])),
        float(np.sqrt(np.square(errors).mean())),
        float(np.sqrt(np.square(spreads).mean())),
        spearman(spreads, errors),
    )


def spearman(first: Floats, second: Floats) -> float:
    """Rank correlation of two rows of numbers; 0 where one of them is constant or too short."""
    ranks = [_ranks(each) for each in (first, second)]
    if len(first) < 3 or any(each.std() == 0 for each in ranks):
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: Floats) -> Floats:
    """Ranks, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def spread_rows(
    rows: Sequence[JudgedCandidates], config: Mapping[str, Any]
) -> tuple[SpreadRow, ...]:
    """A row for each operation and family that there are photos of."""
    groups = {(op, split): [] for op in config["operations"] for split in ("seen", "unseen")}
    for row in rows:
        groups[row.operation, row.split].append(row)
    return tuple(spread_row(own, *key, config) for key, own in groups.items() if own)


COLUMNS: Columns = {
    "operation": lambda row: row.operation,
    "algorithms": lambda row: row.split,
    "photos": lambda row: str(row.photos),
    "80 % covers": lambda row: f"{row.coverage:.0%}",
    "CRPS": lambda row: f"{row.crps:.2f}",
    "point error": lambda row: f"{row.point:.2f}",
    "of it": lambda row: f"{row.crps / row.point:.2f}" if row.point else "-",
    "quantity": lambda row: UNITS[row.operation],
    "main dB": lambda row: f"{row.lift:+.2f}",
    "best dB more": lambda row: f"{row.best:+.2f}",
    "error": lambda row: f"{row.levels:.2f}",
    "expected": lambda row: f"{row.expected:.2f}",
    "Spearman": lambda row: f"{row.spearman:.2f}",
}
_NOTE = (
    "80 % covers: share of true quantities inside the interval that holds 80 % of what is drawn. "
    "CRPS: of what is drawn; its part of the main image's mean absolute error beside it. best: the "
    "best candidate's PSNR above the main image's. error, expected: root mean square over the "
    "photos in levels of 8 bits, as it is and as `uncertainty` says; their rank correlation."
)


def to_text(rows: Sequence[SpreadRow], count: int) -> str:
    """Aligned plain text, for a terminal."""
    return as_text(_headline(count), [table(_TITLE, COLUMNS, rows)], [_NOTE])


def to_markdown(rows: Sequence[SpreadRow], count: int) -> str:
    """A Markdown table."""
    return as_markdown(_headline(count), [table(_TITLE, COLUMNS, rows)], [_NOTE])


_TITLE = "Candidates"


def _headline(count: int) -> str:
    return f"{count} candidates of each photo, the operation given, its degree drawn."


def to_json(rows: Sequence[SpreadRow], **context: Any) -> str:
    """The rows, and what they were made with."""
    return json.dumps({**context, "rows": [asdict(row) for row in rows]}, indent=2)
