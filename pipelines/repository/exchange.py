"""A model is written whole beside an older one, whose place it then takes.

While files are exchanged the folder has no index, so that it is not taken for a model; if that is
cut short, the older index comes back, and digests beside it that the newer weights do not have.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .writing import REPLACED, remove, unfinished

INDEX_NAME = "model_index.json"
CHECKSUMS_NAME = "SHA256SUMS"
CODE_VERSION = re.compile(r"_v[0-9a-f]{8}(?=(_part)?$)")
SHARD = re.compile(r"-\d{5}-of-\d{5}|\.index(?=\.)|\.json$")


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """A folder to write a model to, whose files then take their places in `folder`.

    What is no part of a model stays there; so do the weights' other variants.

    Raises:
        OSError: the folder cannot be written to, or is full.
    """
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with unfinished(folder) as beside:
            beside.mkdir()
            yield beside
            _exchange(beside, folder)
    finally:
        if new:
            with suppress(OSError):  # it holds the model
                folder.rmdir()


def _exchange(beside: Path, folder: Path) -> None:
    files = sorted(path.relative_to(beside) for path in beside.rglob("*") if path.is_file())
    index, hidden = folder / INDEX_NAME, folder / f"{REPLACED}{INDEX_NAME}"
    stale = [path for path in _stale(files, folder) if path.relative_to(folder) not in files]
    if index.exists():
        index.replace(hidden)
    for name in sorted(files, key=lambda name: name.name in (INDEX_NAME, CHECKSUMS_NAME)):
        if name.name != INDEX_NAME:
            (folder / name).parent.mkdir(exist_ok=True)
            (beside / name).replace(folder / name)
    for path in stale:
        remove(path)
    (beside / INDEX_NAME).replace(index)
    remove(hidden)


def _stale(files: list[Path], folder: Path) -> Iterator[Path]:
    """What was part of the older model: its code, and weights of the same variant."""
    if (version := code_version(folder)) is not None:
        yield from (*folder.glob(f"*{version}.py"), *folder.glob(f"*/*{version}_part.py"))
    weights = [name for name in files if name.suffix == ".safetensors"]
    for part in {name.parent for name in weights}:
        stems = {SHARD.sub("", name.name) for name in weights if name.parent == part}
        for path in (folder / part).glob("*.safetensors*"):
            if SHARD.sub("", path.name) in stems:
                yield path


def code_version(folder: Path) -> str | None:
    """The digits, as `_v01234567`, that the names of a repository's code end in, if it has code."""
    try:
        kind = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    found = CODE_VERSION.search(str(kind[0])) if isinstance(kind, list) and kind else None
    return None if found is None else found[0]
