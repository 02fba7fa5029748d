"""Skin smoothing, built in five different ways, as the filters of different vendors would be.

Every algorithm maps (images B 3 H W in [-1, 1], degrees B, variations B 4, face) to an `Edit`.
The four variations choose, in this order: the region, the filter's width and how much it
evens out the light, its threshold, and how much of the edit eyes, brows and lips receive.
Degree 0 returns the image to the bit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .colour import luma, signed, unit
from .edit import Edit
from .filters import (
    bilateral,
    diffuse,
    enlarge,
    gaussian,
    guided,
    per_sample,
    reduce,
    soft_core,
)
from .landmarks import FaceRegions
from .regions import skin_likelihood, soften

_SKIN_COLOUR = 0.5  # share of the variations in which neck and ears are smoothed too
_LEAK = 0.4  # the most that eyes, brows and lips receive of the edit
_OPACITY = 0.85  # of the filters that would leave no texture, at degree 1
_EVENING_WIDTH = 0.06  # of the light's evening out, in heights of the crop


def _scale(images: Tensor) -> float:
    """Lengths below are given for a crop of 256 px; this brings them to the crop's height."""
    return images.shape[-2] / 256


def _octaves(images: Tensor) -> int:
    """How often the crop's height can be halved before it falls below 256 px, rounded."""
    return max(0, round(math.log2(_scale(images))))


def _region(rgb: Tensor, variations: Tensor, face: FaceRegions) -> Tensor:
    """The face's skin, with neck and ears where the first variation is small."""
    wide = (per_sample(variations[:, 0]) < _SKIN_COLOUR).to(rgb.dtype)
    inside = torch.maximum(face.skin, face.oval * per_sample(_LEAK * variations[:, 3]))
    outside = soften(skin_likelihood(rgb, face)) * (1 - face.oval)
    return torch.maximum(inside, wide * outside)


def _even(smooth: Tensor, face: FaceRegions, share: Tensor) -> Tensor:
    """Evens out light and redness: brings the broad variation of the skin nearer to its mean.

    Each channel is multiplied by (mean / local mean) ** share, both means taken over the skin.
    """
    small, skin = reduce(smooth, 4), reduce(face.skin, 4) + 1e-4
    sigma = share.new_full(share.shape, _EVENING_WIDTH * small.shape[-2])
    local = gaussian(small * skin, sigma) / gaussian(skin, sigma).clamp_min(1e-8)
    mean = (small * skin).sum((2, 3), True) / skin.sum((2, 3), True)
    gain = ((mean + 0.05) / (local + 0.05)) ** per_sample(share)
    return smooth * enlarge(gain, smooth.shape[-2:])


def _blend(images: Tensor, smooth: Tensor, mask: Tensor, degrees: Tensor) -> Edit:
    """Puts the smoothed [0, 1] picture over the photo, opaque by the degree's square root."""
    opacity = per_sample(degrees.sqrt())
    image = images + mask * opacity * (signed(smooth) - images)
    return Edit(torch.where(opacity > 0, image, images), mask * (opacity > 0))


def bilateral_blur(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Bilateral filter weighed by differences in luma, in a few sparse passes."""
    rgb = unit(images)
    sigma = 0.05 + 0.05 * variations[:, 2]
    smooth = rgb.lerp(bilateral(rgb, luma(rgb), sigma, 2 + _octaves(images)), _OPACITY)
    smooth = _even(smooth, face, 0.45 + 0.20 * variations[:, 1])
    return _blend(images, smooth, _region(rgb, variations, face), degrees)


def guided_blur(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Guided filter: each neighbourhood becomes a faint affine copy of its luma."""
    rgb = unit(images)
    radius = _scale(images) * (4 + 6 * variations[:, 1])
    epsilon = (0.04 + 0.05 * variations[:, 2]) ** 2
    smooth = rgb.lerp(guided(rgb, luma(rgb), radius, epsilon, 2), _OPACITY)
    smooth = _even(smooth, face, 0.40 + 0.20 * variations[:, 1])
    return _blend(images, smooth, _region(rgb, variations, face), degrees)


def pyramid_coring(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Laplacian pyramid whose faint details are cored away, the finest level the least."""
    rgb = unit(images)
    threshold = 0.04 + 0.04 * variations[:, 2]
    removed, finer = torch.zeros_like(rgb), rgb
    finest = 1 + _octaves(images)
    for level in range(2 + finest):
        coarser = reduce(finer, 2)
        detail = finer - enlarge(coarser, finer.shape[-2:])
        faint = detail - soft_core(detail, threshold)
        share = 0.4 if level < finest else 1.0
        removed = removed + share * enlarge(faint, rgb.shape[-2:])
        finer = coarser
    smooth = _even(rgb - removed, face, 0.37 + 0.20 * variations[:, 1])
    return _blend(images, smooth, _region(rgb, variations, face), degrees)


def frequency_separation(
    images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions
) -> Edit:
    """Removes a band between two Gaussians where it is faint, and leaves most of the texture."""
    rgb = unit(images)
    fine = gaussian(rgb, _scale(images) * (0.7 + 0.5 * variations[:, 1]))
    broad = gaussian(rgb, _scale(images) * (4.0 + 3.0 * variations[:, 1]))
    band = fine - broad
    smooth = rgb - (band - soft_core(band, 0.06 + 0.06 * variations[:, 2])) - 0.1 * (rgb - fine)
    smooth = _even(smooth, face, 0.33 + 0.20 * variations[:, 1])
    return _blend(images, smooth, _region(rgb, variations, face), degrees)


def anisotropic_diffusion(
    images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions
) -> Edit:
    """Perona-Malik diffusion on a coarser grid, stopped by edges; most of the texture stays."""
    rgb = unit(images)
    coarse = reduce(rgb, 2 ** (1 + _octaves(images)))
    contrast = 0.03 + 0.03 * variations[:, 2]
    flat = diffuse(coarse, luma(coarse), contrast, 16)
    flat, coarse = enlarge(torch.cat((flat, coarse)), rgb.shape[-2:]).chunk(2)
    texture = rgb - coarse
    smooth = flat + 0.75 * texture + 0.25 * soft_core(texture, contrast)
    smooth = _even(smooth, face, 0.33 + 0.20 * variations[:, 1])
    return _blend(images, smooth, _region(rgb, variations, face), degrees)


ALGORITHMS = {
    "bilateral_blur": bilateral_blur,
    "guided_blur": guided_blur,
    "pyramid_coring": pyramid_coring,
    "frequency_separation": frequency_separation,
    "anisotropic_diffusion": anisotropic_diffusion,
}
"""Every smoothing algorithm by name."""
HELD_OUT = ("anisotropic_diffusion",)
"""Algorithms that stand for a vendor never seen in training."""
