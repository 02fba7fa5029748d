"""Picture files from anywhere: opened only where they are files, and by decoders that only read."""

import stat
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .compression import quality_of_tables
from .wording import one_line

FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "QOI", "TGA"),
    *("TIFF", "WEBP"),
)
"""Formats of still pictures. Others that Pillow knows start programs (EPS) or are no pictures."""


def open_picture(source: Path | BinaryIO) -> Image.Image:
    """A picture file, opened but not yet decoded.

    Raises:
        ValueError: it is no file (a pipe, a device or a folder would make a reader wait for ever).
        OSError: it is not there, or no picture of these formats.
    """
    if isinstance(source, Path) and not stat.S_ISREG(source.stat().st_mode):
        raise ValueError(f"{source.name} is no regular file")
    Image.init()
    return Image.open(source, formats=[name for name in FORMATS if name in Image.OPEN])


def open_photo(source: Path | BinaryIO, max_pixels: int | None = None) -> Image.Image:
    """Read a photo upright (its EXIF orientation applied), 8-bit RGB, or RGBA if it has alpha.

    Greyscale of 16 bits is reduced to 8. The colour profile stays in `info["icc_profile"]` where
    it still describes the pixels; `info["jpeg_quality"]` is that of a JPEG file's tables.

    Args:
        source: a file, or its bytes as a stream.
        max_pixels: a larger photo is refused before it is decoded; None: Pillow's own limit.

    Raises:
        ValueError: it is not a still picture that can be read, or is too large.
    """
    try:
        with open_picture(source) as picture:
            width, height = picture.size
            small = max_pixels is None or width * height <= max_pixels
            frames = 1 if picture.format == "MPO" else getattr(picture, "n_frames", 1)
            upright = _decode(picture) if small else picture
    except UnidentifiedImageError as error:
        raise ValueError("cannot be read as a picture (of no format that is known)") from error
    except Exception as error:  # Pillow's decoders raise errors of many kinds on broken files
        raise ValueError(f"cannot be read as a picture ({one_line(error)})") from error
    if not small:
        raise ValueError(f"has {width} x {height} pixels, expected at most {max_pixels} in all")
    if frames > 1:
        raise ValueError(f"holds {frames} frames, expected a still picture")
    return _eight_bit(upright)


def _decode(picture: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(picture)
    upright.load()
    if (tables := getattr(picture, "quantization", None)) is not None:
        upright.info["jpeg_quality"] = quality_of_tables(tables)
    return upright


def _eight_bit(picture: Image.Image) -> Image.Image:
    if picture.mode == "F":
        raise ValueError("holds floating-point pixels, expected 8 or 16 bits")
    if picture.mode.startswith("I"):
        levels = np.asarray(picture).astype(np.int64)
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError(f"holds grey levels {levels.min()}..{levels.max()}, expected 0..65535")
        return Image.fromarray((levels // 257).astype(np.uint8)).convert("RGB")
    if picture.mode not in ("RGB", "RGBA"):
        picture.info.pop("icc_profile", None)
    has_alpha = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    return picture.convert("RGBA" if has_alpha else "RGB")
