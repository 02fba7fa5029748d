"""What happens to a photo's file after it was retouched: saved, sent, resized, shot from a screen.

An app saves the picture, a messenger reduces and recompresses it, somebody takes a screenshot of
that: each of these is a `Save`, and their order is a `Journey`. The blocks of each JPEG are those
of its own size, so they rarely lie where the blocks of the next one do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

KERNELS = {
    "area": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "subsampled": None,  # plain bilinear that skips pixels, as mobile decoders do
}
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
LONGEST = 3  # saves of a journey at most


class Save(NamedTuple):
    """One step of a file: resized, sharpened, cut, encoded and decoded.

    Attributes:
        side: side in pixels of what is written, or None to keep the size.
        kernel: how it is resized, one of `KERNELS`.
        sharpening: amount of unsharp masking after the resize, 0 = none.
        quality: JPEG quality 1 to 100, or None for a lossless file.
        subsampling: chroma subsampling of the JPEG.
        offset: pixels cut off at the left and the top before encoding (and put back by repeating
            the border), which moves the JPEG's blocks.
    """

    side: int | None = None
    kernel: str = "bicubic"
    sharpening: float = 0.0
    quality: int | None = None
    subsampling: str = "4:2:0"
    offset: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Journey:
    """The saves of a file, first to last.

    Raises:
        ValueError: for an unknown kernel or subsampling, a quality outside 1 to 100, a side below
            8 pixels, or an offset outside 0 to 7.
    """

    saves: tuple[Save, ...] = ()

    def __post_init__(self) -> None:
        for save in self.saves:
            if save.kernel not in KERNELS or save.subsampling not in SUBSAMPLINGS:
                raise ValueError(
                    f"Expected a kernel among {tuple(KERNELS)} and a subsampling among "
                    f"{SUBSAMPLINGS}, got {save.kernel!r} and {save.subsampling!r}."
                )
            if save.quality is not None and not 1 <= save.quality <= 100:
                raise ValueError(f"Expected a JPEG quality of 1 to 100, got {save.quality}.")
            if save.side is not None and save.side < 8:
                raise ValueError(f"Expected a side of at least 8 pixels, got {save.side}.")
            if not all(0 <= pixels <= 7 for pixels in save.offset):
                raise ValueError(f"Expected an offset of 0 to 7 pixels, got {save.offset}.")

    def recompressed(self, change: int) -> Journey:
        """The same journey with every JPEG quality changed by `change`, within 40 to 100."""
        saves = (
            save
            if save.quality is None
            else save._replace(quality=int(np.clip(save.quality + change, 40, 100)))
            for save in self.saves
        )
        return Journey(tuple(saves))


def sample_journey(rng: np.random.Generator, side: int, least: int = 180) -> Journey:
    """Draw what happens to a square photo of `side` pixels: one to three saves.

    The app saves at its own size (JPEG 85 to 100, or lossless in a fifth of the cases); what
    follows resizes to no less than `least` pixels and compresses by 50 to 95, now and then to 40.
    """
    offset = tuple(int(n) for n in rng.integers(0, 8, size=2))
    quality = None if rng.random() < 0.2 else int(rng.integers(85, 101))
    subsampling = SUBSAMPLINGS[0] if rng.random() < 0.35 else SUBSAMPLINGS[2]
    saves = [Save(quality=quality, subsampling=subsampling, offset=(offset[0], offset[1]))]
    for _ in range(int(rng.choice(LONGEST, p=(0.4, 0.4, 0.2)))):
        save = _sample_sending(rng, side, least)
        side = save.side or side
        saves.append(save)
    return Journey(tuple(saves))


def _sample_sending(rng: np.random.Generator, side: int, least: int) -> Save:
    """A messenger, a web site or a screenshot: perhaps resized, then perhaps compressed."""
    target = None
    if rng.random() < 0.7:
        share = float(np.exp(rng.uniform(np.log(0.45), np.log(1.25))))
        target = max(round(side * share), min(least, side))
    kernel = list(KERNELS)[rng.choice(len(KERNELS), p=(0.15, 0.25, 0.3, 0.2, 0.1))]
    sharpening = float(rng.uniform(0.1, 0.8)) if rng.random() < 0.2 else 0.0
    quality = int(np.clip(rng.normal(78, 11), 40, 97)) if rng.random() < 0.85 else None
    subsampling = SUBSAMPLINGS[rng.choice(3, p=(0.15, 0.1, 0.75))]
    offset = tuple(int(n) for n in rng.integers(0, 8, size=2))
    return Save(target, kernel, sharpening, quality, subsampling, (offset[0], offset[1]))


def travel(images: Tensor, journeys: Sequence[Journey]) -> Tensor:
    """Send each photo on its journey; all must end at one size.

    Args:
        images: B 3 S S in [-1, 1], RGB, on any device.
        journeys: one per photo.

    Returns:
        B 3 T T in [-1, 1] on the levels of 8-bit files, T the last side of the journeys.

    Raises:
        ValueError: if photos and journeys differ in number, or the results in size.
    """
    if len(journeys) != len(images):
        raise ValueError(f"Expected one journey per photo, got {len(journeys)} for {len(images)}.")
    arrays = [_send(_to_picture(image), each) for image, each in zip(images, journeys, strict=True)]
    if len({array.shape for array in arrays}) > 1:
        raise ValueError("Journeys of one batch must end at one size.")
    levels = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()
    return (levels.to(images.dtype) / 127.5 - 1).to(images.device)


def _to_picture(image: Tensor) -> Image.Image:
    levels = ((image.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())


def _send(picture: Image.Image, journey: Journey) -> np.ndarray:
    for save in journey.saves:
        picture = _write(_resize(picture, save), save)
    return np.asarray(picture)


def _resize(picture: Image.Image, save: Save) -> Image.Image:
    if save.side is not None and save.side != picture.width:
        size = (save.side, save.side)
        kernel = KERNELS[save.kernel]
        if kernel is None:
            step = picture.width / save.side
            picture = picture.transform(
                size, Image.Transform.AFFINE, (step, 0, 0, 0, step, 0), Image.Resampling.BILINEAR
            )
        else:
            picture = picture.resize(size, kernel)
    if save.sharpening:
        mask = ImageFilter.UnsharpMask(
            radius=1.0, percent=round(100 * save.sharpening), threshold=0
        )
        picture = picture.filter(mask)
    return picture


def _write(picture: Image.Image, save: Save) -> Image.Image:
    """Encode and decode, the JPEG's blocks moved by the save's offset."""
    if save.quality is None:
        return picture
    left, top = save.offset
    width, height = picture.size
    file = BytesIO()
    picture.crop((left, top, width, height)).save(
        file, format="JPEG", quality=save.quality, subsampling=save.subsampling
    )
    with Image.open(file) as decoded:
        array = np.asarray(decoded.convert("RGB"))
    if left or top:
        array = np.pad(array, ((top, 0), (left, 0), (0, 0)), mode="edge")
    return Image.fromarray(array)
