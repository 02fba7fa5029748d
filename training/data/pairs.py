"""Pairs of photos on disk: the original, and the same photo retouched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ...pipelines.photos.files import open_picture
from .faces import list_images, open_rgb, to_signed


class Pair(NamedTuple):
    """One photo before and after retouching; the default collation stacks each field.

    Attributes:
        original: 3 H W float32 in [-1, 1].
        retouched: 3 H W float32 in [-1, 1].
        degrees: K degrees in [0, 1], 0 where an operation was not applied, NaN where unknown.
        name: file name of the retouched photo.
    """

    original: Tensor
    retouched: Tensor
    degrees: Tensor
    name: str


class PairFolders(Dataset):
    """Two folders with the same photos, before and after retouching.

    Files belong together when their names agree up to the ending (`ann.png` and `ann.jpg`).
    Nothing tells what was done, so every degree is NaN.

    Args:
        originals: folder of photos before retouching.
        retouched: folder of the same photos after retouching.
        size: side in pixels of what is returned; photos must be square, and the two of a pair may
            then differ in size. None: as they are, and the two of a pair must agree in size.
        operations: how many operations K the degrees have room for.

    Raises:
        ValueError: for a photo without its partner, two files of one name, or sizes that do not
            fit. All files are looked at, pixels are read later.
    """

    def __init__(
        self,
        originals: Path | str,
        retouched: Path | str,
        size: int | None = None,
        operations: int = 4,
    ) -> None:
        before, after = _by_stem(originals), _by_stem(retouched)
        _check_partners(before, after, originals, retouched)
        self.size = size
        self.operations = operations
        self.paths = [(before[stem], after[stem]) for stem in sorted(before)]
        for pair in self.paths:
            _check_sizes(*pair, size)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Pair:
        original, retouched = self.paths[index]
        degrees = torch.full((self.operations,), torch.nan)
        return load_pair(original, retouched, degrees, self.size)


def load_pair(
    original: Path, retouched: Path, degrees: Tensor | Sequence[float], size: int | None = None
) -> Pair:
    """Read both photos of a pair, resized to `size` x `size` unless it is None.

    Raises:
        ValueError: for an unreadable file, a photo that is not square when `size` is given, or two
            photos of different sizes when it is not.
    """
    before, after = open_rgb(original), open_rgb(retouched)
    _check_pair(original, before.size, retouched, after.size, size)
    return Pair(
        _pixels(before, size),
        _pixels(after, size),
        torch.as_tensor(degrees, dtype=torch.float32),
        retouched.name,
    )


def _pixels(picture: Image.Image, size: int | None) -> Tensor:
    """3 H W float32 in [-1, 1]."""
    if size is not None and picture.width != size:
        picture = picture.resize((size, size), Image.Resampling.LANCZOS)
    return to_signed(torch.from_numpy(np.array(picture)).permute(2, 0, 1))


def _by_stem(folder: Path | str) -> dict[str, Path]:
    """The images of a folder by name without ending."""
    files: dict[str, Path] = {}
    for path in list_images(folder):
        if path.stem in files:
            raise ValueError(
                f"{files[path.stem]} and {path.name} have one name: which of the two belongs to "
                "the pair? Remove one."
            )
        files[path.stem] = path
    return files


def _check_partners(
    before: dict[str, Path], after: dict[str, Path], originals: Path | str, retouched: Path | str
) -> None:
    problems = []
    for files, others, folder in ((before, after, retouched), (after, before, originals)):
        alone = [files[stem].name for stem in files if stem not in others]
        if alone:
            shown = ", ".join(alone[:3]) + (", ..." if len(alone) > 3 else "")
            problems.append(f"{folder} lacks the partners of {len(alone)} photos ({shown})")
    if problems:
        raise ValueError("; ".join(problems) + ": each photo must be in both folders.")


def _check_sizes(original: Path, retouched: Path, size: int | None) -> None:
    """Compare the sizes of two files without reading their pixels."""
    sizes = []
    for path in (original, retouched):
        try:
            with open_picture(path) as picture:
                turned = picture.getexif().get(0x0112, 1) >= 5  # the tag Orientation
                sizes.append(picture.size[::-1] if turned else picture.size)
        except (OSError, SyntaxError, ValueError) as error:
            raise ValueError(f"{path} cannot be read as an image: {error}.") from error
    _check_pair(original, sizes[0], retouched, sizes[1], size)


def _check_pair(
    original: Path,
    before: tuple[int, int],
    retouched: Path,
    after: tuple[int, int],
    size: int | None,
) -> None:
    if size is None and before != after:
        raise ValueError(
            f"{original} is {before[0]} x {before[1]} pixels and {retouched} {after[0]} x "
            f"{after[1]}: the photos of a pair must agree, or be square and read at a given size."
        )
    for path, (width, height) in ((original, before), (retouched, after)):
        if size is not None and width != height:
            raise ValueError(
                f"{path} is {width} x {height} pixels; photos must be square to be read at "
                f"{size} x {size}: crop or align it."
            )
