"""Pictures of what cannot be seen directly: residuals, flow fields, errors, labelled panels."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

LABEL_HEIGHT = 24
GAP = 4
MAP_WHITE = 0.25  # of a blemish map, on the scale of [-1, 1], what is shown white


def to_tensor(picture: Image.Image) -> Tensor:
    """Return an 8-bit picture as 1 3 H W float32 in [-1, 1]; an alpha channel is left out."""
    pixels = torch.from_numpy(np.array(picture.convert("RGB")))
    return pixels.permute(2, 0, 1)[None].to(torch.float32) / 127.5 - 1


def to_picture(image: Tensor) -> Image.Image:
    """Return a 3 H W image in [-1, 1] as an 8-bit picture; values outside are clipped."""
    levels = (image.detach().float().clamp(-1, 1) + 1) * 127.5
    return Image.fromarray(levels.round().byte().permute(1, 2, 0).cpu().numpy())


def residual_picture(residual: Tensor, gain: float = 4.0) -> Image.Image:
    """Show a 3 H W residual around mid-grey, `gain` times amplified."""
    return to_picture(residual * gain)


def flow_picture(flow: Tensor, longest: float | None = None) -> Image.Image:
    """Colour a flow field: hue is the direction, brightness the length.

    Args:
        flow: 2 H W in pixels, x first.
        longest: length in pixels that is shown brightest; None takes the field's own maximum.

    Returns:
        A picture, black where nothing moves.
    """
    horizontal, vertical = flow.detach().float().cpu().numpy()
    length = np.hypot(horizontal, vertical)
    brightest = max(longest or float(length.max()), 1e-6)
    hue = (np.arctan2(vertical, horizontal) / (2 * np.pi)) % 1.0
    value = np.clip(length / brightest, 0, 1)
    bands = [(band * 255).round().astype(np.uint8) for band in (hue, np.ones_like(hue), value)]
    return Image.merge("HSV", [Image.fromarray(band) for band in bands]).convert("RGB")


def map_picture(blemishes: Tensor, white: float = MAP_WHITE) -> Image.Image:
    """Show a blemish map H W in grey: black 0, white where it is `white` or more."""
    return to_picture((blemishes[None] * (2 / white) - 1).expand(3, -1, -1))


def error_picture(result: Image.Image, truth: Image.Image, white: float = 32.0) -> Image.Image:
    """Map the mean absolute difference of two pictures from black over red and yellow to white.

    Args:
        result: 8-bit picture.
        truth: 8-bit picture of the same size.
        white: difference in grey levels (of 255) that is shown white.

    Raises:
        ValueError: the sizes differ.
    """
    if result.size != truth.size:
        raise ValueError(f"expected pictures of one size, got {result.size} and {truth.size}")
    first, second = (np.asarray(p.convert("RGB"), dtype=np.float32) for p in (result, truth))
    heat = np.abs(first - second).mean(axis=-1) * (3 / white)
    ramp = np.clip(np.stack([heat, heat - 1, heat - 2], axis=-1), 0, 1)
    return Image.fromarray((ramp * 255).round().astype(np.uint8))


def panel(labelled: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    """Set pictures side by side, each under its label, at the height of the first."""
    height = labelled[0][1].height
    pictures = [_at_height(picture.convert("RGB"), height) for _, picture in labelled]
    width = sum(picture.width for picture in pictures) + GAP * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, height + LABEL_HEIGHT), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)

    left = 0
    for (label, _), picture in zip(labelled, pictures, strict=True):
        middle = (left + picture.width // 2, LABEL_HEIGHT // 2)
        pen.text(middle, label, fill="black", font=font, anchor="mm")
        sheet.paste(picture, (left, LABEL_HEIGHT))
        left += picture.width + GAP
    return sheet


def stacked(rows: Sequence[Image.Image]) -> Image.Image:
    """Set pictures below each other, from the left."""
    size = max(row.width for row in rows), sum(row.height for row in rows)
    sheet = Image.new("RGB", size, "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _at_height(picture: Image.Image, height: int) -> Image.Image:
    if picture.height == height:
        return picture
    width = max(1, round(picture.width * height / picture.height))
    return picture.resize((width, height), Image.Resampling.LANCZOS)
