"""FFHQR's layout: FFHQ's photos and the same photos retouched by professionals, by number.

FFHQR (Shafaei et al., WACV 2021) is CC BY-NC-SA 4.0 on top of FFHQ (the same licence): weights
trained on it should carry it too. Nothing is downloaded.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.utils.data import Dataset

from .faces import IMAGE_SUFFIXES
from .pairs import Pair, load_pair

SPLITS = {"train": (0, 56_000), "val": (56_000, 63_000), "test": (63_000, 70_000)}
"""First number of each official split, and the first after it."""


class FFHQR(Dataset):
    """Pairs of FFHQ and FFHQR: `original` has the blemishes, `retouched` has none.

    Files are found by their number (`00042.png`), directly in the folders or in subfolders of
    thousands (`00000/00042.png`), in any image format. Photos of the split that only one of the
    folders has are left out, since both sets are often kept in part.

    Args:
        originals: FFHQ's folder, such as `images1024x1024`.
        retouched: FFHQR's folder.
        split: "train", "val", "test" or "all".
        size: side in pixels of what is returned; None: as they are.

    Raises:
        ValueError: an unknown split, two files of one number, or no pair.
    """

    def __init__(
        self,
        originals: Path | str,
        retouched: Path | str,
        split: str = "train",
        size: int | None = None,
    ) -> None:
        if split != "all" and split not in SPLITS:
            raise ValueError(f"split is {split!r}; expected one of {(*SPLITS, 'all')}")
        first, end = SPLITS.get(split, (0, 70_000))
        before, after = _by_number(Path(originals)), _by_number(Path(retouched))
        self.numbers = sorted(n for n in before.keys() & after.keys() if first <= n < end)
        if not self.numbers:
            raise ValueError(
                f"{originals} ({len(before)} photos) and {retouched} ({len(after)}) share no photo "
                f"of the split {split!r}; file names must be numbers such as 00042.png"
            )
        self.paths = [(before[number], after[number]) for number in self.numbers]
        self.size = size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Pair:
        return load_pair(*self.paths[index], torch.full((4,), torch.nan), self.size)


def _by_number(folder: Path) -> dict[int, Path]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: name a folder of numbered photos.")
    files: dict[int, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in IMAGE_SUFFIXES or not path.stem.isdecimal():
            continue
        if int(path.stem) in files:
            raise ValueError(f"{files[int(path.stem)]} and {path} have one number; remove one.")
        files[int(path.stem)] = path
    return files
