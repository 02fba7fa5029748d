"""Results on photos at their own size, as aligned text, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from . import tables_detail as detail
from . import tables_native as tables
from .native_photos import JudgedPhoto
from .report_detail import detail_tables
from .report_mofrr import Columns, Table, as_markdown, as_text, table
from .tables_detail import GridRow, HonestyRow, IdentityRow, SteadyRow
from .tables_native import BinRow, FoundRow, LiftRow, UntouchedRow


@dataclass(frozen=True)
class NativeEvaluation:
    """All tables of one run, and what they were made with.

    Attributes:
        faces: number of faces.
        seed: of cameras, apps, journeys and crops.
        sides: native sides in pixels.
        journeys: whether files travelled after retouching.
        thresholds: the router's, by operation.
        lifts: one row for each condition and routing.
        found: one row for each operation.
        untouched: one row for each split.
        by_size: one row for each range of native sides.
        by_quality: one row for each range of JPEG qualities.
        weights: digest that stands for the model's weights (`card.weights_digest`), None if not
            recorded.
        grid: one row for each native side and JPEG quality.
        identity: one row for each split and operation of which it was measured.
        steady: one row for each other form of the photos.
        honesty: reliability curves.
    """

    faces: int
    seed: int
    sides: tuple[int, ...]
    journeys: bool
    thresholds: Mapping[str, float]
    lifts: tuple[LiftRow, ...]
    found: tuple[FoundRow, ...]
    untouched: tuple[UntouchedRow, ...]
    by_size: tuple[BinRow, ...]
    by_quality: tuple[BinRow, ...]
    weights: str | None = None
    grid: tuple[GridRow, ...] = ()
    identity: tuple[IdentityRow, ...] = ()
    steady: tuple[SteadyRow, ...] = ()
    honesty: tuple[HonestyRow, ...] = ()

    def lift(self, split: str, condition: str, routing: str) -> LiftRow:
        """The row of one condition.

        Raises:
            ValueError: when it was not evaluated.
        """
        for row in self.lifts:
            if (row.split, row.condition, row.routing) == (split, condition, routing):
                return row
        raise ValueError(f"{condition!r} of the split {split!r}, {routing}, was not evaluated.")


def evaluation_of(
    photos: Sequence[JudgedPhoto],
    thresholds: Mapping[str, float],
    *,
    seed: int = 0,
    sides: Sequence[int] = (),
    journeys: bool = True,
    weights: str | None = None,
) -> NativeEvaluation:
    """All tables of some judged photos, at thresholds that may be others than they were judged at.

    Raises:
        ValueError: a choice of operations that these thresholds make was not restored.
    """
    return NativeEvaluation(
        len({photo.face for photo in photos}),
        seed,
        tuple(sides),
        journeys,
        dict(thresholds),
        tuple(tables.lift_rows(photos, thresholds)),
        tuple(tables.found_rows(photos, thresholds)),
        tuple(tables.untouched_rows(photos, thresholds)),
        tuple(tables.size_rows(photos, thresholds)),
        tuple(tables.quality_rows(photos, thresholds)),
        weights,
        tuple(detail.grid_rows(photos, thresholds)),
        tuple(detail.identity_rows(photos)),
        tuple(detail.steady_rows(photos)),
        tuple(detail.honesty_rows(photos)),
    )


def to_json(evaluation: NativeEvaluation) -> str:
    """The evaluation as JSON; `from_json` reads it back."""
    return json.dumps(asdict(evaluation), indent=2)


def from_json(text: str) -> NativeEvaluation:
    """An evaluation from what `to_json` wrote.

    Raises:
        ValueError: when the text is not such a JSON object.
    """
    kinds: dict[str, Any] = {
        "lifts": LiftRow,
        "found": FoundRow,
        "untouched": UntouchedRow,
        "by_size": BinRow,
        "by_quality": BinRow,
    }
    later = {  # not in files of older versions
        "grid": GridRow,
        "identity": IdentityRow,
        "steady": SteadyRow,
        "honesty": HonestyRow,
    }
    try:
        values: dict[str, Any] = json.loads(text)
        rows = {name: tuple(kind(**row) for row in values[name]) for name, kind in kinds.items()}
        for name, kind in later.items():
            rows[name] = tuple(kind(**row) for row in values.get(name, ()))
        return NativeEvaluation(**{**values, **rows, "sides": tuple(values["sides"])})
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"Not an evaluation as `to_json` writes it: {error}.") from error


def to_text(evaluation: NativeEvaluation) -> str:
    """The evaluation as aligned plain text, for a terminal."""
    return as_text(_headline(evaluation), _tables(evaluation), [_NOTE])


def to_markdown(evaluation: NativeEvaluation) -> str:
    """The evaluation as Markdown tables."""
    return as_markdown(_headline(evaluation), _tables(evaluation), [_NOTE])


_NOTE = (
    "copy = the photo as it came, against the same photo without retouching, sent and cropped "
    "alike. faint: the app changed too little to be felt; the other rows hold no such photos. "
    "improved: by more than 0.05 dB; harmed: by more than 0.3 dB. AUC: photos with an operation "
    "that can be felt, against untouched ones; within photos where something else was done; and "
    "against all without it. A PSNR above 100 dB counts as 100."
)
_LIFTS: Columns = {
    "algorithms": lambda row: row.split,
    "condition": lambda row: row.condition,
    "operations": lambda row: "given" if row.routing == "given" else "found",
    "photos": lambda row: str(row.photos),
    "copy dB": lambda row: f"{row.copy:.2f}",
    "lift dB": lambda row: f"{row.lift:+.2f}",
    "median": lambda row: f"{row.median:+.2f}",
    "improved": lambda row: f"{row.improved:.2f}",
    "harmed": lambda row: f"{row.harmed:.3f}",
    "worst": lambda row: _number(row.worst, 2, "+"),
}
_FOUND: Columns = {
    "algorithms": lambda row: row.split,
    "operation": lambda row: row.operation,
    "threshold": lambda row: f"{row.threshold:.3f}",
    "AUC untouched": lambda row: _number(row.untouched_auc),
    "AUC mixed": lambda row: _number(row.mixed_auc),
    "AUC pooled": lambda row: _number(row.pooled_auc),
    "found alone": lambda row: _number(row.alone),
    "found mixed": lambda row: _number(row.mixed),
    "mixed / alone": lambda row: _ratio(row.mixed, row.alone),
    "false alarms": lambda row: _number(row.false_alarms),
    "ECE": lambda row: _number(row.calibration),
    "degree error": lambda row: _number(row.degree_error),
}
_UNTOUCHED: Columns = {
    "algorithms": lambda row: row.split,
    "condition": lambda row: "untouched",
    "photos": lambda row: str(row.photos),
    "touched": lambda row: f"{row.touched:.3f}",
    "touched dB": lambda row: _number(row.restored, 2),
    "worst dB": lambda row: _number(row.worst, 2),
}


def _bins(word: str, operations: Sequence[str]) -> Columns:
    def auc(operation: str) -> Any:
        return lambda row: _number(row.auc[operation], 2)

    return {
        "algorithms": lambda row: row.split,
        word: lambda row: row.bin,
        "photos": lambda row: str(row.photos),
        "lift given": lambda row: _number(row.given, 2, "+"),
        "lift found": lambda row: _number(row.router, 2, "+"),
        "harmed": lambda row: _number(row.harmed),
        "touched": lambda row: _number(row.touched),
        **{f"AUC {operation}": auc(operation) for operation in operations},
    }


def _tables(evaluation: NativeEvaluation) -> list[Table]:
    """Title, header and cells of each table; the first two columns are words."""
    operations = list(evaluation.thresholds)
    return [
        table("Restoration", _LIFTS, evaluation.lifts),
        table("Untouched photos", _UNTOUCHED, evaluation.untouched),
        table("Router", _FOUND, evaluation.found),
        table("By native side", _bins("native side", operations), evaluation.by_size),
        table("By JPEG quality", _bins("quality", operations), evaluation.by_quality),
        *detail_tables(evaluation.grid, evaluation.identity, evaluation.steady, evaluation.honesty),
    ]


def _headline(evaluation: NativeEvaluation) -> str:
    sides = ", ".join(map(str, evaluation.sides))
    sent = "sent" if evaluation.journeys else "not sent"
    return (
        f"{evaluation.faces} faces at native sides of {sides} px, retouched by an app, {sent}, and "
        f"cropped; seed {evaluation.seed}."
    )


def _ratio(part: float | None, whole: float | None) -> str:
    return "-" if part is None or not whole else f"{part / whole:.2f}"


def _number(value: float | None, digits: int = 3, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.{digits}f}"
