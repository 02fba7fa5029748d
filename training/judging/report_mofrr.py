"""Results of an evaluation, as aligned text, Markdown and JSON."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .identity import Baseline


@dataclass(frozen=True)
class RestorationRow:
    """Means over the photos of one condition, against the originals.

    Attributes:
        split: "seen" or "unseen" algorithms.
        condition: an operation, "mixed" or "untouched".
        exported: whether the photos were saved with loss before they were restored.
        photos: how many.
        copy_psnr: PSNR in dB of the photos as they came (each at most 100).
        restored_psnr: PSNR in dB after restoration (each at most 100).
        copy_ssim: SSIM of the photos as they came.
        restored_ssim: SSIM after restoration.
        improved: share of photos whose PSNR rose.
        unchanged: share of photos that came back equal to the bit.
        identity_retouched: mean embedding distance of original and photo, None if not measured.
        identity_restored: mean embedding distance of original and restored photo.
        identity_photos: photos in whose original a face was found.
    """

    split: str
    condition: str
    exported: bool
    photos: int
    copy_psnr: float
    restored_psnr: float
    copy_ssim: float
    restored_ssim: float
    improved: float
    unchanged: float
    identity_retouched: float | None = None
    identity_restored: float | None = None
    identity_photos: int = 0

    @property
    def lift(self) -> float:
        """How much the mean PSNR rose, dB."""
        return self.restored_psnr - self.copy_psnr


@dataclass(frozen=True)
class RouterRow:
    """The router on one operation, over all conditions of a split.

    Attributes:
        split: "seen" or "unseen" algorithms.
        operation: its name.
        exported: whether the photos were saved with loss.
        photos: how many.
        threshold: the router's probability threshold.
        auc: area under the ROC curve.
        accuracy: share of right decisions at the threshold.
        balanced_accuracy: mean of the shares found where present and left alone where absent.
        false_alarms: share of the untouched photos on which the operation is found.
        degree_error: mean absolute error of the degree, where the operation is present and its
            expert ran; None if it never did.
    """

    split: str
    operation: str
    exported: bool
    photos: int
    threshold: float
    auc: float
    accuracy: float
    balanced_accuracy: float
    false_alarms: float
    degree_error: float | None


@dataclass(frozen=True)
class Evaluation:
    """All tables of one run, and what they were made with.

    Attributes:
        routing: "given" (the operations that were applied are forced) or "router".
        faces: number of faces.
        size: their side in pixels.
        seed: of recipes and noise.
        steps: denoising steps, None for the pipeline's default.
        restoration: one row per condition.
        router: one row per operation and split; empty when the operations were given.
        baseline: embedding distances between the original faces, None if not measured.
        weights: digest that stands for the model's weights (`card.weights_digest`), None if not
            recorded.
    """

    routing: str
    faces: int
    size: int
    seed: int
    steps: int | None
    restoration: tuple[RestorationRow, ...]
    router: tuple[RouterRow, ...] = ()
    baseline: Baseline | None = None
    weights: str | None = None

    def row(self, split: str, condition: str, exported: bool = False) -> RestorationRow:
        """The row of one condition.

        Raises:
            ValueError: when it was not evaluated.
        """
        for row in self.restoration:
            if (row.split, row.condition, row.exported) == (split, condition, exported):
                return row
        raise ValueError(f"{condition!r} of the split {split!r} was not evaluated.")

    def mean_auc(self, split: str, exported: bool = False) -> float:
        """The router's AUC, mean over the operations.

        Raises:
            ValueError: when the router was not evaluated on that split.
        """
        rows = [row.auc for row in self.router if (row.split, row.exported) == (split, exported)]
        if not rows:
            raise ValueError(f"The router was not evaluated on the split {split!r}.")
        return sum(rows) / len(rows)


def to_json(evaluation: Evaluation) -> str:
    """The evaluation as JSON; `from_json` reads it back."""
    return json.dumps(asdict(evaluation) | {"baseline": _fields(evaluation.baseline)}, indent=2)


def from_json(text: str) -> Evaluation:
    """An evaluation from what `to_json` wrote.

    Raises:
        ValueError: when the text is not such a JSON object.
    """
    try:
        values = json.loads(text)
        restoration = tuple(RestorationRow(**row) for row in values.pop("restoration"))
        router = tuple(RouterRow(**row) for row in values.pop("router"))
        baseline = values.pop("baseline")
        return Evaluation(
            **values,
            restoration=restoration,
            router=router,
            baseline=None if baseline is None else Baseline(**baseline),
        )
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"Not an evaluation as `to_json` writes it: {error}.") from error


def to_text(evaluation: Evaluation) -> str:
    """The evaluation as aligned plain text, for a terminal."""
    parts = [_headline(evaluation)]
    for title, header, rows in _tables(evaluation):
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        lines = [_aligned(header, widths), "-" * (sum(widths) + 2 * len(widths) - 2)]
        parts.append("\n".join([title, *lines, *(_aligned(row, widths) for row in rows)]))
    return "\n\n".join([*parts, *_notes(evaluation)]) + "\n"


def to_markdown(evaluation: Evaluation) -> str:
    """The evaluation as Markdown tables."""
    parts = [_headline(evaluation)]
    for title, header, rows in _tables(evaluation):
        rule = ["---", "---", *["---:"] * (len(header) - 2)]
        lines = ["| " + " | ".join(row) + " |" for row in (header, rule, *rows)]
        parts.append("\n".join([f"**{title}**", "", *lines]))
    return "\n\n".join([*parts, *_notes(evaluation)]) + "\n"


Table = tuple[str, list[str], list[list[str]]]
Columns = Mapping[str, Callable[[Any], str]]

RESTORATION_COLUMNS: Columns = {
    "algorithms": lambda row: _algorithms(row),
    "condition": lambda row: row.condition,
    "copy dB": lambda row: f"{row.copy_psnr:.2f}",
    "restored dB": lambda row: f"{row.restored_psnr:.2f}",
    "lift dB": lambda row: f"{row.lift:+.2f}",
    "copy SSIM": lambda row: f"{row.copy_ssim:.4f}",
    "restored SSIM": lambda row: f"{row.restored_ssim:.4f}",
    "improved": lambda row: f"{row.improved:.2f}",
    "unchanged": lambda row: f"{row.unchanged:.2f}",
}
ROUTER_COLUMNS: Columns = {
    "algorithms": lambda row: _algorithms(row),
    "operation": lambda row: row.operation,
    "threshold": lambda row: f"{row.threshold:.3f}",
    "AUC": lambda row: f"{row.auc:.3f}",
    "accuracy": lambda row: f"{row.accuracy:.3f}",
    "balanced": lambda row: f"{row.balanced_accuracy:.3f}",
    "false alarms": lambda row: f"{row.false_alarms:.3f}",
    "degree error": lambda row: _number(row.degree_error),
}
IDENTITY_COLUMNS: Columns = {
    "algorithms": lambda row: _algorithms(row),
    "condition": lambda row: row.condition,
    "photos": lambda row: str(row.identity_photos),
    "original-retouched": lambda row: _number(row.identity_retouched),
    "original-restored": lambda row: _number(row.identity_restored),
}


def _table(title: str, columns: Columns, rows: Sequence[Any]) -> Table:
    return title, list(columns), [[cell(row) for cell in columns.values()] for row in rows]


def _tables(evaluation: Evaluation) -> list[Table]:
    """Title, header and cells of each table; the first two columns are words."""
    restoration = evaluation.restoration
    tables = [_table("Restoration, means over the photos", RESTORATION_COLUMNS, restoration)]
    if evaluation.router:
        title, header, cells = _table("Router", ROUTER_COLUMNS, evaluation.router)
        tables.append((title, header, cells + _router_means(evaluation.router)))
    if evaluation.baseline is not None:
        tables.append(_table("Identity, mean embedding distance", IDENTITY_COLUMNS, restoration))
    return tables


def _router_means(rows: Sequence[RouterRow]) -> list[list[str]]:
    """One line for each split: the mean over its operations."""
    groups: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for row in rows:
        rates = row.auc, row.accuracy, row.balanced_accuracy, row.false_alarms
        groups[_algorithms(row)].append(rates)
    means = {name: [sum(c) / len(c) for c in zip(*g, strict=True)] for name, g in groups.items()}
    return [[name, "mean", "", *(f"{x:.3f}" for x in mean), ""] for name, mean in means.items()]


def _headline(evaluation: Evaluation) -> str:
    who = {"given": "operations given", "router": "operations found by the router"}
    steps = "default steps" if evaluation.steps is None else f"{evaluation.steps} steps"
    return (
        f"{evaluation.faces} faces at {evaluation.size} px, {who[evaluation.routing]}, {steps}, "
        f"seed {evaluation.seed}."
    )


def _notes(evaluation: Evaluation) -> list[str]:
    notes = [
        "copy = the photo as it came, against the original. A PSNR above 100 dB (infinite for "
        "photos equal to the bit) counts as 100."
    ]
    if evaluation.baseline is not None:
        base = evaluation.baseline
        notes.append(
            f"Identity distance between originals: same person {_number(base.same_person)} "
            f"({base.same_pairs} pairs), different persons {_number(base.different_person)} "
            f"({base.different_pairs} pairs)."
        )
    return notes


def _algorithms(row: RestorationRow | RouterRow) -> str:
    return row.split + (", exported" if row.exported else "")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _fields(baseline: Baseline | None) -> Mapping[str, Any] | None:
    """`asdict` leaves a NamedTuple a tuple; its names belong into the JSON."""
    return None if baseline is None else baseline._asdict()


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, numbers to the right."""
    pairs = enumerate(zip(cells, widths, strict=True))
    return "  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in pairs).rstrip()
