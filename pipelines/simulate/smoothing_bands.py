"""Smoothing in bands of detail: coring, frequency separation, wavelets, local statistics, median.

Interface and meaning of the variations as in `smoothing`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .colour import luma, unit
from .draws import between, number, octaves_between, strength
from .edit import Edit
from .filters import bilateral, blur, box, enlarge, faint_part, reduce
from .landmarks import FaceRegions
from .neighbours import each_photo, median_of_nine
from .regions import replace, take
from .smoothing_edges import coarseness
from .smoothing_region import ANYWHERE, smoothed

_FORM = 0.08  # difference in one band above which a detail counts as a feature


def pyramid_coring(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Laplacian pyramid whose faint details are cored away, the finest level the least."""
    rgb = unit(images)
    threshold = between(variations, 2, 0.03, 0.08).flatten()
    removed = _faint_details(rgb, threshold, coarseness(images, 1 / 128))
    smooth = rgb - strength(degrees, 0.15, 0.7, 1.0) * removed
    return smoothed(images, smooth, degrees, variations, face)


def _faint_details(fine: Tensor, threshold: Tensor, room: int) -> Tensor:
    """The sum of faint details of all levels down to a grid `room` times coarser."""
    coarse = reduce(fine, 2)
    detail = fine - enlarge(coarse, fine.shape[-2:])
    faint = faint_part(detail, threshold)
    if room <= 1:
        return faint
    share = 0.4 if room >= 4 else 1.0
    below = _faint_details(coarse, threshold, room // 2)
    return share * faint + enlarge(below, fine.shape[-2:])


def frequency_separation(
    images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions
) -> Edit:
    """Removes a band between two Gaussians where it is faint, and leaves most of the texture."""
    rgb = unit(images)
    small = reduce(rgb, coarseness(images, 1 / 256))
    width = face.scale * small.shape[-2] / rgb.shape[-2]
    fine = blur(small, (between(variations, 1, 0.005, 0.008).flatten() * width).clamp_min(0.3))
    broad = blur(small, (between(variations, 1, 0.027, 0.047).flatten() * width).clamp_min(0.3))
    faint = faint_part(fine - broad, between(variations, 2, 0.06, 0.12).flatten())
    smooth = rgb - strength(degrees, 0.15, 0.75, 1.0) * enlarge(faint, rgb.shape[-2:])
    return smoothed(images, smooth, degrees, variations, face)


def linear_separation(
    images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions
) -> Edit:
    """Low + d (x - low), low a Gaussian of .8 to 2 % of the face's width; d from .9 to .2."""
    rgb = unit(images)
    sigma = octaves_between(variations, 1, 0.008, 0.02).flatten() * face.scale
    low = blur(rgb, sigma.clamp_min(0.4))
    smooth = rgb.lerp(low, strength(degrees, 0.1, 0.4, 0.8))
    return smoothed(images, smooth, degrees, variations, face)


def low_layer(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """A retoucher's way: only the low layer is smoothed, bilaterally; the texture goes on top."""
    rgb = unit(images)
    small = reduce(rgb, coarseness(images, 1 / 100))
    sigma = octaves_between(variations, 1, 0.008, 0.02).flatten() * face.scale
    low = blur(small, (sigma * small.shape[-2] / rgb.shape[-2]).clamp_min(0.3))
    flat = bilateral(low, luma(low), between(variations, 2, 0.03, 0.08).flatten(), 3)
    change = enlarge(flat - low, rgb.shape[-2:])
    smooth = rgb + strength(degrees, 0.3, 0.8, 1.0) * change
    return smoothed(images, smooth, degrees, variations, face)


def wavelet_damping(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Damps three scales between .8 and 5 % of the face's width by 30 to 80 %; pores stay.

    Forms such as the nose's edge, above .08 in a band, keep most of their strength.
    """
    rgb = unit(images)
    small = reduce(rgb, coarseness(images, 1 / 256))
    width = face.scale * small.shape[-2] / rgb.shape[-2]
    levels = [blur(small, (share * width).clamp_min(0.3)) for share in (0.006, 0.013, 0.026, 0.05)]
    removed = torch.zeros_like(small)
    for index in range(3):
        share = between(variations, 6 + index, 0.4, 1.0)
        band = levels[index] - levels[index + 1]
        removed.addcmul_(faint_part(band, torch.full_like(degrees, _FORM)), share)
    amount = strength(degrees, 0.15, 0.8, 0.95)
    smooth = rgb - amount * enlarge(removed, rgb.shape[-2:])
    return smoothed(images, smooth, degrees, variations, face)


def local_statistics(
    images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions
) -> Edit:
    """Luma is drawn to its mean in a box wherever its variance v is low: k = v / (v + S).

    S is 20 to 250 in squared levels of 255, at most 510; chroma is left alone, so red spots stay.
    Source: Lee, "Digital image enhancement and noise filtering", TPAMI 1980.
    """
    rgb = unit(images)
    y = luma(rgb)
    factor = coarseness(images, 1 / 128)
    small = reduce(torch.cat((y, y.square()), dim=1), factor)
    radius = octaves_between(variations, 1, 0.02, 0.06).flatten() * face.scale / factor
    mean, square = box(small, radius.clamp_min(0.5)).chunk(2, dim=1)
    variance = (square - mean.square()).clamp_min(0)
    keep = variance / (variance + strength(degrees, 15.0, 250.0, 510.0) / 255**2)
    mean, keep = enlarge(torch.cat((mean, keep), dim=1), y.shape[-2:]).chunk(2, dim=1)
    smooth = rgb + (1 - keep) * (mean - y)
    return smoothed(images, smooth, degrees, variations, face, ANYWHERE)


def median(images: Tensor, degrees: Tensor, variations: Tensor, face: FaceRegions) -> Edit:
    """Medians of 3 x 3 taps at growing distances, about 1.5 to 5 % of the face wide, on 8 bits.

    Half of the samples get a part of the texture back.
    """
    rgb = unit(images)
    width = octaves_between(variations, 1, 0.015, 0.05).flatten() * face.scale
    share, sigma = between(variations, 2, 0.2, 0.6), (0.004 * face.scale).clamp_min(0.4)
    levels = rgb.mul(255).add_(0.5).to(torch.uint8)
    flat = each_photo(_medians, levels, width.tolist()).to(rgb).div_(255)
    flat = replace(
        flat,
        number(variations, 4) < 0.5,
        lambda rows: take(flat + share * (rgb - blur(rgb, sigma)), rows),
    )
    smooth = rgb.lerp(flat, strength(degrees, 0.2, 0.8, 1.0))
    return smoothed(images, smooth, degrees, variations, face)


def _medians(levels: Tensor, width: float) -> Tensor:
    """Passes with steps 1, 2, 4 ... until their windows together are `width` wide."""
    step, reach = 1, 1.0
    while step == 1 or reach < width:
        levels = median_of_nine(levels, step)
        reach, step = reach + 2 * step, 2 * step
    return levels
