"""What engines and phones change beside the operation that was asked for.

Every function maps (images B 3 H W in [-1, 1], amounts B in [0, 1], variations B 4 in [0, 1],
face) to images of the same kind; amount 0 returns the image to the bit. They are no operations:
nobody undoes them, and they may stand on both sides of a training pair.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .colour import luma, unit
from .draws import between, number, octaves_between, strength
from .edit import blend
from .filters import blur, enlarge, gaussian, per_sample, reduce
from .landmarks import FaceRegions
from .tone_tables import apply_curve, monotone_spline

Byproduct = Callable[[Tensor, Tensor, Tensor, FaceRegions], Tensor]


def sharpening(images: Tensor, amounts: Tensor, variations: Tensor, face: FaceRegions) -> Tensor:
    """Unsharp mask, sigma .3 to 1 % of the face's width, gain .2 to .8, at most 1.5.

    A third of the samples have only features sharpened, a third only luma.
    """
    rgb = unit(images)
    sigma = (octaves_between(variations, 1, 0.003, 0.01).flatten() * face.scale).clamp_min(0.4)
    kind = number(variations, 0)
    gain = strength(amounts, 0.1, 0.8, 1.5)
    sharp = rgb + gain * _detail(rgb, sigma, kind > 2 / 3)
    features = (1 - face.skin) * face.oval if bool((kind < 1 / 3).any()) else face.oval
    mask = torch.where(per_sample(kind < 1 / 3), features, torch.ones_like(features))
    return blend(images, sharp, mask, amounts).image


def _detail(rgb: Tensor, sigma: Tensor, luma_only: Tensor) -> Tensor:
    """What a Gaussian takes away, of each channel or (where `luma_only`) of luma: B 3 H W."""
    if bool(luma_only.all()):
        y = luma(rgb)
        return (y - blur(y, sigma)).expand_as(rgb)
    detail = rgb - blur(rgb, sigma)
    return torch.where(per_sample(luma_only), luma(detail), detail)


def tint(images: Tensor, amounts: Tensor, variations: Tensor, face: FaceRegions) -> Tensor:
    """A rosy skin, saturation, brightness and contrast, each up or down, as a style has them."""
    rgb = unit(images)
    amount = strength(amounts, 0.1, 0.9, 1.3)
    drawn = [2 * per_sample(number(variations, index)) - 1 for index in range(8)]
    middle = 0.5 + amount * 0.035 * drawn[0]
    slope = 0.25 * amount * 0.2 * drawn[1]
    x = rgb.new_tensor((0.0, 0.25, 0.5, 0.75, 1.0)).expand(len(rgb), -1)
    lift = torch.cat((0.7 * (middle - 0.5) - slope, middle - 0.5, 0.7 * (middle - 0.5) + slope), 1)
    y = x + torch.nn.functional.pad(lift.flatten(1), (1, 1))
    styled = apply_curve(rgb, monotone_spline(x, y))

    grey = luma(styled)
    styled.sub_(grey).mul_(1 + 0.15 * amount * drawn[2]).add_(grey)
    colour = torch.cat((drawn[3], drawn[4] - drawn[3], drawn[5]), dim=1) * 0.012 * amount
    rosy = (
        (per_sample(number(variations, 8)) < 0.5)
        * amount
        * 0.03
        * per_sample(number(variations, 9))
    )
    blush = torch.cat((rosy, -0.3 * rosy, 0.2 * rosy), dim=1)
    return blend(images, styled + colour + blush, torch.ones_like(grey), amounts).image


def phone_camera(images: Tensor, amounts: Tensor, variations: Tensor, face: FaceRegions) -> Tensor:
    """What a phone does before anyone retouches: lifts shadows, takes noise away, sharpens.

    Shadows gain up to 15 of L, with local contrast kept; denoising has a sigma of .5 to 1 px,
    weaker at edges; sharpening 1 to 2 px, gain .3 to 1.
    """
    rgb = unit(images)
    amount = strength(amounts, 0.08, 0.7, 1.1)
    light = reduce(luma(rgb), 8)
    light = gaussian(light, (0.1 * face.scale / 8).clamp_min(0.5)).clamp(0, 1)
    lift = amount * between(variations, 0, 0.0, 0.9) * (1 - light) ** 3
    toned = rgb * (1 + enlarge(lift, rgb.shape[-2:]))

    smooth = blur(toned, between(variations, 1, 0.5, 1.0).flatten())
    noise = toned - smooth
    flat = (-(noise / 0.03).square()).exp_()
    clean = toned - amount.clamp_max(1) * between(variations, 2, 0.0, 0.9) * flat * noise
    y = luma(clean)
    gain = amount * between(variations, 3, 0.2, 1.0)
    sharp = clean + gain * (y - blur(y, between(variations, 4, 1.0, 2.0).flatten()))
    return blend(images, sharp, torch.ones_like(y), amounts).image


BYPRODUCTS: dict[str, Byproduct] = {
    "sharpening": sharpening,
    "tint": tint,
    "phone_camera": phone_camera,
}
"""Every by-product by name."""
