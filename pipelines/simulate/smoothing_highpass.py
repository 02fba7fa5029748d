"""Smoothing by high-pass and iterated hard light: only dark or bright spots are touched.

Interface and meaning of the variations as in `smoothing`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .colour import luma, unit
from .draws import between, number, octaves_between, strength
from .edit import Edit
from .filters import blur, per_sample
from .landmarks import FaceRegions
from .neighbours import each_photo, sparse_mean, weighted_mean
from .smoothing_region import PICTURE_OR_SKIN, smoothed
from .tone_tables import apply_curve, monotone_spline

_RADIUS = 10.0  # of the outer ring, in the units of the tables below
_RING = (
    ((0, 10), 1.0), ((10, 0), 1.0), ((5, 8), 1.0), ((5, -8), 1.0), ((8, 5), 1.0), ((8, -5), 1.0),
    ((0, 6), 2.0), ((6, 0), 2.0), ((4, 4), 2.0), ((4, -4), 2.0),
)  # fmt: skip
_RING_CENTRE = 20.0
_GREEN_RING = (
    ((0, 6), 0.1), ((6, 0), 0.1), ((4, 4), 0.1), ((4, -4), 0.1),
    ((0, 10), 0.05), ((8, 5), 0.05), ((8, -5), 0.05),
)  # fmt: skip
_GREEN_CENTRE = 0.2
_LEVELS = (
    (1, 0.19, 0.54), (2, 0.29, 0.54), (3, 0.17, 0.39),
    (3, 0.25, 0.54), (4, 0.13, 0.54), (4, 0.19, 0.69),
)  # fmt: skip
"""Hard lights, gain and exponent of green, of each of the green bilateral's six levels."""
_MOST_HARD_LIGHTS = 5


def _scaled(taps: tuple, unit_px: float, centre: float) -> list:
    """Offsets in pixels, weights in relation to the centre's."""
    return [
        ((round(down * unit_px), round(right * unit_px)), share / centre)
        for (down, right), share in taps
    ]


def _hard_light(values: Tensor, times: Tensor) -> Tensor:
    """Hard light, h <- 2 h^2 below one half, else 1 - 2 (1 - h)^2, `times` over (B 1 1 1).

    With t = 2 h - 1 both branches are t <- t (2 - |t|).
    """
    centred = 2 * values - 1
    for done in range(_MOST_HARD_LIGHTS):
        again = (times > done).to(values)
        centred = centred.abs().mul_(-again).add_(1 + again).mul_(centred)
    return centred.add_(1).mul_(0.5)


def _ring_unit(variations: Tensor, face: FaceRegions) -> list[float]:
    """Pixels per unit of the rings: their radius is 1.2 to 10 % of the face's width."""
    radius = octaves_between(variations, 1, 0.012, 0.10).flatten() * face.scale
    return (radius / _RADIUS).clamp_min(0.15).tolist()


def ring_highpass(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Green less its mean over two sparse rings, n hard lights, taken off where luma allows."""
    rgb = unit(images)
    green = rgb[:, 1:2]
    mean = each_photo(
        lambda plane, unit_px: sparse_mean(plane, _scaled(_RING, unit_px, _RING_CENTRE)),
        green,
        _ring_unit(variations, face),
    )
    times = between(variations, 2, 1.5, 5.4).round()
    spots = _hard_light((green - mean + 0.5).clamp_(0, 1), times)
    gate = luma(rgb) ** between(variations, 3, 0.33, 1.0)
    cleaned = rgb + strength(degrees, 0.03, 0.12, 0.20) * gate * (rgb - spots)
    smooth = cleaned.lerp(torch.maximum(cleaned, rgb), gate)
    return smoothed(images, smooth, degrees, variations, face, PICTURE_OR_SKIN)


def green_levels(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Green less its bilateral mean over a sparse ring, in six fixed levels, without their tint."""
    rgb = unit(images)
    green = rgb[:, 1:2]
    level = (len(_LEVELS) * number(variations, 2)).long().clamp_max(len(_LEVELS) - 1)
    times, gain, power = rgb.new_tensor(_LEVELS)[level][:, :, None, None, None].unbind(1)
    mean = each_photo(_green_mean, green, _ring_unit(variations, face))
    spots = _hard_light((green - mean + 0.5).clamp_(0, 1), times)
    root = green.clamp_min(1e-4)
    cover = root**0.33 * root**power * gain * root**0.3
    smooth = rgb + strength(degrees, 0.3, 1.0, 1.4) * cover * (rgb - spots)
    return smoothed(images, smooth, degrees, variations, face, PICTURE_OR_SKIN)


def _green_mean(plane: Tensor, unit_px: float) -> Tensor:
    def weigh(difference: Tensor) -> Tensor:
        return difference.abs().mul_(-4).add_(1).clamp_(min=0)

    return weighted_mean(plane, _scaled(_GREEN_RING, unit_px, _GREEN_CENTRE), weigh)


def curve_highpass(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Lifts by a tone curve what is darker than its surroundings in green times blue.

    The mask comes from a Gaussian high-pass of 1 to 5 % of the face's width and three hard lights.
    """
    rgb = unit(images)
    product = rgb[:, 1:2] * rgb[:, 2:3] / 2
    sigma = octaves_between(variations, 1, 0.01, 0.05).flatten() * face.scale
    spots = (product - blur(product, sigma.clamp_min(0.5)) + 0.5).clamp_(0, 1)
    spots = _hard_light(spots, per_sample(torch.full_like(degrees, 3.0)))
    keep = ((spots - 75 / 255) * (255 / 89)).clamp_(0, 1)
    knots = rgb.new_tensor(((0.0, 120 / 255, 1.0), (0.0, 146 / 255, 1.0)))
    lifted = apply_curve(rgb, monotone_spline(*knots[:, None]))
    smooth = rgb + strength(degrees, 0.1, 0.45, 1.0) * (1 - keep) * (lifted - rgb)
    return smoothed(images, smooth, degrees, variations, face, PICTURE_OR_SKIN)
