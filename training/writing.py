"""Files of a run, written as all results are: beside their place, and then renamed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..pipelines.repository.writing import remove, replacing

__all__ = ["remove", "replacing", "write_json", "write_text"]


def write_text(path: Path, text: str) -> None:
    """Writes a text file."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes an indented JSON file."""
    write_text(path, json.dumps(values, indent=2) + "\n")
