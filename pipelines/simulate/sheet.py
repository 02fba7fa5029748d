"""Contact sheets: one face under every algorithm of the bank, at five degrees."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from . import bank
from .recipe import VARIATIONS, Recipe, Step
from .simulator import retouch

DEGREES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Degrees of the columns, from left to right."""
_BAND = 20  # height of a line of text in pixels
_PAPER, _INK, _HELD_OUT_INK = "white", "black", "firebrick"


def contact_sheet(
    image: Tensor,
    landmarks: Tensor | None = None,
    operation: str | None = None,
    *,
    variation: Sequence[float] = (0.5,) * VARIATIONS,
) -> Image.Image:
    """Draws rows of algorithms and columns of degrees; held-out algorithms are marked in red.

    Args:
        image: 3 H W in [-1, 1], RGB.
        landmarks: 478 2 in shares of width and height; None: the mean face of aligned crops.
        operation: Whose algorithms to show; None shows those of every operation.
        variation: The numbers in [0, 1] that fix the free choices inside the algorithms.

    Returns:
        A picture of 5 W pixels in width; each row is H plus a line of text high.

    Raises:
        ValueError: For an image of another shape, or an unknown operation.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"Expected one image of shape 3 H W, got {tuple(image.shape)}.")
    operations = tuple(bank.ALGORITHMS) if operation is None else (operation,)
    rows = [(name, algorithm) for name in operations for algorithm in bank.algorithms(name)]

    height, width = image.shape[-2:]
    sheet = Image.new("RGB", (width * len(DEGREES), (height + _BAND) * len(rows)), _PAPER)
    for index, (name, algorithm) in enumerate(rows):
        top = index * (height + _BAND)
        _write_labels(sheet, top, width, name, algorithm)
        for column, picture in enumerate(_row(image, landmarks, name, algorithm, variation)):
            sheet.paste(_to_pil(picture), (column * width, top + _BAND))
    return sheet


def _row(
    image: Tensor,
    landmarks: Tensor | None,
    operation: str,
    algorithm: str,
    variation: Sequence[float],
) -> Tensor:
    """The image at each of `DEGREES`: 5 3 H W."""
    recipes = [Recipe((Step(operation, algorithm, d, tuple(variation)),)) for d in DEGREES]
    points = None if landmarks is None else landmarks.expand(len(recipes), -1, -1)
    images = image.expand(len(recipes), -1, -1, -1)
    return retouch(images, recipes, points, (operation,)).image


def _write_labels(sheet: Image.Image, top: int, width: int, operation: str, algorithm: str) -> None:
    held_out = algorithm in bank.unseen(operation)
    texts = [f"{degree:g}" for degree in DEGREES]
    texts[0] = f"{algorithm}{' (held out)' if held_out else ''}: {texts[0]}"
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_BAND * 0.6)
    for column, text in enumerate(texts):
        ink = _HELD_OUT_INK if held_out else _INK
        draw.text((column * width + 4, top + _BAND * 0.15), text, fill=ink, font=font)


def _to_pil(image: Tensor) -> Image.Image:
    pixels = ((image.cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())
