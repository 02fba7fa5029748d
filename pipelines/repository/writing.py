"""Results are written beside their place and then renamed, so that none is ever half there."""

import errno
import itertools
import os
import platform
import re
import shutil
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HOST = zlib.crc32(platform.node().encode(errors="replace"))
UNFINISHED = re.compile(r"\.frr-(\d+)-(\d+)-(\d+)-unfinished")
REPLACED = ".frr-replaced-"  # beginning of the name of a folder while another takes its place
FULL = 2**20  # bytes that are left when writing has failed for lack of them
STRANGERS_KEEP = 86400.0  # seconds that what another computer may still be writing is left alone

_numbers = itertools.count()
_own: set[str] = set()
_cleared: set[Path] = set()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write a file or a folder to, which then takes the path's place.

    What stood there is left alone where writing fails; a link is replaced, not followed. What runs
    that died left in the folder is cleared when a process first writes to it.

    Raises:
        OSError: the folder cannot be written to, or is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with unfinished(path.parent, path.suffix[:16]) as beside:
        yield beside
        if path.is_dir() and not path.is_symlink():
            old = path.with_name(f"{REPLACED}{path.name}")
            remove(old)
            path.rename(old)
            beside.rename(path)
            remove(old)
        else:
            beside.replace(path)


@contextmanager
def unfinished(folder: Path, suffix: str = "") -> Iterator[Path]:
    """A name in a folder for what is being written, which is gone at the end.

    Raises:
        OSError: writing failed, and the disk is full.
    """
    _clear_once(folder)
    name = f".frr-{HOST}-{os.getpid()}-{next(_numbers)}-unfinished{suffix}"
    _own.add(name)
    try:
        yield folder / name
    except OSError:
        raise
    except Exception as error:  # libraries that write have their own words for a full disk
        if shutil.disk_usage(folder).free < FULL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        raise
    finally:
        remove(folder / name)
        _own.discard(name)


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def clear_unfinished(folder: Path) -> None:
    """Removes what runs that died were writing in a folder; what they were replacing comes back."""
    for path in sorted(folder.glob(".frr-*")):
        if path.name.startswith(REPLACED):
            place = path.with_name(path.name.removeprefix(REPLACED))
            with suppress(OSError):
                remove(path) if place.exists() else path.rename(place)
        elif (found := UNFINISHED.match(path.name)) and not _being_written(path, *found.groups()):
            with suppress(OSError):  # Windows keeps what is open elsewhere
                remove(path)


def _clear_once(folder: Path) -> None:
    place = folder.resolve()
    if place not in _cleared:
        _cleared.add(place)
        clear_unfinished(folder)


def _being_written(path: Path, host: str, process: str, _: str) -> bool:
    if int(host) != HOST:
        try:
            return time.time() - path.stat().st_mtime < STRANGERS_KEEP
        except OSError:
            return True
    return path.name in _own if int(process) == os.getpid() else _lives(int(process))


def _lives(process: int) -> bool:
    if os.name == "nt":  # signal 0 would end it; what it has open cannot be removed
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
