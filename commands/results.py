"""Where a command's results go: whole, in nobody's place, and known again by the next run.

A folder of results holds a list, `.frr-results`, of the files that commands wrote to it: a line
`[digest, size, name]` for each. Only what stands there, and was not changed since, is replaced.
Processes that write to one folder at once have a list each, `.frr-results-NAME`, until `gather`.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os import path as names
from pathlib import Path

from ..pipelines.repository.writing import replacing

LIST_NAME = ".frr-results"
LONGEST_NAME = 255  # bytes, on the usual disks


class Results:
    """The files of one command in one folder.

    Args:
        folder: where they go; made when the first is written.
        inputs: files that the command reads, and folders of such files: never replaced.
        overwrite: whether results of an earlier run may be replaced.
        resume: whether those that are there already stay.
        part: name of this process's list, where several write to the folder at once.
    """

    def __init__(
        self,
        folder: Path,
        inputs: Iterable[Path | None] = (),
        *,
        overwrite: bool = False,
        resume: bool = False,
        part: str = "",
    ) -> None:
        self.folder, self.overwrite, self.resume = folder, overwrite, resume
        self._list = folder / (f"{LIST_NAME}-{part}" if part else LIST_NAME)
        self._inputs = {_identity(file) for path in inputs if path for file in _files(path)}
        self._made: dict[str, dict[str, int]] = {}
        self._read_list()

    def check(self, *targets: Path) -> None:
        """Look whether files may be written.

        Raises:
            ValueError: one of `targets` must not be written; it is named.
            OSError: its name is none that the disk can hold.
        """
        for target in targets:
            if len(os.fsencode(target.name)) > LONGEST_NAME:  # also where no folder is there yet
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(target))
            try:
                target.lstat()
            except FileNotFoundError:
                continue
            if target.is_symlink():
                raise ValueError(f"{target} is a link: remove it, or choose another -o")
            if _identity(target) in self._inputs:
                raise ValueError(
                    f"the result would overwrite a photo or another input, {target}: "
                    "choose another -o"
                )
            if not (self.overwrite or self.resume):
                raise ValueError(
                    f"{target} is there already: pass --overwrite or choose another -o"
                )
            if not self.is_own(target):
                raise ValueError(
                    f"{target} is no result of `frr`, or was changed since, so it is not "
                    "overwritten: move it away or choose another -o"
                )

    def is_own(self, target: Path) -> bool:
        """Whether a command wrote this file, and nobody changed it since."""
        made = self._made.get(self._name(target), {})
        whole = target.is_file() and not target.is_symlink()
        return whole and target.stat().st_size in made.values() and _digest(target) in made

    def has(self, *targets: Path) -> bool:
        """Whether all of these are there, whole, by an earlier run: told by list and size."""
        return all(
            target.is_file()
            and not target.is_symlink()
            and target.stat().st_size in self._made.get(self._name(target), {}).values()
            for target in targets
        )

    @contextmanager
    def writing(self, target: Path) -> Iterator[Path]:
        """A place to write a file to, which takes the target's place when it is whole.

        Raises:
            ValueError: the target must not be written.
        """
        self.check(target)
        with replacing(target) as beside:
            yield beside
            self._note(target, beside)

    def write_text(self, target: Path, text: str) -> None:
        """Write a text file."""
        with self.writing(target) as beside:
            beside.write_text(text, encoding="utf-8")

    def write_json(self, target: Path, values: object) -> None:
        """Write an indented JSON file."""
        self.write_text(target, json.dumps(values, indent=2) + "\n")

    def _name(self, target: Path) -> str:
        return Path(names.relpath(target, self.folder)).as_posix()

    def gather(self) -> None:
        """Put the lists of all processes into one, when they are done."""
        for path in sorted(self.folder.glob(f"{LIST_NAME}-*")):
            self._append(path.read_bytes().rstrip(b"\n") + b"\n")
            path.unlink()
        self._read_list()

    def _read_list(self) -> None:
        paths = [self.folder / LIST_NAME, *sorted(self.folder.glob(f"{LIST_NAME}-*"))]
        lines = [
            line for path in paths if path.is_file() for line in path.read_bytes().split(b"\n")
        ]
        for line in lines:
            try:
                digest, size, name = json.loads(line)
                self._made.setdefault(str(name), {})[str(digest)] = int(size)
            except (ValueError, TypeError):
                continue  # a line that a run which died could not finish

    def _note(self, target: Path, written: Path) -> None:
        """Put a file on the list before it takes its place: what stands there is then known."""
        name, digest, size = self._name(target), _digest(written), written.stat().st_size
        self._made.setdefault(name, {})[digest] = size
        self._append(json.dumps([digest, size, name]).encode() + b"\n")

    def _append(self, lines: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._list.open("ab") as file:
            file.write(b"\n" * self._cut_short() + lines)

    def _cut_short(self) -> bool:
        """Whether the list's last line was not finished."""
        with self._list.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(0, end - 1))
            return file.read(1) not in (b"", b"\n")


def _files(path: Path) -> Iterator[Path]:
    """A file, or the files directly inside a folder."""
    if path.is_dir():
        yield from (inner for inner in path.iterdir() if inner.is_file())
    elif path.exists():
        yield path


def _identity(path: Path) -> tuple[int, int]:
    """What tells files apart, whatever they are called."""
    found = path.stat()
    return found.st_dev, found.st_ino


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
