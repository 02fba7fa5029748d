"""Pictures as a page holds them: data URLs in, data URLs out; nothing goes through a file."""

from __future__ import annotations

import base64
import binascii
import io

from PIL import Image

from ..pipelines.photos.files import open_photo

MAX_BYTES = 12 * 2**20
"""Of a photo's file."""
MAX_PIXELS = 12_600_000
"""Of a photo: what cameras call 12 megapixels."""
SHOWN = 1024
"""Longer side in pixels of what the page shows; the result itself keeps the photo's size."""


def read_photo(data: object, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The photo in a data URL, upright, RGB or RGBA.

    Raises:
        ValueError: there is none, it is too large, or no picture; the message is for a person.
    """
    if not isinstance(data, str) or not data:
        raise ValueError("Choose a photo first.")
    head, comma, text = data.partition(",")
    if not (head.startswith("data:") and head.endswith(";base64") and comma):
        raise ValueError("Expected the photo as a data URL: data:image/png;base64,...")
    if len(text) * 3 // 4 > MAX_BYTES:
        raise ValueError(f"The file is too large: expected at most {MAX_BYTES // 2**20} MB.")
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("The data URL is damaged: it is not base64.") from None
    try:
        return open_photo(io.BytesIO(content), max_pixels)
    except ValueError as error:
        raise ValueError(f"The file {error}.") from None


def as_png(picture: Image.Image) -> str:
    """The picture as it is, as a data URL."""
    return _data_url(picture, "png", compress_level=4)


def as_shown(picture: Image.Image) -> str:
    """The picture for the page: at most `SHOWN` pixels long, on white, as a data URL."""
    small = picture.copy()
    small.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS)
    if small.mode == "RGBA":
        ground = Image.new("RGB", small.size, "white")
        ground.paste(small, mask=small.getchannel("A"))
        small = ground
    return _data_url(small.convert("RGB"), "jpeg", quality=95, subsampling=0)


def _data_url(picture: Image.Image, kind: str, **settings: int) -> str:
    stream = io.BytesIO()
    picture.save(stream, kind, **settings)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
