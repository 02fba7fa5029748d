"""Picture files from anywhere: opened only where they are files, and by decoders that only read."""

import stat
from pathlib import Path

from PIL import Image

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
    Image.init()
    return Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
