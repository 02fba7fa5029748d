"""RetouchingFFHQ++, the data set of MoFRR: five levels for each operation (ICCV 2025).

Given out on the same form as RetouchingFFHQ; nothing of it comes with this package. The layout is
the one that MoFRR's public code reads:

    ROOT/EyeEnlarging/train/2/NAME_20001.png     one operation at level 2 of 5
    ROOT/two/train/NAME_20001.png                two operations ("three", "four" likewise)

The original of a photo is the file of the five digits that end its name. How the names in "two",
"three" and "four" state the strengths is not public beyond the operations' letters w, s, f and e,
so these folders are read only with the caller's `tag`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from .faces import IMAGE_SUFFIXES
from .retouchingffhq import OPERATION_NAMES, Degrees, Sample, index_originals, join_samples

MIXED_FOLDERS = ("two", "three", "four")


def samples(
    root: Path | str,
    originals: Path | str,
    *,
    split: str = "train",
    levels: int = 5,
    tag: str | None = None,
    full_strength: float = 100.0,
    api: str = "",
    skip_incomplete: bool = False,
) -> Iterator[Sample]:
    """Photos of RetouchingFFHQ++, sorted by operation, level and name.

    Args:
        root: folder of the operations' folders; those that are not there are passed over.
        originals: folder of original photos, searched with its subfolders.
        split: name of the split's folders.
        levels: number of levels; level n is degree n / levels.
        tag: regular expression that finds each operation in a name by its groups `strength` and
            `letter`, for instance "(?P<strength>[0-9]+)(?P<letter>[wsfe])".
        full_strength: the tagged strength that counts as degree 1.
        api: recorded in the samples; this layout does not tell.
        skip_incomplete: leave out photos whose original or strength is missing, and log how many.

    Raises:
        ValueError: for a root without any of these folders, or an incomplete photo.
    """
    root, sources = Path(root), index_originals(Path(originals))
    single = [(name, root / theirs / split) for name, theirs in OPERATION_NAMES.items()]
    mixed = [root / name / split for name in MIXED_FOLDERS if tag is not None]
    if not any(folder.is_dir() for folder in [*mixed, *(folder for _, folder in single)]):
        raise ValueError(
            f"{root} holds none of {', '.join(OPERATION_NAMES.values())} with a folder {split!r}."
        )
    for operation, folder in single:
        for level in range(1, levels + 1):
            degrees = tuple(level / levels * (name == operation) for name in OPERATION_NAMES)
            photos = _images(folder / str(level))
            yield from join_samples(photos, sources, lambda _, d=degrees: d, api, skip_incomplete)
    for folder in mixed:
        find = _tag_reader(tag or "", full_strength)
        yield from join_samples(_images(folder), sources, find, api, skip_incomplete)


def _images(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.glob("*")) if path.suffix.lower() in IMAGE_SUFFIXES)


def _tag_reader(tag: str, full_strength: float) -> Callable[[Path], Degrees | None]:
    """Degrees of a photo by the tags in its name."""
    letters = dict(zip("wsfe", OPERATION_NAMES, strict=True))

    def find(path: Path) -> Degrees | None:
        found = {letters[m["letter"]]: float(m["strength"]) for m in re.finditer(tag, path.stem)}
        if not found:
            return None
        return tuple(found.get(name, 0) / full_strength for name in OPERATION_NAMES)

    return find
