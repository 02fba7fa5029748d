"""Skin found by fixed thresholds on colour, pixel by pixel, as the simpler beauty engines do it.

Such rules leak into wood, walls and fair hair and have holes in highlights; their masks are hard.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .colour import rgb_to_ycbcr
from .landmarks import FaceRegions


def _largest(rgb: Tensor) -> Tensor:
    red, green, blue = rgb.unbind(1)
    return torch.maximum(torch.maximum(red, green), blue)


def _least(rgb: Tensor) -> Tensor:
    red, green, blue = rgb.unbind(1)
    return torch.minimum(torch.minimum(red, green), blue)


def kovac(rgb: Tensor, face: FaceRegions) -> Tensor:
    """The RGB rule for daylight of Kovac et al. (EUROCON 2003): B 3 H W in [0, 1] -> B 1 H W."""
    red, green, blue = rgb.unbind(1)
    spread = _largest(rgb) - _least(rgb)
    bright = (red > 95 / 255) & (green > 40 / 255) & (blue > 20 / 255)
    warm = (red > blue) & (red - green > 15 / 255)
    return (bright & warm & (spread > 15 / 255))[:, None].to(rgb)


def crcb_box(rgb: Tensor, face: FaceRegions) -> Tensor:
    """Cr in 133..173 and Cb in 77..127 of 255 (Chai and Ngan, 1999): B 1 H W of 0 and 1."""
    _, cb, cr = (rgb_to_ycbcr(rgb) * 255 + 128).unbind(1)
    return ((cr >= 133) & (cr <= 173) & (cb >= 77) & (cb <= 127))[:, None].to(rgb)


def hsv_rule(rgb: Tensor, face: FaceRegions) -> Tensor:
    """Hue from -20 to 50 degrees, saturation .15 to .75 and value over .31: B 1 H W of 0 and 1."""
    red, green, blue = rgb.unbind(1)
    value, least = _largest(rgb), _least(rgb)
    chroma = (value - least).clamp_min(1e-6)
    saturation = chroma / value.clamp_min(1e-6)
    sixth = (green - blue) / chroma  # hue in units of 60 degrees where red is largest
    hue = (red >= value) & (sixth > -20 / 60) & (sixth < 50 / 60)
    return (hue & (saturation > 0.15) & (saturation < 0.75) & (value > 0.31))[:, None].to(rgb)


def rectangle(rgb: Tensor, face: FaceRegions) -> Tensor:
    """A detector's box around the mesh, 4 % wider on each side: B 1 H W of 0 and 1."""
    low, high = face.points.amin(1), face.points.amax(1)
    margin = 0.04 * (high - low)
    (left, top), (right, bottom) = (low - margin).unbind(-1), (high + margin).unbind(-1)
    x = (torch.arange(face.width, device=rgb.device) + 0.5) / face.width
    y = (torch.arange(face.height, device=rgb.device) + 0.5) / face.height
    columns = (x >= left[:, None]) & (x <= right[:, None])
    rows = (y >= top[:, None]) & (y <= bottom[:, None])
    return (rows[:, None, :, None] & columns[:, None, None, :]).to(rgb)


def skin_in_rectangle(rgb: Tensor, face: FaceRegions) -> Tensor:
    """The HSV rule inside the detector's box: B 1 H W of 0 and 1."""
    return hsv_rule(rgb, face) * rectangle(rgb, face)


RULES = (kovac, crcb_box, hsv_rule, rectangle, skin_in_rectangle)
"""Every rule, (B 3 H W in [0, 1], face) -> B 1 H W of 0 and 1."""
