"""Tone curves and colour maps given as tables: monotone splines, curves per channel, 3-D LUTs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

NODES = 256
"""Entries of a tone curve's table."""
LATTICE = 17
"""Nodes of a 3-D LUT along each of R, G and B."""


def curve_inputs(like: Tensor) -> Tensor:
    """The inputs at which a tone curve is tabulated: 1 1 `NODES`, from 0 to 1."""
    return torch.linspace(0, 1, NODES, device=like.device, dtype=like.dtype)[None, None]


def apply_curve(rgb: Tensor, table: Tensor) -> Tensor:
    """Looks up tone curves with linear interpolation.

    Args:
        rgb: B C H W in [0, 1].
        table: B C N, or with 1 for B or C, outputs for inputs spread evenly over [0, 1].

    Returns:
        B C H W.
    """
    table = table.expand(*rgb.shape[:2], -1)
    position = (rgb * (table.shape[-1] - 1)).flatten(2)
    index = position.long().clamp_(0, table.shape[-1] - 2)
    slope = table.diff(dim=-1)
    value = position.sub_(index).mul_(slope.gather(-1, index)).add_(table.gather(-1, index))
    return value.view(rgb.shape)


def monotone_spline(x: Tensor, y: Tensor) -> Tensor:
    """Tabulates the rising cubic through knots that rise themselves.

    Args:
        x: B K, inputs of the knots, from 0 to 1, rising.
        y: B K, their outputs, not falling.

    Returns:
        B 1 `NODES`.

    Source: Fritsch and Butland, SIAM J. Sci. Stat. Comput. 5, 1984 (harmonic mean of slopes).
    """
    step = x.diff(dim=1)
    slope = y.diff(dim=1) / step
    inner = 2 * slope[:, 1:] * slope[:, :-1] / (slope[:, 1:] + slope[:, :-1]).clamp_min(1e-6)
    tangent = torch.cat((slope[:, :1], inner, slope[:, -1:]), dim=1)

    at = curve_inputs(x)[:, 0].expand(len(x), -1).contiguous()
    left = (torch.searchsorted(x.contiguous(), at, right=True) - 1).clamp(0, x.shape[1] - 2)
    width, low, high = step.gather(1, left), y.gather(1, left), y.gather(1, left + 1)
    t = (at - x.gather(1, left)) / width
    bend = width * (tangent.gather(1, left) * (1 - t) - tangent.gather(1, left + 1) * t)
    rise = t * t * (3 - 2 * t)
    return (low + (high - low) * rise + bend * t * (1 - t))[:, None]


def make_lut(colour_map: Callable[[Tensor], Tensor], batch: int, like: Tensor) -> Tensor:
    """Tabulates a colour map at every node of the lattice.

    Args:
        colour_map: B 3 h w in [0, 1] -> B 3 h w.
        batch: B.
        like: gives dtype and device.

    Returns:
        B 3 N N N, axes blue, green, red from slow to fast.
    """
    axis = torch.linspace(0, 1, LATTICE, device=like.device, dtype=like.dtype)
    blue, green, red = torch.meshgrid(axis, axis, axis, indexing="ij")
    lattice = torch.stack((red, green, blue)).view(1, 3, LATTICE, -1).expand(batch, -1, -1, -1)
    return colour_map(lattice).view(batch, 3, LATTICE, LATTICE, LATTICE)


def apply_lut(rgb: Tensor, lut: Tensor) -> Tensor:
    """Maps colours (B 3 H W in [0, 1]) by LUTs of `make_lut`, trilinearly."""
    at = rgb.mul(2).sub_(1).permute(0, 2, 3, 1)[:, None]
    mapped = F.grid_sample(lut, at, mode="bilinear", padding_mode="border", align_corners=True)
    return mapped[:, :, 0]
