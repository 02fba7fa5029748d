"""Lip tinting, built in three different ways: the example of an operation beyond the paper's four.

Every algorithm maps (images B 3 H W in [-1, 1], degrees B, variations B 4, face) to an `Edit`.
The four variations choose, in this order: the shade, its depth, how far it spreads over the lips,
the gloss. Degree 0 returns the image to the bit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .colour import lab_to_rgb, luma, rgb_to_lab, rgb_to_ycbcr, unit
from .edit import Edit, blend
from .filters import per_sample
from .landmarks import FaceRegions

_SHADES = ((0.78, 0.22, 0.33), (0.62, 0.10, 0.16))  # rose, brick; sRGB
_LEAST_SPREAD = 0.004  # squared; lips of one colour still count as lips


def _shade(images: Tensor, variations: Tensor) -> Tensor:
    """The tint between the two shades, B 3 1 1 in sRGB."""
    rose, brick = images.new_tensor(_SHADES)
    share = variations[:, :1]
    return ((1 - share) * rose + share * brick)[:, :, None, None]


def _lips(rgb: Tensor, face: FaceRegions, variations: Tensor) -> Tensor:
    """The lips without what is unlike their colour (teeth, the open mouth), B 1 H W in [0, 1]."""
    weight = face.lips / face.lips.sum((2, 3), keepdim=True).clamp_min(1e-6)
    colours = rgb_to_ycbcr(rgb)
    departure = (colours - (colours * weight).sum((2, 3), keepdim=True)).square()
    spread = (departure * weight).sum((2, 3), keepdim=True) + _LEAST_SPREAD
    likeness = (2 - (departure / spread).mean(1, keepdim=True) / 2).clamp(0, 1)
    return face.lips ** per_sample(0.7 + 0.6 * variations[:, 2]) * likeness


def stain(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Multiplies the lips by the shade, as a stain does: highlights take it too."""
    rgb = unit(images)
    depth = per_sample(degrees * (0.5 + 0.3 * variations[:, 1]))
    tinted = rgb * (1 - depth * (1 - _shade(rgb, variations)))
    return blend(images, tinted, _lips(rgb, face, variations), degrees)


def chroma_pull(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Pulls a and b of Lab towards the shade's; lightness and its texture stay, but for depth."""
    rgb = unit(images)
    lab = rgb_to_lab(rgb)
    goal = rgb_to_lab(_shade(rgb, variations))
    pull = per_sample(degrees * (0.5 + 0.4 * variations[:, 1]))
    lightness = lab[:, :1] * (1 - 0.15 * pull)
    chroma = lab[:, 1:] + pull * (goal[:, 1:] - lab[:, 1:])
    tinted = lab_to_rgb(torch.cat((lightness, chroma), dim=1))
    return blend(images, tinted, _lips(rgb, face, variations), degrees)


def lacquer(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Paints the shade over the lips at their own luma, and raises its highlights to a gloss."""
    rgb = unit(images)
    shade, light = _shade(rgb, variations), luma(rgb)
    painted = (shade * light / luma(shade).clamp_min(1e-3)).clamp(0, 1)
    gloss = per_sample(0.25 * variations[:, 3]) * light.square()
    cover = per_sample(degrees * (0.35 + 0.35 * variations[:, 1]))
    tinted = rgb + cover * (painted + gloss - rgb)
    return blend(images, tinted.clamp(0, 1), _lips(rgb, face, variations), degrees)


ALGORITHMS = {"stain": stain, "chroma_pull": chroma_pull, "lacquer": lacquer}
"""Every lip tinting algorithm by name."""
HELD_OUT = ("lacquer",)
"""Algorithms that stand for a vendor never seen in training."""
