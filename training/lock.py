"""A lock that keeps a second trainer out of a run's folder; it ends with its process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LOCK_NAME = ".frr-lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a folder's lock; of the processes of one distributed run, the first holds it for all.

    Raises:
        ValueError: another process trains in this folder.
    """
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK_NAME).open("ab") as file:
        try:
            _lock(file)
        except OSError as error:
            raise ValueError(
                f"{folder} is being trained in by another process: wait for it, stop it, or name "
                "another folder"
            ) from error
        yield


def _lock(file: IO[bytes]) -> None:
    if os.name == "nt":
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # pyright: ignore
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
