"""All that a recipe needs, in one small file, for a machine that is lent for a while.

A bundle is a tar file with the package's code (`frr`), a part of the faces (`faces`) and of the
pools that were made already (`work`). What a machine brings back is split into small files.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..pipelines.repository.writing import replacing
from .data.faces import list_images
from .data.pools import DESCRIPTION, FILE_ITEMS, finished_files

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("commands", "hub", "models", "pipelines", "training")
CODE = {".py", ".sh", ".typed", ".npz"}
MEGABYTE = 10**6
HEADERS = 2**10  # bytes of tar about each file, at most
STATE = "state.tar."


class Entry(NamedTuple):
    """A file of a bundle: its name there, and where it is or what it holds."""

    name: str
    source: Path | bytes

    @property
    def size(self) -> int:
        """Bytes in the bundle."""
        own = self.source
        return HEADERS + (len(own) if isinstance(own, bytes) else own.stat().st_size)


def pack(
    target: Path, faces: Path, pools: Sequence[Path], limit: int, faces_share: float = 0.5
) -> dict[str, int]:
    """Write a bundle.

    Args:
        target: the file.
        faces: folder of folders of faces, with landmarks beside or in them.
        pools: finished pools; of large ones the first files are taken.
        limit: bytes that the bundle may have.
        faces_share: part of the room beside the code that faces take where there are pools.

    Returns:
        Bytes before packing, and numbers of faces and items, by name.

    Raises:
        ValueError: the code and one file of each pool are too large already.
    """
    code = list(_code())
    room = limit - _size(code)
    items = list(_pools(pools, int(room * (1 - faces_share)) if pools else 0))
    people = list(_faces(faces, room - _size(items)))
    if room < _size(items) + _size(people):
        raise ValueError(f"the code, landmarks and pools take more than {limit} bytes: raise it")
    with replacing(target) as beside, tarfile.open(beside, "w:gz", compresslevel=4) as tar:
        for entry in (*code, *items, *people):
            _add(tar, entry)
    if (size := target.stat().st_size) > limit:
        raise ValueError(f"{target} has {size} bytes, more than {limit}: name fewer faces or pools")
    return {
        "code": _size(code),
        "pools": _size(items),
        "faces": _size(people),
        "photos": sum(not entry.name.endswith(".npz") for entry in people),
        "items": FILE_ITEMS * sum(entry.name.endswith(".safetensors") for entry in items),
    }


def _size(entries: Iterable[Entry]) -> int:
    return sum(entry.size for entry in entries)


def _code() -> Iterator[Entry]:
    """The package without nodes and weights."""
    for path in (ROOT / "__init__.py", ROOT / "cli.py", ROOT / "py.typed"):
        yield Entry(f"frr/{path.name}", path)
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in CODE and "__pycache__" not in path.parts:
                yield Entry(f"frr/{path.relative_to(ROOT).as_posix()}", path)


def _pools(pools: Sequence[Path], room: int) -> Iterator[Entry]:
    """Whole files of each pool, from the first on, and pool.json with their number of items."""
    for pool in pools:
        left, taken = room // len(pools), 0
        for path in finished_files(pool):
            if path.stat().st_size + HEADERS > left and taken:
                break
            left -= path.stat().st_size + HEADERS
            taken += 1
            yield Entry(f"work/{pool.name}/{path.name}", path)
        note = json.loads((pool / DESCRIPTION).read_text(encoding="utf-8"))
        items = min(note["settings"]["items"], taken * FILE_ITEMS)
        note["settings"]["items"] = items
        yield Entry(f"work/{pool.name}/{DESCRIPTION}", json.dumps(note, indent=2).encode())


def _faces(folder: Path, room: int) -> Iterator[Entry]:
    """All landmarks, and of each folder's photos, drawn by lot, as many as there is room for."""
    for path in sorted(folder.rglob("*.npz")):
        entry = Entry(f"faces/{path.relative_to(folder).as_posix()}", path)
        room -= entry.size
        yield entry
    homes = [home for home in sorted(folder.iterdir()) if home.is_dir()]
    photos = [
        [Entry(f"faces/{home.name}/{path.name}", path) for path in list_images(home)]
        for home in homes
    ]
    total = sum(_size(each) for each in photos)
    part = min(1.0, max(room, 0) / total) if total else 0.0
    for entries in photos:
        order = np.random.default_rng(0).permutation(len(entries))
        left = int(part * _size(entries))
        for place in order:
            if entries[place].size <= left:
                left -= entries[place].size
                yield entries[place]


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    if isinstance(entry.source, Path):
        tar.add(entry.source, entry.name, recursive=False)
    else:
        info = tarfile.TarInfo(entry.name)
        info.size = len(entry.source)
        tar.addfile(info, io.BytesIO(entry.source))


def bring_back(work: Path, files: Iterable[Path], out: Path, piece: int) -> list[Path]:
    """Write files of a folder to a tar file in pieces of at most `piece` bytes.

    Returns:
        The pieces; those of an earlier slice are replaced.
    """
    out.mkdir(parents=True, exist_ok=True)
    with replacing(out / "whole.tar") as beside:
        with tarfile.open(beside, "w") as tar:
            for path in sorted(files):
                tar.add(path, path.relative_to(work).as_posix())
        for old in out.glob(f"{STATE}*"):
            old.unlink()
        pieces = []
        with beside.open("rb") as whole:
            while block := whole.read(piece):
                pieces.append(out / f"{STATE}{len(pieces):03d}")
                pieces[-1].write_bytes(block)
    (out / "whole.tar").unlink()
    return pieces


def take_up(pieces: Path, work: Path) -> None:
    """Put back what `bring_back` wrote.

    Raises:
        ValueError: there is nothing, or a name that leads out of the folder.
    """
    found = sorted(pieces.glob(f"{STATE}*"))
    if not found:
        raise ValueError(f"{pieces} holds no {STATE}000: name the folder that a slice wrote to")
    work.mkdir(parents=True, exist_ok=True)
    whole = io.BytesIO(b"".join(path.read_bytes() for path in found))
    try:
        with tarfile.open(fileobj=whole) as tar:
            tar.extractall(work, filter="data")
    except tarfile.TarError as error:
        raise ValueError(f"{pieces} cannot be put together: {error}") from error
