"""Planes of photos: blurs, means over regions, luma, colour differences, parts of larger ones."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_EVIDENT = 0.006  # variance of [-1, 1] beside which a photo's own counts in `share_taken`
_LUMA = (0.299, 0.587, 0.114)
_CR = (0.5, -0.4187, -0.0813)


class Window(NamedTuple):
    """A part of a plane in pixels: rows top .. bottom, columns left .. right, the ends excluded."""

    top: int
    bottom: int
    left: int
    right: int


def blur(planes: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of B C h w; wide ones on reduced grids."""
    factor = 2 ** max(0, math.floor(math.log2(max(sigma, 1e-6) / 0.9)))
    small = planes
    if factor > 1:
        small = F.avg_pool2d(planes, factor, ceil_mode=True, count_include_pad=False)
    width = math.sqrt(max((sigma / factor) ** 2 - (0.33 if factor > 1 else 0), 0.04))
    reach = max(1, math.ceil(3 * width))
    at = torch.arange(-reach, reach + 1, device=planes.device, dtype=planes.dtype)
    kernel = torch.exp(-0.5 * (at / width) ** 2)
    kernel = kernel / kernel.sum()
    single = small.reshape(-1, 1, *small.shape[-2:])
    single = F.conv2d(
        F.pad(single, (reach, reach, 0, 0), mode="replicate"), kernel[None, None, None]
    )
    single = F.conv2d(
        F.pad(single, (0, 0, reach, reach), mode="replicate"), kernel[None, None, :, None]
    )
    return brought(single.view(small.shape), planes.shape[-2:])


def mean_around(planes: Tensor, weights: Tensor, sigma: float) -> Tensor:
    """Weighted Gaussian mean of B C h w; weights B 1 h w > 0."""
    joined = blur(torch.cat((planes * weights, weights), dim=1), sigma)
    return joined[:, :-1] / joined[:, -1:]


def chroma(planes: Tensor, weights: tuple[float, float, float]) -> Tensor:
    """One colour difference, or luma, of B 3 h w: B 1 h w."""
    return sum(planes[:, i : i + 1] * weight for i, weight in enumerate(weights))  # pyright: ignore


def luma(planes: Tensor) -> Tensor:
    """BT.601 luma of B 3 h w on its own scale."""
    return chroma(planes, _LUMA)


def redness(planes: Tensor) -> Tensor:
    """Cr of B 3 h w on the scale of the planes."""
    return chroma(planes, _CR)


def brought(planes: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
    """B C h w at another size, bilinear."""
    if planes.shape[-2:] == tuple(size):
        return planes
    single = planes.reshape(-1, 1, *planes.shape[-2:])
    brought = F.interpolate(single, tuple(size), mode="bilinear", align_corners=False)
    return brought.view(*planes.shape[:2], *size)


def part_of(planes: Tensor, size: Sequence[int], rows: Tensor, columns: Tensor) -> Tensor:
    """Rows and columns, as indices, of what `brought` gives for B C h w and a size."""
    for axis, places in ((2, rows), (3, columns)):
        length = planes.shape[axis]
        if length == size[axis - 2]:
            planes = planes.index_select(axis, places)
            continue
        at = ((places + 0.5) * (length / size[axis - 2]) - 0.5).clamp(0, length - 1)
        near = at.long()
        share = (at - near).to(planes).view(-1, *(1,) * (3 - axis))
        far = (near + 1).clamp_max(length - 1)
        planes = planes.index_select(axis, near).lerp_(planes.index_select(axis, far), share)
    return planes


def share_taken(photo: Tensor, change: Tensor, sigma: float, evident: float = _EVIDENT) -> Tensor:
    """What share of a photo's contrast a change takes away around each place, B C h w in [0, 1].

    Detail that a reduced photo does not show goes with the contrast that it does: so the hard edge
    of a spot that is filled goes, too, and leaves no ring. The slope is that of a guided filter
    (He and Sun, "Fast guided filter", 2015).

    Args:
        photo: B C h w in [-1, 1].
        change: of the same shape, what is added to it.
        sigma: of the surroundings, in pixels.
        evident: the less, the fainter a contrast may be and still be followed.
    """
    joined = torch.cat((photo, change, photo * photo, photo * change), dim=1)
    mean, moved, square, product = blur(joined, sigma).chunk(4, dim=1)
    slope = (product - mean * moved) / ((square - mean * mean).clamp_min(0) + evident)
    return (-slope).clamp(0, 1)
