"""Picture files from anywhere: opened only where they are files, and by decoders that only read."""

import stat
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "QOI", "TGA"),
    *("TIFF", "WEBP"),
)
"""Formats of still pictures. Others that Pillow knows start programs (EPS) or are no pictures."""


def open_picture(path: Path) -> Image.Image:
    """A picture file, opened but not yet decoded.

    Raises:
        ValueError: it is no file (a pipe, a device or a folder would make a reader wait for ever).
        OSError: it is not there, or no picture of these formats.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path.name} is no regular file")
    return Image.open(path, formats=_known())


def open_bytes(data: bytes) -> Image.Image:
    """A picture file's bytes, opened but not yet decoded.

    Raises:
        OSError: they are no picture of these formats.
    """
    try:
        return Image.open(BytesIO(data), formats=_known())
    except UnidentifiedImageError:
        raise OSError(f"{len(data)} bytes are no picture of a known format") from None


def _known() -> list[str]:
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]
