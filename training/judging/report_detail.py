"""The further figures on judged photos as tables: as few lines as they take."""

from __future__ import annotations

from collections.abc import Sequence

from .report_mofrr import Columns, Table, table
from .tables_detail import BINS, GridRow, HonestyRow, IdentityRow, SteadyRow

_IDENTITY: Columns = {
    "algorithms": lambda row: row.split,
    "operation": lambda row: row.operation,
    "photos": lambda row: str(row.photos),
    "retouched": lambda row: f"{row.retouched:.3f}",
    "restored, given": lambda row: f"{row.given:.3f}",
    "restored, found": lambda row: f"{row.router:.3f}",
    "given / retouched": lambda row: f"{row.given / max(row.retouched, 1e-9):.2f}",
}
_STEADY: Columns = {
    "the same photo as": lambda row: row.form,
    "photos": lambda row: row.photos,
    "count": lambda row: str(row.count),
    "mean change": lambda row: f"{row.mean:.3f}",
    "largest": lambda row: f"{row.largest:.3f}",
    "within 0.1": lambda row: f"{row.steady:.2f}",
}


def detail_tables(
    grid: Sequence[GridRow],
    identity: Sequence[IdentityRow],
    steady: Sequence[SteadyRow],
    honesty: Sequence[HonestyRow],
) -> list[Table]:
    """A table of each kind of which there are rows."""
    tables = [
        _grid(grid),
        table("Identity, mean embedding distance from the true photo", _IDENTITY, identity),
        table("Change of the router's probabilities with the file", _STEADY, steady),
        _honesty(honesty),
    ]
    return [each for each in tables if each[2]]


def _grid(rows: Sequence[GridRow]) -> Table:
    """Sides by qualities."""
    places = {(row.native, row.quality): _cell(row) for row in rows}
    qualities = list(dict.fromkeys(row.quality for row in sorted(rows, key=lambda r: r.quality)))
    lines = [
        [f"{native} px", "all", *(places.get((native, quality), "-") for quality in qualities)]
        for native in sorted({row.native for row in rows})
    ]
    heads = [q if not q.isdigit() else f"JPEG {q}" for q in qualities]
    title = "By size and quality: mean AUC; lift in dB given / found (photos)"
    return title, ["native side", "algorithms", *heads], lines


def _cell(row: GridRow) -> str:
    known = [value for value in row.auc.values() if value is not None]
    auc = f"{sum(known) / len(known):.2f}" if known else "-"
    lifts = ["-" if lift is None else f"{lift:+.2f}" for lift in (row.given, row.router)]
    return f"{auc}; {' / '.join(lifts)} ({row.photos})"


def _honesty(rows: Sequence[HonestyRow]) -> Table:
    """Operations by bins of probability."""
    shares = {(row.operation, min(int(row.probability * BINS), BINS - 1)): row for row in rows}
    heads = [f"{number / BINS:.1f}-{(number + 1) / BINS:.1f}" for number in range(BINS)]
    lines = []
    for operation in dict.fromkeys(row.operation for row in rows):
        own = [shares.get((operation, number)) for number in range(BINS)]
        lines.append([operation, "all", *("-" if x is None else f"{x.present:.2f}" for x in own)])
    title = "Share of photos with the operation, by the router's probability of it"
    return title, ["operation", "algorithms", *heads], lines
