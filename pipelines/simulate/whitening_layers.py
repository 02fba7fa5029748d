"""Whitening by layers blended over the photo as in an image editor: soft light and overlay.

Interface and meaning of the variations as in `whitening`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .colour import luma, unit
from .draws import between, number, strength
from .edit import Edit, blend
from .filters import blur
from .landmarks import FaceRegions
from .regions import replace, take
from .whitening_region import tone_region


def soft_light(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """The photo's own lightened copy, blurred or sharp, in soft light: x + (2 l - 1) x (1 - x)."""
    rgb = unit(images)
    sigma = between(variations, 1, 0.01, 0.03).flatten() * face.scale
    glows = number(variations, 2) < 0.5
    sigma = sigma.clamp_min(0.3)
    copy = replace(rgb, glows, lambda rows: blur(take(rgb, rows), take(sigma, rows)))
    layer = 0.55 + between(variations, 3, 0.25, 0.45) * copy
    opacity = strength(degrees, 0.05, 0.4, 1.0)
    lit = rgb + opacity * (2 * layer - 1) * rgb * (1 - rgb)
    return blend(images, lit, tone_region(rgb, variations, face), degrees)


def milky_overlay(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """A blurred, paler copy of the photo in overlay on the photo with its shadows lifted."""
    rgb = unit(images)
    sigma = between(variations, 1, 0.01, 0.03).flatten() * face.scale
    layer = blur(rgb, sigma.clamp_min(0.3))
    y = luma(layer)
    saturation = between(variations, 2, 0.6, 0.9)
    layer = layer.sub_(y).mul_(saturation).add_(y).mul_(0.9).add_(0.1).clamp_(0, 1)
    lifted = (0.37 + 0.70 * rgb).clamp_(max=1)
    overlaid = torch.where(lifted < 0.5, 2 * lifted * layer, 1 - 2 * (1 - lifted) * (1 - layer))
    white = rgb.lerp(overlaid, strength(degrees, 0.05, 0.3, 0.8))
    return blend(images, white, tone_region(rgb, variations, face), degrees)
