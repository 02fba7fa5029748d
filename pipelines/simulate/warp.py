"""Backward flows in pixels: evaluating them, warping with them, inverting and composing them.

A flow f is B 2 H W, channel 0 to the right and channel 1 downwards: warped(p) = image(p + f(p)).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

MODES = ("bilinear", "bicubic", "nearest")
BORDER = 0.5  # largest motion across the border, as a share of the distance to it
INVERSE_STEPS = {4: 10, 2: 3}  # how often the inverse is renewed on every n-th pixel
INVERSE_FULL_STEPS = 5  # and on all of them at most
INVERSE_RESIDUAL = 0.05


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
    flow = within_border(field(position), position, height, width)
    if shape == (height, width):
        return flow
    return upsample(flow, height, width)


def exact_flow(
    field: Callable[[Tensor], Tensor], height: int, width: int, low: Tensor, high: Tensor
) -> Tensor:
    """Evaluate a flow at every pixel of a box and leave the rest still: no kink is rounded off.

    Args:
        field: positions (B 2 h w, pixels) -> flow there (B 2 h w), zero outside the box.
        height: height of the photo in pixels.
        width: width of the photo in pixels.
        low: B 2, left and upper end of the box in pixels.
        high: B 2, right and lower end.

    Returns:
        B 2 H W; across the photo's border nothing moves.
    """
    limit = low.new_tensor([width, height])
    size = ((high - low).amax(0).ceil() + 2).minimum(limit)
    columns, rows = (int(s) for s in size.clamp_min(1).tolist())
    origin = low.floor().clamp_min(0).minimum(limit - size).clamp_min(0)
    inside = torch.stack(
        torch.meshgrid(
            torch.arange(columns, device=low.device, dtype=low.dtype),
            torch.arange(rows, device=low.device, dtype=low.dtype),
            indexing="xy",
        )
    )
    position = inside + origin[:, :, None, None]
    values = within_border(field(position), position, height, width)
    index = (position[:, 1] * width + position[:, 0]).long().flatten(1)
    flow = values.new_zeros(len(low), 2, height * width)
    flow.scatter_(2, index[:, None].expand(-1, 2, -1), values.flatten(2))
    return flow.unflatten(2, (height, width))


def within_border(flow: Tensor, position: Tensor, height: int, width: int) -> Tensor:
    """Softly limits each component of a flow to half the room up to the photo's border.

    Args:
        flow: B 2 h w in pixels.
        position: 1 or B 2 h w, where it acts.
        height: height of the photo in pixels.
        width: width of the photo in pixels.
    """
    size = position.new_tensor([width, height]).view(1, 2, 1, 1)
    room = torch.minimum(position, size - 1 - position).clamp_min(0) * BORDER + 1e-3
    return room * (flow / room).tanh()


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


def compose_flows(first: Tensor, *later: Tensor) -> Tensor:
    """The one flow that equals warping by `first` and then by each of `later` in turn.

    out(p) = image(first(second(p))): the photo is sampled once however many warps there are.
    """
    for flow in later:
        first = flow + warp_image(first, flow)
    return first


def linear_mesh(flow: Tensor, cells: Tensor) -> Tensor:
    """A flow as an engine's textured mesh draws it: read at the nodes, linear in between.

    Args:
        flow: B 2 H W in pixels.
        cells: B whole numbers, cells along the shorter side (engines use 20 to 200).

    Returns:
        B 2 H W, bilinear inside every square cell.
    """
    height, width = flow.shape[-2:]
    step = min(height - 1, width - 1) / cells.to(flow)
    nodes = node_grid(step, height, width)
    span = flow.new_tensor([max(width - 1, 1), max(height - 1, 1)]).view(1, 2, 1, 1)
    place = (nodes * (2 / span) - 1).permute(0, 2, 3, 1)
    values = F.grid_sample(flow, place, padding_mode="border", align_corners=True)
    return between_nodes(values, step, height, width)


def node_grid(step: Tensor, height: int, width: int) -> Tensor:
    """Nodes `step` (B, pixels) apart that cover the photo, B 2 h w; fine meshes set h and w."""
    rows, columns = (int((size / step.min()).ceil()) + 1 for size in (height - 1, width - 1))
    y = torch.arange(rows, device=step.device, dtype=step.dtype)
    x = torch.arange(columns, device=step.device, dtype=step.dtype)
    unit = torch.stack(torch.meshgrid(x, y, indexing="xy"))
    return unit * step[:, None, None, None]


def between_nodes(values: Tensor, step: Tensor, height: int, width: int) -> Tensor:
    """Fields at the nodes of `node_grid` (B C h w) as B C H W, bilinear inside each cell."""
    rows = _hat_weights(height, values.shape[-2], step)
    columns = _hat_weights(width, values.shape[-1], step)
    return rows[:, None] @ (values @ columns.transpose(1, 2)[:, None])


def _hat_weights(size: int, count: int, step: Tensor) -> Tensor:
    """B size count: how much each node counts at each pixel."""
    place = torch.arange(size, device=step.device, dtype=step.dtype) / step[:, None]
    node = torch.arange(count, device=step.device, dtype=step.dtype)
    return (1 - (place[..., None] - node).abs()).clamp_min(0)


def invert_flow(flow: Tensor) -> Tensor:
    """The flow that undoes `flow`, by iterating f(p) = -flow(p + f(p)) from coarse to fine grids.

    The iteration converges where the flow changes by less than a pixel per pixel (no folds). It
    goes on at every pixel until a step changes less than `INVERSE_RESIDUAL` pixels.
    """
    height, width = flow.shape[-2:]
    inverse = -flow
    for reduction, steps in INVERSE_STEPS.items():
        shape = (-(-height // reduction), -(-width // reduction))
        scale = flow.new_tensor([shape[1] / width, shape[0] / height]).view(1, 2, 1, 1)
        level = F.interpolate(flow, shape, mode="bilinear") * scale
        inverse = F.interpolate(inverse, shape, mode="bilinear") * scale
        for _ in range(steps):
            inverse = -warp_image(level, inverse)
        inverse = inverse / scale

    inverse = F.interpolate(inverse, (height, width), mode="bilinear")
    for _ in range(INVERSE_FULL_STEPS):
        start, inverse = inverse, -warp_image(flow, inverse)
        if (inverse - start).abs().max() < INVERSE_RESIDUAL:
            break
    return inverse


def move_points(points: Tensor, flow: Tensor, steps: int = 12) -> Tensor:
    """Where a warp by `flow` (B 2 H W) takes `points` (B N 2, pixels): q with q + flow(q) = p."""
    height, width = flow.shape[-2:]
    span = flow.new_tensor([max(width - 1, 1), max(height - 1, 1)])
    moved = points
    for _ in range(steps):
        place = (moved * (2 / span) - 1)[:, None]
        motion = F.grid_sample(flow, place, padding_mode="border", align_corners=True)
        moved = points - motion[:, :, 0].transpose(1, 2)
    return moved
