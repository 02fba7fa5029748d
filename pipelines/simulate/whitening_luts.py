"""Whitening by a random smooth 3-D look-up table, the way of commercial engines.

Interface and meaning of the variations as in `whitening`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .colour import lab_to_rgb, rgb_to_lab, unit
from .draws import between, number, strength
from .edit import Edit, blend
from .filters import per_sample
from .landmarks import FaceRegions
from .tone_tables import apply_lut, make_lut
from .whitening_region import tone_region

_FULL = 8.0  # lift of the mid-tones' L at which a style has its whole tint


def style_lut(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """A LUT that is lighter and less yellow on skin, rosy or greenish, and matte or contrasty.

    Mid-tones gain 1 to 8 of L, at most 15; skin loses up to 12 of b, gains or loses up to 4 of a.
    """
    rgb = unit(images)
    lift = strength(degrees, 1.0, 8.0, 15.0)
    lut = make_lut(lambda lattice: _style(lattice, lift, variations), len(rgb), rgb)
    return blend(images, apply_lut(rgb, lut), tone_region(rgb, variations, face), degrees)


def _style(rgb: Tensor, lift: Tensor, variations: Tensor) -> Tensor:
    lightness, a, b = rgb_to_lab(rgb).split(1, dim=1)
    tint = (lift / _FULL).clamp_max(1.2)
    tone = (lightness / 100).clamp(0, 1)
    pull = tint * _skin_likeness(a, b) * (tone * (1 - tone) * 4).sqrt()
    hue = torch.atan2(b, a)
    ripple = 1 + 0.05 * tint * torch.sin(2 * hue + 2 * math.pi * per_sample(number(variations, 7)))
    gain = (1 + tint * between(variations, 4, -0.20, 0.05)) * ripple
    shade = tint * (1 - tone) * tone * 4  # a split tone over all hues, greys included
    a = a * gain + pull * between(variations, 2, -4.0, 4.0) + shade * between(variations, 8, -1, 1)
    b = b * gain - pull * between(variations, 3, 0.0, 12.0) - shade * between(variations, 9, -1, 2)
    lightness = lightness + _lightness_curve(tone, lift, tint, variations)
    return lab_to_rgb(torch.cat((lightness, a, b), dim=1))


def _lightness_curve(tone: Tensor, lift: Tensor, tint: Tensor, variations: Tensor) -> Tensor:
    """What is added to L: mid-tones by `lift`, shadows by 0 to 15 at full tint, whites by +-5.

    Light skin never gets darker: whites lose no more than mid-tones have at L = 90.
    """
    matte = per_sample((number(variations, 6) < 0.5).to(tone))
    shadows = tint * matte * between(variations, 5, 0.0, 15.0)
    whites = tint * between(variations, 1, -5.0, 5.0)
    whites = torch.maximum(whites, -0.3 * lift)
    return shadows * (1 - tone) ** 3 + lift * 4 * tone * (1 - tone) + whites * tone**3


def _skin_likeness(a: Tensor, b: Tensor) -> Tensor:
    """How near a and b are to skin's, in [0, 1]; falls off over about 20 units."""
    return (-0.5 * ((a - 14) ** 2 + (b - 18) ** 2) / 20**2).exp()
