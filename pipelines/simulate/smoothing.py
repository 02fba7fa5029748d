"""Skin smoothing, built in five different ways, as the filters of different vendors would be.

Every algorithm maps (images B 3 H W in [-1, 1], degrees B, variations B 4, face) to an `Edit`.
The four variations choose, in this order: the region, the filter's width, its threshold, and how
much of the eyes, brows and lips is spared. Degree 0 returns the image to the bit.
"""

from __future__ import annotations

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
from .regions import skin_likelihood

_SKIN_COLOUR = 0.4  # share of the variations in which neck and ears are smoothed too
_LEAK = 0.25  # the most that eyes, brows and lips receive of the edit


def _scale(images: Tensor) -> float:
    """Lengths below are given for a crop of 256 px; this brings them to the crop's height."""
    return images.shape[-2] / 256


def _region(rgb: Tensor, variations: Tensor, face: FaceRegions) -> Tensor:
    """The face's skin, with neck and ears where the first variation is small."""
    wide = (per_sample(variations[:, 0]) < _SKIN_COLOUR).to(rgb.dtype)
    inside = torch.maximum(face.skin, face.oval * per_sample(_LEAK * variations[:, 3]))
    outside = skin_likelihood(rgb, face) * (1 - face.oval)
    return torch.maximum(inside, wide * outside)


def _blend(images: Tensor, smooth: Tensor, mask: Tensor, degrees: Tensor) -> Edit:
    """Puts the smoothed [0, 1] picture over the photo, opaque in proportion to the degree."""
    mask = mask * per_sample(degrees)
    image = images + mask * (signed(smooth) - images)
    return Edit(torch.where(per_sample(degrees) > 0, image, images), mask)


def bilateral_blur(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Bilateral filter weighed by differences in luma."""
    rgb = unit(images)
    sigma = 0.05 + 0.06 * variations[:, 2] + 0.04 * degrees
    levels = max(1, round(_scale(images) * 8).bit_length() - 1)
    smooth = bilateral(rgb, luma(rgb), sigma, levels)
    return _blend(images, smooth, _region(rgb, variations, face), degrees)


def guided_blur(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Guided filter: each neighbourhood becomes a faint affine copy of its luma."""
    rgb = unit(images)
    radius = _scale(images) * (4 + 6 * variations[:, 1])
    epsilon = (0.05 + 0.06 * variations[:, 2] + 0.04 * degrees) ** 2
    smooth = guided(rgb, luma(rgb), radius, epsilon, 2)
    return _blend(images, smooth, _region(rgb, variations, face), degrees)


def pyramid_coring(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Laplacian pyramid whose faint details are cored away, the finest level the least."""
    rgb = unit(images)
    threshold = 0.04 + 0.05 * variations[:, 2] + 0.03 * degrees
    removed, finer = torch.zeros_like(rgb), rgb
    levels = max(2, round(_scale(images) * 8).bit_length() - 1)
    for _ in range(levels):
        coarser = reduce(finer, 2)
        detail = finer - enlarge(coarser, (finer.shape[-2], finer.shape[-1]))
        faint = detail - soft_core(detail, threshold)
        removed = removed + enlarge(faint, (rgb.shape[-2], rgb.shape[-1]))
        finer = coarser
    return _blend(images, rgb - removed, _region(rgb, variations, face), degrees)


def frequency_separation(
    images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions
) -> Edit:
    """Removes a band between two Gaussians where it is faint, and leaves the finest texture."""
    rgb = unit(images)
    fine = gaussian(rgb, _scale(images) * (0.5 + 0.5 * variations[:, 1]))
    broad = gaussian(rgb, _scale(images) * (3.0 + 3.0 * variations[:, 1]))
    band = fine - broad
    smooth = rgb - (band - soft_core(band, 0.06 + 0.06 * variations[:, 2]))
    return _blend(images, smooth, _region(rgb, variations, face), degrees)


def anisotropic_diffusion(
    images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions
) -> Edit:
    """Perona-Malik diffusion, stopped by edges of the luma."""
    rgb = unit(images)
    contrast = (0.02 + 0.02 * variations[:, 2] + 0.01 * degrees) / _scale(images)
    smooth = diffuse(rgb, luma(rgb), contrast, round(8 * max(1.0, _scale(images)) ** 2))
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
