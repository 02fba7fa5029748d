"""Skin whitening, built in five different ways, as the filters of different vendors would be.

Every algorithm maps (images B 3 H W in [-1, 1], degrees B, variations B 4, face) to an `Edit`.
The four variations choose, in this order: the region, the curve's shape, the tint, the colour
reduction. Degree 0 returns the image to the bit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .colour import (
    lab_to_rgb,
    linear_to_srgb,
    luma,
    rgb_to_lab,
    rgb_to_ycbcr,
    srgb_to_linear,
    unit,
    ycbcr_to_rgb,
)
from .edit import Edit, blend
from .filters import enlarge, gaussian, per_sample, reduce
from .landmarks import FaceRegions
from .regions import choose_region

_SHARES = (0.35, 0.35)  # oval, skin colour; the remaining 30 % whiten the whole picture


def _strength(degrees: Tensor, variations: Tensor) -> Tensor:
    """Degrees as B 1 1 1, weaker where the whole picture is whitened, as vendors do it."""
    whole = variations[:, 0] >= sum(_SHARES)
    return per_sample(torch.where(whole, 0.6 * degrees, degrees))


def log_curve(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Logarithmic tone curve on each of R, G and B: log(1 + beta x) / log(1 + beta)."""
    rgb = unit(images)
    mask = choose_region(rgb, face, variations[:, 0], _SHARES)
    beta = _strength(degrees, variations) * per_sample(1.4 + 0.6 * variations[:, 1])
    beta = beta.clamp_min(1e-4)
    white = torch.log1p(beta * rgb) / torch.log1p(beta)
    return blend(images, white, mask, degrees)


def lab_curve(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Raises L of Lab by a bump over the mid-tones and takes chroma away, most of it from b."""
    rgb = unit(images)
    mask = choose_region(rgb, face, variations[:, 0], _SHARES)
    lightness, a, b = rgb_to_lab(rgb).split(1, dim=1)
    strength = _strength(degrees, variations)
    tone = (lightness / 100).clamp(0, 1)
    skew = per_sample(0.9 + 0.5 * variations[:, 1])
    bump = tone**skew * (1 - tone) * 4
    lightness = lightness + strength * 17 * bump
    fade = strength * per_sample(0.20 * variations[:, 3]) * tone
    pink = strength * per_sample(1.5 * variations[:, 2]) * bump
    white = torch.cat((lightness, a * (1 - 0.5 * fade) + pink, b * (1 - fade)), dim=1)
    return blend(images, lab_to_rgb(white), mask, degrees)


def screen(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Screens a neutral to pinkish white over the picture in linear light, least over blacks."""
    rgb = unit(images)
    mask = choose_region(rgb, face, variations[:, 0], _SHARES)
    linear = srgb_to_linear(rgb)
    tint = variations[:, 2, None] * linear.new_tensor((0.0, 0.14, 0.08))
    layer = 0.33 * _strength(degrees, variations) * (1 - tint)[:, :, None, None]
    opacity = linear / (linear + per_sample(0.06 + 0.14 * variations[:, 1]))
    white = 1 - (1 - linear) * (1 - opacity * layer)
    return blend(images, linear_to_srgb(white), mask, degrees)


def fill_light(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Brightens the illumination only: a gain taken from the blurred luma keeps local contrast."""
    rgb = unit(images)
    mask = choose_region(rgb, face, variations[:, 0], _SHARES)
    light = luma(reduce(rgb, 4))
    sigma = images.shape[-2] / 4 * (0.012 + 0.03 * variations[:, 1])
    light = enlarge(gaussian(light, sigma), images.shape[-2:]).clamp(0, 1)
    cool = variations[:, 2, None] * rgb.new_tensor((-0.02, 0.0, 0.05))
    lift = 0.53 * (1 - light) + cool[:, :, None, None]
    strength = _strength(degrees, variations)
    white = rgb * (1 + strength * lift)
    grey = strength * per_sample(0.10 + 0.15 * variations[:, 3])
    return blend(images, white + grey * (luma(white) - white), mask, degrees)


def luma_gamma(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Gamma curve on Y of YCbCr, Cb and Cr pulled to grey."""
    rgb = unit(images)
    mask = choose_region(rgb, face, variations[:, 0], _SHARES)
    y, cb, cr = rgb_to_ycbcr(rgb).split(1, dim=1)
    strength = _strength(degrees, variations)
    gamma = 1 / (1 + strength * per_sample(0.52 + 0.16 * variations[:, 1]))
    toe = 0.02  # keeps the slope at black finite
    y = ((y + toe) ** gamma - toe**gamma) / ((1 + toe) ** gamma - toe**gamma)
    keep = 1 - strength * per_sample(0.05 + 0.15 * variations[:, 3])
    return blend(images, ycbcr_to_rgb(torch.cat((y, cb * keep, cr * keep), 1)), mask, degrees)


ALGORITHMS = {
    "log_curve": log_curve,
    "lab_curve": lab_curve,
    "screen": screen,
    "fill_light": fill_light,
    "luma_gamma": luma_gamma,
}
"""Every whitening algorithm by name."""
HELD_OUT = ("luma_gamma",)
"""Algorithms that stand for a vendor never seen in training."""
