"""Flows through scattered anchors: fields for `smooth_flow`, B 2 h w at positions in pixels."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

_FAR = 12.0  # where a Gaussian counts as zero


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
