"""Whitening by a tone curve on each of R, G and B: the step that open beauty engines have.

Interface and meaning of the variations as in `whitening`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .colour import linear_to_srgb, srgb_to_linear, unit
from .draws import between, number, strength
from .edit import Edit, blend
from .landmarks import FaceRegions
from .tone_tables import apply_curve, curve_inputs, monotone_spline
from .whitening_region import tone_region


def log_curve(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Curve log(1 + (w - 1) x) / log w, with w from 1.05 to 2, at most 5."""
    rgb = unit(images)
    beta = strength(degrees, 0.05, 1.0, 4.0)
    white = torch.log1p(beta * rgb).div_(torch.log1p(beta))
    return blend(images, white, tone_region(rgb, variations, face), degrees)


def gamma_curve(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Power x ** g on gamma-coded values, g from .98 to .8, at least .6; finite slope at black."""
    rgb = unit(images)
    gamma = 1 - strength(degrees, 0.02, 0.2, 0.4)
    toe = 0.02
    span = (1 + toe) ** gamma - toe**gamma
    white = ((rgb + toe) ** gamma).sub_(toe**gamma).div_(span)
    return blend(images, white, tone_region(rgb, variations, face), degrees)


def gamma_screen(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Screens the picture with itself on gamma-coded values: x + t x (1 - x), warm to cool."""
    rgb = unit(images)
    tint = number(variations, 2)[:, None] * rgb.new_tensor((-0.1, 0.0, 0.15))
    amount = strength(degrees, 0.03, 0.25, 0.5) * (1 + tint)[:, :, None, None]
    white = rgb + amount * rgb * (1 - rgb)
    return blend(images, white, tone_region(rgb, variations, face), degrees)


def screen(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Screens a neutral to pinkish white over the picture in linear light, least over blacks."""
    rgb = unit(images)
    tint = number(variations, 2)[:, None] * rgb.new_tensor((0.0, 0.14, 0.08))
    layer = strength(degrees, 0.015, 0.22, 0.45)[:, 0, 0] * (1 - tint)  # B 3
    linear = srgb_to_linear(curve_inputs(rgb))
    opacity = linear / (linear + between(variations, 1, 0.06, 0.20)[:, 0])
    table = linear_to_srgb(1 - (1 - linear) * (1 - opacity * layer[:, :, None]))
    white = apply_curve(rgb, table)
    return blend(images, white, tone_region(rgb, variations, face), degrees)


def spline_curve(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """A spline through one to three raised knots, as a curves tool draws it.

    The middle knot is raised by .01 to .08, at most .10; the outer ones by less or more, which
    changes contrast by up to 20 % but darkens nothing.
    """
    rgb = unit(images)
    lift = strength(degrees, 0.01, 0.08, 0.10)[:, 0, 0, 0]
    middle = 0.40 + 0.15 * number(variations, 1)
    contrast = (2 * number(variations, 2) - 1) * (number(variations, 3) > 1 / 3)
    shares = torch.stack((0.7 - 0.5 * contrast, 1 + 0 * contrast, 0.7 + 0.5 * contrast), dim=1)
    knots = torch.stack((middle - 0.25, middle, middle + 0.25), dim=1)
    ends = rgb.new_tensor((0.0, 1.0)).expand(len(rgb), 2)
    x = torch.cat((ends[:, :1], knots, ends[:, 1:]), dim=1)
    y = torch.cat((ends[:, :1], knots + lift[:, None] * shares, ends[:, 1:]), dim=1)
    white = apply_curve(rgb, monotone_spline(x, y))
    return blend(images, white, tone_region(rgb, variations, face), degrees)


def levels(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """(x - low) / (high - low), clipped: highlights burn out, whatever is dark stays so."""
    rgb = unit(images)
    headroom = strength(degrees, 0.01, 0.06, 0.14)
    low = headroom * between(variations, 1, 0.0, 0.15)
    white = (rgb - low).div_(1 - headroom - low).clamp_(0, 1)
    return blend(images, white, tone_region(rgb, variations, face), degrees)


def cool_lift(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Adds light to every tone, less of it to red: + t (.6 to 1, 1, 1) / 4, clipped."""
    rgb = unit(images)
    red = 1 - 0.4 * number(variations, 2)
    tint = torch.stack((red, torch.ones_like(red), torch.ones_like(red)), dim=1)
    white = rgb + strength(degrees, 0.02, 0.20, 0.50) / 4 * tint[:, :, None, None]
    return blend(images, white, tone_region(rgb, variations, face), degrees)
