"""RetouchingFFHQ: FFHQ faces retouched by commercial APIs (arXiv 2307.10642).

The data are given out by their authors on a signed form; nothing of them comes with this package.
The layout below is the one that the authors' public code reads:

    ROOT/FFHQ/00000/00000.png                       originals, one folder per 1000 faces
    ROOT/FFHQ_process/EyeEnlarging_30/00000/...     one operation, its strength in the folder's name
    ROOT/FFHQ_dual_process/Whitening_Smoothing/20000/...   several; strengths in a text file:
    ROOT/FFHQ_dual_process/dual_process.txt
        {'Whitening': 90, 'Smoothing': 30}<tab>.../FFHQ_dual_process/Whitening_Smoothing/20000/...

Of a line's path only the last three parts count (combination, folder of 1000, file). An image is
named after its original's five digits, perhaps with something before them (`1_20001.png`). A
strength of 0 means that the operation was not applied; the authors' own code takes Tencent's
smoothing only as on or off. Options: where the originals lie (FFHQ has its own source), and the
strength that counts as degree 1 (100; the levels are 30, 60 and 90).
"""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch.utils.data import Dataset

from .faces import IMAGE_SUFFIXES
from .pairs import Pair, load_pair

logger = logging.getLogger(__name__)

OPERATION_NAMES = {
    "whitening": "Whitening",
    "smoothing": "Smoothing",
    "face_slimming": "FaceLifting",
    "eye_enlarging": "EyeEnlarging",
}
"""What the data set calls our operations."""

FOLDERS: Mapping[str, Mapping[str, str]] = {
    "tencent": {
        "single": "FFHQ_process",
        "dual": "FFHQ_dual_process",
        "three": "FFHQ_three_process",
        "four": "FFHQ_four_process",
    },
    "megvii": {
        "single": "FFHQ_megvii_process",
        "dual": "FFHQ_megvii_dual_process",
        "three": "FFHQ_megvii_three_process",
        "four": "FFHQ_megvii_four_process",
    },
    "alibaba": {"single": "FFHQ_ali_process"},
}
"""Folder of each API and number of operations."""

GROUPS = {"single": (0, 20), "dual": (20, 40), "three": (40, 60), "four": (60, 70)}
"""First and last (excluded) folder of 1000 faces that each number of operations was applied to."""

SPLITS = ("train", "val", "test", "all")


Degrees = tuple[float, ...]


@dataclass(frozen=True)
class Sample:
    """One retouched photo.

    Attributes:
        original: file of the photo before retouching.
        retouched: file of the photo after; the same file for an untouched face.
        degrees: one in [0, 1] for each of our operations, in our order; 0 = not applied.
        api: "tencent", "megvii", "alibaba", ...; "" for an untouched face.
    """

    original: Path
    retouched: Path
    degrees: Degrees
    api: str


class RetouchingFFHQ(Dataset):
    """Samples as pairs of tensors of one size.

    Args:
        samples: what `samples` or `retouchingffhq_plus.samples` yields, as a list.
        size: side in pixels; APIs return photos of 512 or 1024.
    """

    def __init__(self, samples: Sequence[Sample], size: int = 256) -> None:
        self.samples = samples
        self.size = size

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Pair:
        sample = self.samples[index]
        return load_pair(sample.original, sample.retouched, sample.degrees, self.size)


def split_of(thousand: int) -> str:
    """The split of a folder of 1000 faces: 80 / 10 / 10 % of the folders of its group.

    The originals are split the same way, so that no face stands in two splits.

    Args:
        thousand: 0 for the folder 00000, 20 for 20000.

    Raises:
        ValueError: for a folder that no group has.
    """
    for first, end in GROUPS.values():
        if first <= thousand < end:
            share = (thousand - first) / (end - first)
            return "train" if share < 0.8 else "val" if share < 0.9 else "test"
    raise ValueError(
        f"Folder {thousand * 1000:05d} belongs to no group of RetouchingFFHQ; these end at "
        f"{max(end for _, end in GROUPS.values()) * 1000 - 1000:05d}."
    )


def samples(
    root: Path | str,
    *,
    apis: Collection[str] = ("tencent", "megvii"),
    groups: Collection[str] = tuple(GROUPS),
    split: str = "train",
    originals: Path | str | None = None,
    excluded: Collection[str] = (),
    untouched: bool = False,
    full_strength: float = 100.0,
    skip_incomplete: bool = False,
) -> Iterator[Sample]:
    """Photos of RetouchingFFHQ, sorted by API, number of operations, folder and name.

    Args:
        root: folder that holds the folders of `FOLDERS`.
        apis: keys of `FOLDERS`. The authors use all of Alibaba as an unknown vendor: ask for it by
            itself with split="all" (its faces, 17000 to 19999, are in no training split).
        groups: keys of `GROUPS`; those that an API does not have are passed over.
        split: "train", "val", "test" (see `split_of`) or "all".
        originals: folder of original FFHQ photos, searched with its subfolders; None: ROOT/FFHQ.
        excluded: five-digit numbers to leave out, see `read_excluded`.
        untouched: also yield the originals of the split, as samples with every degree 0.
        full_strength: the strength that counts as degree 1.
        skip_incomplete: leave out photos whose original or strength is missing, and log how many.

    Raises:
        ValueError: for an unknown API, group or split, a missing folder, a text file of another
            form, or an incomplete photo.
    """
    _check_choice("API", apis, FOLDERS)
    _check_choice("group", groups, GROUPS)
    _check_choice("split", [split], SPLITS)
    sources = index_originals(Path(root) / "FFHQ" if originals is None else Path(originals))
    for api in apis:
        for group in (group for group in groups if group in FOLDERS[api]):
            folder = Path(root) / FOLDERS[api][group]
            strengths = _read_strengths(folder)
            photos = _photos(folder, split, excluded)
            find = _strength_finder(strengths, full_strength)
            yield from join_samples(photos, sources, find, api, skip_incomplete)
    if untouched:
        nothing = (0.0,) * len(OPERATION_NAMES)
        for number, path in sorted(sources.items()):
            if number not in excluded and _in_split(number, split):
                yield Sample(path, path, nothing, "")


def read_excluded(folder: Path | str) -> frozenset[str]:
    """Numbers of faces to leave out: the lines of all text files of a folder.

    The data set's own lists name closed eyes, sunglasses and children.
    """
    files = sorted(Path(folder).glob("*.txt"))
    if not files:
        raise ValueError(f"{folder} holds no text file with numbers of faces to leave out.")
    return frozenset(
        line.strip() for file in files for line in file.read_text().splitlines() if line.strip()
    )


def join_samples(
    photos: Iterator[Path],
    sources: Mapping[str, Path],
    degrees_of: Callable[[Path], Degrees | None],
    api: str,
    skip_incomplete: bool,
) -> Iterator[Sample]:
    """Bring photos together with their originals and degrees.

    Args:
        photos: files of retouched photos.
        sources: five digits -> file of the original, see `index_originals`.
        degrees_of: file -> degrees, None where they are not known.
        api: recorded in the samples.
        skip_incomplete: leave out photos without original or degrees, and log how many.

    Raises:
        ValueError: for such a photo otherwise.
    """
    skipped = 0
    for path in photos:
        original, degrees = sources.get(face_number(path) or ""), degrees_of(path)
        if original is not None and degrees is not None:
            yield Sample(original, path, degrees, api)
            continue
        if not skip_incomplete:
            lack = "its original" if original is None else "a record of its strengths"
            raise ValueError(f"{path} lacks {lack}; add it, or pass skip_incomplete=True.")
        skipped += 1
    if skipped:
        logger.warning("%d photos of %s left out: no original or no strengths", skipped, api)


def _photos(folder: Path, split: str, excluded: Collection[str]) -> Iterator[Path]:
    """Images of FOLDER/<combination>/<thousand>/ that belong to the split."""
    for path in sorted(folder.glob("*/[0-9][0-9][0-9][0-9][0-9]/*")):
        number = face_number(path) if path.suffix.lower() in IMAGE_SUFFIXES else None
        if number is not None and number not in excluded and _in_split(number, split):
            yield path


def index_originals(folder: Path) -> dict[str, Path]:
    """Original photos of a folder and its subfolders, by the five digits of their names.

    Raises:
        ValueError: when there are none.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES and re.fullmatch(r"\d{5}", path.stem):
            found[path.stem] = path
    if not found:
        raise ValueError(f"{folder} holds no original photos named by five digits (00000.png).")
    return found


def face_number(path: Path) -> str | None:
    """The five digits that end a file's name before its ending, None without them."""
    match = re.search(r"(?<!\d)\d{5}$", path.stem)
    return match and match.group()


def _in_split(number: str, split: str) -> bool:
    return split == "all" or split_of(int(number) // 1000) == split


def _read_strengths(folder: Path) -> dict[tuple[str, ...], dict[str, float]]:
    """(combination, thousand, file) -> strengths, from the text files in and below a folder."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not there: name only the APIs and groups that you have.")
    strengths = {}
    for file in sorted(folder.rglob("*_process.txt")):
        for index, line in enumerate(file.read_text().splitlines(), start=1):
            if line.strip():
                key, values = _read_line(line, f"{file}, line {index}")
                strengths[key] = values
    return strengths


def _read_line(line: str, where: str) -> tuple[tuple[str, ...], dict[str, float]]:
    try:
        words, path = line.split("\t")
        values = {str(name): float(strength) for name, strength in ast.literal_eval(words).items()}
    except (ValueError, SyntaxError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{where}: expected {{'Whitening': 90, ...}}, a tab and a path, got {line!r}."
        ) from error
    _check_choice(f"{where}: operation", values, OPERATION_NAMES.values())
    return tuple(path.strip().replace("\\", "/").split("/")[-3:]), values


def _strength_finder(
    strengths: Mapping[tuple[str, ...], Mapping[str, float]], full_strength: float
) -> Callable[[Path], Degrees | None]:
    """Degrees of a photo by the text files, else by its folder's name (`EyeEnlarging_30`)."""

    def find(path: Path) -> Degrees | None:
        values = strengths.get(path.parts[-3:])
        if values is None:
            named = re.fullmatch(r"([A-Za-z]+)_?(\d+)", path.parts[-3])
            if named is None or named.group(1) not in OPERATION_NAMES.values():
                return None
            values = {named.group(1): float(named.group(2))}
        return tuple(values.get(theirs, 0) / full_strength for theirs in OPERATION_NAMES.values())

    return find


def _check_choice(what: str, chosen: Collection[str], known: Collection[str]) -> None:
    if unknown := [each for each in chosen if each not in known]:
        raise ValueError(f"Unknown {what} {unknown[0]!r}; known: {', '.join(known)}.")
