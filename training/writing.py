"""Results are written beside their place and then renamed, so that none is ever half there."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write a file or a folder to, which then takes the path's place.

    What stood there is left alone where writing fails.
    """
    beside = path.with_name(f".{path.name}.unfinished")
    remove(beside)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield beside
        if path.is_dir():
            old = path.with_name(f".{path.name}.old")
            remove(old)
            path.rename(old)
            beside.rename(path)
            remove(old)
        else:
            beside.replace(path)
    finally:
        remove(beside)


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes an indented JSON file."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
