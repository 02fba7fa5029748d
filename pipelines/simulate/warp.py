"""Backward flows in pixels: evaluating them, warping with them, inverting and composing them.

A flow f is B 2 H W, channel 0 to the right and channel 1 downwards: warped(p) = image(p + f(p)).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

MODES = ("bilinear", "bicubic")
BORDER = 0.08  # over this share of the photo a flow fades out towards the border
_FAR = 12.0  # where a Gaussian counts as zero
INVERSE_STEPS = 8
INVERSE_REDUCTION = 2  # all steps but the last use every second pixel only


def pixel_grid(
    height: int, width: int, like: Tensor, shape: tuple[int, int] | None = None
) -> Tensor:
    """Positions in pixels, 1 2 h w, of an evenly spread grid of `shape` (default: every pixel).

    The centre of the first pixel is (0, 0); a coarser grid has its samples at its cells' centres.
    """
    h, w = shape or (height, width)
    rows = (torch.arange(h, device=like.device, dtype=like.dtype) + 0.5) * (height / h) - 0.5
    columns = (torch.arange(w, device=like.device, dtype=like.dtype) + 0.5) * (width / w) - 0.5
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"))[None]


def to_pixels(points: Tensor, height: int, width: int) -> Tensor:
    """Mesh points (B N 2, shares of width and height) as positions on the pixel grid."""
    return points * points.new_tensor([width, height]) - 0.5


def smooth_flow(
    field: Callable[[Tensor], Tensor], height: int, width: int, like: Tensor, samples: int
) -> Tensor:
    """Evaluate a smooth flow on a coarse grid and upsample it by cubic convolution.

    Args:
        field: positions (1 2 h w, pixels) -> flow there (B 2 h w, pixels).
        height: height of the photo in pixels.
        width: width of the photo in pixels.
        like: gives dtype and device.
        samples: samples along the shorter side; a smaller photo is evaluated at every pixel.

    Returns:
        B 2 H W; across the photo's border nothing moves.
    """
    step = max(min(height, width) / samples, 1.0)
    shape = (round(height / step), round(width / step))
    position = pixel_grid(height, width, like, shape)
    flow = field(position) * _away_from_border(position, height, width)
    if shape == (height, width):
        return flow
    return upsample(flow, height, width)


def _away_from_border(position: Tensor, height: int, width: int) -> Tensor:
    """A factor per component that keeps a flow from reaching over the photo's border."""
    size = position.new_tensor([width, height]).view(1, 2, 1, 1)
    room = (torch.minimum(position, size - 1 - position) / (BORDER * size)).clamp(0, 1)
    return room * room * (3 - 2 * room)


def upsample(coarse: Tensor, height: int, width: int) -> Tensor:
    """Smooth fields (B C h w) at every pixel, by cubic convolution (Keys 1981), separably."""
    rows = _cubic_weights(coarse.shape[-2], height).to(coarse)
    columns = _cubic_weights(coarse.shape[-1], width).to(coarse)
    return rows @ (coarse @ columns.T)


@lru_cache(maxsize=32)
def _cubic_weights(count: int, size: int) -> Tensor:
    """The matrix, size x count, that resamples `count` even samples (the border repeated)."""
    position = (torch.arange(size) + 0.5) * (count / size) - 0.5
    weights = torch.zeros(size, count)
    for tap in range(-1, 3):
        index = position.floor() + tap
        x = (position - index).abs()
        near = (1.5 * x - 2.5) * x * x + 1
        far = ((-0.5 * x + 2.5) * x - 4) * x + 2
        column = index.clamp(0, count - 1).long()[:, None]
        weights.scatter_add_(1, column, torch.where(x <= 1, near, far)[:, None])
    return weights


def warp_image(image: Tensor, flow: Tensor, mode: str = "bilinear") -> Tensor:
    """Sample `image` (B C H W) at p + flow(p), repeating its border; bicubic may overshoot."""
    if mode not in MODES:
        raise ValueError(f"Expected an interpolation among {MODES}, got {mode!r}.")
    height, width = image.shape[-2:]
    span = flow.new_tensor([max(width - 1, 1), max(height - 1, 1)]).view(1, 2, 1, 1)
    home = pixel_grid(height, width, flow) * (2 / span) - 1
    position = torch.addcmul(home, flow, 2 / span)
    return F.grid_sample(
        image, position.permute(0, 2, 3, 1), mode, padding_mode="border", align_corners=True
    )


def compose_flows(first: Tensor, second: Tensor) -> Tensor:
    """The one flow that equals warping by `first` and then by `second`."""
    return second + warp_image(first, second)


def invert_flow(flow: Tensor, steps: int = INVERSE_STEPS) -> Tensor:
    """The flow that undoes `flow`, by iterating f(p) = -flow(p + f(p)).

    The iteration converges where the flow changes by less than a pixel per pixel (no folds).
    """
    height, width = flow.shape[-2:]
    shape = (-(-height // INVERSE_REDUCTION), -(-width // INVERSE_REDUCTION))
    scale = flow.new_tensor([shape[1] / width, shape[0] / height]).view(1, 2, 1, 1)
    coarse = F.interpolate(flow, shape, mode="bilinear", align_corners=False) * scale

    inverse = -coarse
    for _ in range(steps):
        inverse = -warp_image(coarse, inverse)
    return -warp_image(flow, upsample(inverse / scale, height, width))


def thin_plate_spline(
    anchors: Tensor, values: Tensor, scale: Tensor, smoothing: float = 1e-3
) -> Callable[[Tensor], Tensor]:
    """The smoothest surface through scattered flows (Bookstein 1989), one solve per batch.

    Args:
        anchors: B N 2 in pixels.
        values: B N 2, the flow at the anchors.
        scale: B, a typical length in pixels; lengths are divided by it.
        smoothing: tolerance that keeps the system well posed when anchors nearly coincide.

    Returns:
        A field for `smooth_flow`.
    """
    batch, count, _ = anchors.shape
    unit = anchors / scale[:, None, None]
    affine = torch.cat((unit.new_ones(batch, count, 1), unit), dim=-1)
    system = unit.new_zeros(batch, count + 3, count + 3)
    system[:, :count, :count] = _thin_plate_kernel(torch.cdist(unit, unit).square())
    system[:, :count, :count] += smoothing * torch.eye(count, device=unit.device)
    system[:, :count, count:] = affine
    system[:, count:, :count] = affine.transpose(1, 2)
    weights = torch.linalg.solve(system, F.pad(values, (0, 0, 0, 3)))

    def field(position: Tensor) -> Tensor:
        shape = position.shape[-2:]
        place = (position.flatten(2).transpose(1, 2) / scale[:, None, None]).contiguous()
        kernel = _thin_plate_kernel(_squared_distances(place, unit))
        flow = kernel @ weights[:, :count] + place @ weights[:, count + 1 :]
        flow = flow + weights[:, count : count + 1]
        return flow.transpose(1, 2).unflatten(2, shape)

    return field


def _thin_plate_kernel(squared: Tensor) -> Tensor:
    return squared * (squared + 1e-9).log()


def _squared_distances(place: Tensor, anchors: Tensor) -> Tensor:
    """B P 2 (or 1 P 2) and B N 2 -> B P N."""
    place = place.expand(len(anchors), -1, -1)
    lengths = place.square().sum(-1, keepdim=True) + anchors.square().sum(-1)[:, None]
    return torch.baddbmm(lengths, place, anchors.transpose(1, 2), alpha=-2).clamp_min_(0)


def gaussian_window(exponent: Tensor) -> Tensor:
    """exp(-exponent), brought to exactly zero where it falls under 1e-5."""
    return torch.exp(-exponent.clamp(0, _FAR)) - math.exp(-_FAR)


def shepard_interpolation(
    anchors: Tensor, values: Tensor, softness: Tensor
) -> Callable[[Tensor], Tensor]:
    """Mean of scattered flows by inverse distance (Shepard 1968), rounded off at the anchors.

    Args:
        anchors: B N 2 in pixels.
        values: B N 2, the flow at the anchors.
        softness: B, distance in pixels below which an anchor's weight stops growing.

    Returns:
        A field for `smooth_flow`.
    """
    soft = softness.square()[:, None, None]

    def field(position: Tensor) -> Tensor:
        place = position.flatten(2).transpose(1, 2)
        weight = (_squared_distances(place, anchors) / soft + 1).reciprocal().pow(3)
        flow = (weight @ values) / weight.sum(-1, keepdim=True)
        return flow.transpose(1, 2).unflatten(2, position.shape[-2:])

    return field


def gaussian_interpolation(
    anchors: Tensor, values: Tensor, radius: Tensor, smoothing: float = 1e-3
) -> Callable[[Tensor], Tensor]:
    """Sum of Gaussians through scattered flows; it fades to zero away from the anchors.

    Args:
        anchors: B N 2 in pixels.
        values: B N 2, the flow at the anchors.
        radius: B, standard deviation of the Gaussians in pixels.
        smoothing: tolerance that keeps the system well posed when anchors nearly coincide.

    Returns:
        A field for `smooth_flow`.
    """
    narrow = 0.5 / radius.square()[:, None, None]

    def windows(places: Tensor, axis: int) -> Tensor:
        """B P N: the share of each anchor's Gaussian that one coordinate gives."""
        return gaussian_window((places[..., None] - anchors[:, None, :, axis]).square() * narrow)

    kernel = windows(anchors[..., 0], 0) * windows(anchors[..., 1], 1)
    identity = torch.eye(anchors.shape[1], device=anchors.device, dtype=anchors.dtype)
    weights = torch.linalg.solve(kernel + smoothing * identity, values)

    def field(position: Tensor) -> Tensor:
        columns = windows(position[:, 0, 0], 0)
        rows = windows(position[:, 1, :, 0], 1)
        weighted = rows[:, None] * weights.transpose(1, 2)[:, :, None]
        return weighted @ columns.transpose(1, 2)[:, None]

    return field
