"""Whitening that treats light and colour differently: Lab, HSB, matrices, whole beautify chains.

Interface and meaning of the variations as in `whitening`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .colour import LUMA, lab_to_rgb, luma, rgb_to_lab, unit
from .draws import between, number, strength
from .edit import Edit, blend
from .filters import enlarge, gaussian, reduce
from .landmarks import FaceRegions
from .tone_tables import apply_lut, make_lut
from .whitening_region import tone_region

_ROSY = (
    (1.1102, -0.0598, -0.0610),
    (-0.0774, 1.0826, -0.1186),
    (-0.0228, -0.0228, 1.1772),
)  # a matrix common to several open engines; its rows do not sum to one, so grey turns pink


def lab_curve(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Raises L of Lab by a bump over the mid-tones and takes chroma away, most of it from b."""
    rgb = unit(images)
    lift = strength(degrees, 1.0, 8.0, 15.0)
    skew = between(variations, 1, 0.9, 1.4)
    grey = between(variations, 3, 0.0, 0.20) * lift / 15
    pink = between(variations, 2, 0.0, 1.5) * lift / 15

    def whiten(lattice: Tensor) -> Tensor:
        lightness, a, b = rgb_to_lab(lattice).split(1, dim=1)
        tone = (lightness / 100).clamp(0, 1)
        bump = tone**skew * (1 - tone) * 4
        fade = grey * tone
        lab = (lightness + lift * bump, a * (1 - 0.5 * fade) + pink * bump, b * (1 - fade))
        return lab_to_rgb(torch.cat(lab, dim=1))

    white = apply_lut(rgb, make_lut(whiten, len(rgb), rgb))
    return blend(images, white, tone_region(rgb, variations, face), degrees)


def fill_light(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Brightens the illumination only: a gain taken from the blurred luma keeps local contrast."""
    rgb = unit(images)
    light = luma(reduce(rgb, 4))
    width = between(variations, 1, 0.02, 0.07).flatten() * face.scale / 4
    light = enlarge(gaussian(light, width.clamp_min(0.3)), images.shape[-2:]).clamp(0, 1)
    cool = number(variations, 2)[:, None] * rgb.new_tensor((-0.02, 0.0, 0.05))
    amount = strength(degrees, 0.06, 0.60, 1.10)
    white = rgb * (1 + amount * (0.53 * (1 - light) + cool[:, :, None, None]))
    grey = amount.clamp_max(1) * between(variations, 3, 0.0, 0.20)
    white += grey * (luma(white) - white)
    return blend(images, white, tone_region(rgb, variations, face), degrees)


def luma_gamma(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Gamma curve on Y of YCbCr, Cb and Cr pulled to grey."""
    rgb = unit(images)
    y = luma(rgb)
    amount = strength(degrees, 0.05, 0.55, 1.0)
    gamma = 1 / (1 + amount * between(variations, 1, 0.52, 0.68))
    toe = 0.02  # keeps the slope at black finite
    raised = ((y + toe) ** gamma - toe**gamma) / ((1 + toe) ** gamma - toe**gamma)
    keep = 1 - amount * between(variations, 3, 0.05, 0.20)
    white = (rgb - y).mul_(keep).add_(raised)  # Cb and Cr are proportional to B - Y and R - Y
    return blend(images, white, tone_region(rgb, variations, face), degrees)


def hsb(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """RGB times 1.01 to 1.05, at most 1.10, with saturation changed about luma beside it."""
    rgb = unit(images)
    gain = strength(degrees, 0.01, 0.05, 0.10)
    saturation = 1 + between(variations, 2, -1.0, 1.0) * (0.2 * gain + gain).clamp_max(0.15)
    white = _saturate(rgb * (1 + gain), saturation)
    return blend(images, white, tone_region(rgb, variations, face), degrees)


def colour_matrix(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Mixes with a colour matrix near the identity that makes grey rosy or cool, and adds light.

    The mixture is .04 to .25, at most .4; what the matrix takes of luma is added again.
    """
    rgb = unit(images)
    mix = strength(degrees, 0.04, 0.25, 0.40)
    offset = strength(degrees, 0.005, 0.05, 0.09) + 0.08 * mix
    low, high = rgb.new_tensor((0.98, 0.94, 0.97)), rgb.new_tensor((1.03, 1.00, 1.08))
    drawn = torch.stack([number(variations, index) for index in (1, 2, 3)], dim=1)
    grey = low + (high - low) * drawn
    grey = grey / (grey * rgb.new_tensor(LUMA)).sum(1, keepdim=True)
    matrix = torch.diag_embed(grey)
    rosy = (number(variations, 4) < 0.5).to(rgb)[:, None, None]
    matrix = matrix + rosy * (rgb.new_tensor(_ROSY) - matrix)
    tinted = torch.bmm(matrix, rgb.flatten(2)).view(rgb.shape)
    white = tinted.sub_(rgb).mul_(mix).add_(rgb).add_(offset)
    return blend(images, white, tone_region(rgb, variations, face), degrees)


def beautify_tone(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """The tone steps of a popular open chain: log curve of w 1.2, RGB gain, saturation gain."""
    rgb = unit(images)
    beta = strength(degrees, 0.03, 0.20, 0.25)
    gain = strength(degrees, 0.01, 0.09, 0.12)
    saturation = 1 + gain * between(variations, 2, 0.3, 1.2)
    bright = torch.log1p(beta * rgb).div_(torch.log1p(beta)).mul_(1 + gain)
    white = _saturate(bright, saturation)
    return blend(images, white, tone_region(rgb, variations, face), degrees)


def _saturate(rgb: Tensor, factor: Tensor) -> Tensor:
    """Stretches colours (B 3 H W) about their luma by `factor` (B 1 1 1), in place."""
    y = luma(rgb)
    return rgb.sub_(y).mul_(factor).add_(y)
