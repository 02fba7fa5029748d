"""BPFRe's evaluation as text, Markdown and JSON, and its panel of pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from PIL import Image

from ...pipelines.photos.drawings import map_picture, panel, stacked, to_picture
from ..data.faces import FaceSet, spread
from .conditions_bpfre import paint_condition
from .evaluate_bpfre import RetouchEvaluation, RetouchRow

COLUMNS: tuple[tuple[str, Callable[[RetouchRow], str]], ...] = (
    ("condition", lambda row: row.condition),
    ("stage", lambda row: row.stage),
    ("photos", lambda row: str(row.photos)),
    ("PSNR copy", lambda row: f"{row.copy_psnr:.2f}"),
    ("PSNR", lambda row: f"{row.psnr:.2f}"),
    ("lift", lambda row: f"{row.psnr - row.copy_psnr:+.2f}"),
    ("mask copy", lambda row: f"{row.copy_mask_psnr:.2f}"),
    ("mask", lambda row: f"{row.mask_psnr:.2f}"),
    ("mask lift", lambda row: f"{row.mask_psnr - row.copy_mask_psnr:+.2f}"),
    ("SSIM copy", lambda row: f"{row.copy_ssim:.4f}"),
    ("SSIM", lambda row: f"{row.ssim:.4f}"),
    ("improved", lambda row: f"{row.improved:.0%}"),
)


def facts(result: RetouchEvaluation) -> list[str]:
    """The figures beside the table, a sentence each."""
    return [
        f"Moles change by {result.mole_change:.2f} grey levels, blemishes departed by "
        f"{result.blemish_departure:.2f} (of 255, means inside their masks).",
        f"Clean faces come back at {result.clean_psnr:.2f} dB on average, "
        f"{result.clean_psnr_least:.2f} dB at worst (100 dB = equal to the bit).",
        f"E2D map against the painted mask: IoU {result.iou:.3f} at {result.iou_threshold:.4f}, "
        f"average precision {result.average_precision:.3f} (chance "
        f"{result.precision_of_chance:.3f}).",
    ]


def to_text(result: RetouchEvaluation) -> str:
    """Aligned columns, then the other figures."""
    rows = [[name for name, _ in COLUMNS], *_cells(result)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join([_title(result), "", *lines, "", *facts(result)])


def to_markdown(result: RetouchEvaluation) -> str:
    """A Markdown table, then the other figures."""
    head = [name for name, _ in COLUMNS]
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *_cells(result))]
    return "\n".join(
        [f"## {_title(result)}", "", *lines, "", *(f"- {f}" for f in facts(result)), ""]
    )


def to_json(result: RetouchEvaluation) -> str:
    """All figures, unrounded."""
    return json.dumps(asdict(result), indent=2)


def from_json(text: str) -> RetouchEvaluation:
    """Reads what `to_json` wrote.

    Raises:
        ValueError: the text is no such evaluation.
    """
    try:
        record = json.loads(text)
        rows = tuple(RetouchRow(**row) for row in record.pop("rows"))
        return RetouchEvaluation(**record, rows=rows)
    except (json.JSONDecodeError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"no evaluation of BPFRe: {error}") from error


def _title(result: RetouchEvaluation) -> str:
    return f"BPFRe on {result.faces} faces of {result.size} px, seed {result.seed}"


def _cells(result: RetouchEvaluation) -> list[list[str]]:
    return [[write(row) for _, write in COLUMNS] for row in result.rows]


def panels(pipe: Any, faces: FaceSet, seed: int = 0, count: int = 8) -> Image.Image:
    """Input, E2D map, coarse, D2G map, refined and target of faces spread over the set."""
    rows = [_panel(pipe, faces, index, seed) for index in spread(len(faces), count)]
    return stacked(rows)


def _panel(pipe: Any, faces: FaceSet, index: int, seed: int) -> Image.Image:
    painted = paint_condition(faces.select([index]), "all", seed, index)
    output = pipe((painted.image + 1) / 2, output_type="pt")
    return panel(
        [
            ("input", to_picture(painted.image[0])),
            ("E2D map", map_picture(output.blemish_maps[0, 0])),
            ("coarse", to_picture(output.coarse_images[0] * 2 - 1)),
            ("D2G map", map_picture(output.blemish_maps[0, 1])),
            ("refined", to_picture(output.images[0] * 2 - 1)),
            ("target", to_picture(painted.target[0])),
        ]
    )
