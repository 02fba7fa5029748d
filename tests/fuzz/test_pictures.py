"""Damaged picture files: a whole picture, or one line that says why not; never anything else."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from frr.commands.photos import open_photo

KINDS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "TGA", "ICO")
MODES = ("RGB", "RGBA", "L", "P", "I;16", "1", "CMYK", "LA")


def encoded(kind: str, mode: str, width: int, height: int) -> bytes:
    rng = np.random.default_rng(width * 31 + height)
    levels = rng.integers(0, 256, (height, width, 4), dtype=np.uint8)
    picture = Image.fromarray(levels)
    picture = (
        Image.fromarray(levels[..., 0].astype(np.uint16))
        if mode == "I;16"
        else picture.convert(mode)
    )
    buffer = io.BytesIO()
    try:
        picture.save(buffer, kind)
    except (OSError, KeyError, ValueError):
        buffer = io.BytesIO()
        picture.convert("RGB").save(buffer, kind)
    return buffer.getvalue()


@st.composite
def spoilt(draw, whole: bytes) -> bytes:
    """Some bytes changed, inserted, left out or repeated."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(content)))
        way = draw(st.sampled_from(("change", "insert", "cut", "drop", "repeat")))
        some = draw(st.binary(min_size=1, max_size=8))
        if way == "change":
            content[at : at + len(some)] = some
        elif way == "insert":
            content[at:at] = some
        elif way == "cut":
            del content[at:]
        elif way == "drop":
            del content[at : at + draw(st.integers(1, 64))]
        else:
            content[at:at] = content[at : at + 64]
    return bytes(content)


@st.composite
def files(draw) -> tuple[str, bytes]:
    if draw(st.integers(0, 9)) == 0:
        return "any", draw(st.binary(max_size=200))
    kind, mode = draw(st.sampled_from(KINDS)), draw(st.sampled_from(MODES))
    whole = encoded(kind, mode, draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    return kind, draw(spoilt(whole))


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("pictures") / "one.png"


@given(file=files())
def test_picture_files(file, place, tried):
    tried()
    place.write_bytes(file[1])
    try:
        picture = open_photo(place)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert picture.mode in ("RGB", "RGBA") and 0 not in picture.size
        assert np.asarray(picture).shape[:2] == picture.size[::-1]
    assert place.read_bytes() == file[1]
