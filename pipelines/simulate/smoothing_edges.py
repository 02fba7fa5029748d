"""Smoothing by filters that stop at edges: bilateral, guided, surface blur, diffusion.

Interface and meaning of the variations as in `smoothing`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .colour import luma, unit
from .draws import between, number, octaves_between, strength
from .edit import Edit
from .filters import bilateral, diffuse, enlarge, faint_part, guided, reduce
from .landmarks import FaceRegions
from .neighbours import each_photo, weighted_mean_along
from .smoothing_region import FACE_OR_SKIN, smoothed

_SPARSE_WEIGHTS = (0.15 / 0.18, 0.12 / 0.18, 0.09 / 0.18, 0.05 / 0.18)  # taps 1 to 4 each way


def coarseness(images: Tensor, share: float) -> int:
    """The largest power of two that is at most `share` of the photo's height, at least 1."""
    return 2 ** max(0, math.floor(math.log2(max(share * images.shape[-2], 1))))


def bilateral_blur(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Bilateral filter weighed by differences in luma, in a few sparse passes on a coarser grid."""
    rgb = unit(images)
    factor = coarseness(images, 1 / 256)
    coarse = reduce(rgb, factor)
    sigma = between(variations, 2, 0.05, 0.10).flatten()
    flat = bilateral(coarse, luma(coarse), sigma, 2)
    both = enlarge(torch.cat((flat - coarse, coarse), dim=1), rgb.shape[-2:])
    change, low = both.chunk(2, dim=1)
    change = change.sub_(faint_part(rgb - low, 0.6 * sigma))
    smooth = change.mul_(strength(degrees, 0.15, 0.7, 0.95)).add_(rgb)
    return smoothed(images, smooth, degrees, variations, face, FACE_OR_SKIN)


def sparse_bilateral(
    images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions
) -> Edit:
    """Nine taps along each axis, some pixels apart, by differences of RGB, green or each channel.

    The spacing is in pixels of a frame, whatever the face's size: .2 to 1.6 % of its width.
    """
    rgb = unit(images)
    spacing = (octaves_between(variations, 1, 0.002, 0.016).flatten() * face.scale).round()
    fall = 8 * (0.25 ** number(variations, 2))
    kind = (3 * number(variations, 4)).long().clamp_max(2)
    settings = (spacing.clamp_min(1).long().tolist(), fall.tolist(), kind.tolist())
    smooth = rgb.lerp(each_photo(_nine_taps, rgb, *settings), strength(degrees, 0.2, 0.75, 1.0))
    return smoothed(images, smooth, degrees, variations, face, FACE_OR_SKIN)


def _nine_taps(rgb: Tensor, spacing: int, fall: float, kind: int) -> Tensor:
    distance = (_distance, _green, torch.abs)[kind]

    def weigh(difference: Tensor) -> Tensor:
        return distance(difference).mul_(-fall).add_(1).clamp_(min=0)

    steps = [(spacing * tap, share) for tap, share in enumerate(_SPARSE_WEIGHTS, 1)]
    return weighted_mean_along(rgb, steps, weigh)


def _distance(difference: Tensor) -> Tensor:
    red, green, blue = difference.split(1, dim=1)
    return red.square().addcmul_(green, green).addcmul_(blue, blue).sqrt_()


def _green(difference: Tensor) -> Tensor:
    return difference[:, 1:2].abs()


def surface_blur(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Weights max(0, 1 - |d| / (2.5 T)) on each channel, alike near and far, along each axis.

    The radius is 1 to 3 % of the face's width, T 6 to 20 of 255, at most 40.
    """
    rgb = unit(images)
    spacing = (octaves_between(variations, 1, 0.01, 0.03).flatten() * face.scale / 3).round()
    width = strength(degrees, 5.0, 20.0, 40.0).flatten() * 2.5 / 255
    blurred = each_photo(
        _surface, rgb, spacing.clamp_min(1).long().tolist(), (1 / width.clamp_min(1e-3)).tolist()
    )
    smooth = rgb.lerp(blurred, between(variations, 2, 0.6, 1.0))
    return smoothed(images, smooth, degrees, variations, face, FACE_OR_SKIN)


def _surface(rgb: Tensor, spacing: int, rate: float) -> Tensor:
    def weigh(difference: Tensor) -> Tensor:
        return difference.abs().mul_(-rate).add_(1).clamp_(min=0)

    return weighted_mean_along(rgb, [(spacing * tap, 1.0) for tap in range(1, 4)], weigh)


def guided_blur(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Guided filter by luma: each neighbourhood becomes a faint affine copy of it."""
    rgb = unit(images)
    radius, epsilon = _guided_settings(images, variations, face)
    flat = guided(rgb, luma(rgb), radius, epsilon, coarseness(images, 1 / 128))
    smooth = rgb.lerp(flat, strength(degrees, 0.15, 0.7, 0.95))
    return smoothed(images, smooth, degrees, variations, face)


def self_guided_blur(
    images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions
) -> Edit:
    """Guided filter in which each of R, G and B guides itself."""
    rgb = unit(images)
    radius, epsilon = (
        value.repeat_interleave(3) for value in _guided_settings(images, variations, face)
    )
    planes = rgb.flatten(0, 1)[:, None]
    flat = guided(planes, planes, radius, epsilon, coarseness(images, 1 / 128)).view(rgb.shape)
    smooth = rgb.lerp(flat, strength(degrees, 0.15, 0.7, 0.95))
    return smoothed(images, smooth, degrees, variations, face)


def _guided_settings(
    images: Tensor, variations: Tensor, face: FaceRegions
) -> tuple[Tensor, Tensor]:
    """Radius in pixels, 1 to 5 % of the face's width, and epsilon, .02 to .09 squared; B each."""
    radius = octaves_between(variations, 1, 0.01, 0.05).flatten() * face.scale
    epsilon = between(variations, 2, 0.02, 0.09).flatten() ** 2
    return radius.clamp_min(coarseness(images, 1 / 128)), epsilon


def anisotropic_diffusion(
    images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions
) -> Edit:
    """Perona-Malik diffusion on a coarser grid, stopped by edges; most of the texture stays."""
    rgb = unit(images)
    coarse = reduce(rgb, 2 * coarseness(images, 1 / 256))
    contrast = between(variations, 2, 0.03, 0.06).flatten()
    flat = diffuse(coarse, luma(coarse), contrast, 16)
    both = enlarge(torch.cat((flat - coarse, coarse), dim=1), rgb.shape[-2:])
    change, low = both.chunk(2, dim=1)
    change = change.sub_(faint_part(rgb - low, contrast), alpha=0.4)
    smooth = change.mul_(strength(degrees, 0.2, 0.75, 1.0)).add_(rgb)
    return smoothed(images, smooth, degrees, variations, face)
