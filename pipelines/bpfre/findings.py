"""Runs BPFRe's networks on photos of any size, in overlapping tiles, and lifts what they find."""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..photos.arrays import working_shape

TILES_AT_ONCE = 8
RAMP = 2.0  # edits are let through fully where the maps reach this many times the threshold


class Findings(NamedTuple):
    """What a network finds on photos, as planes that can be enlarged.

    Attributes:
        coarse: B 3 H W, coarse result minus photo, on the [-1, 1] scale.
        refined: B 3 H W, refined result minus photo.
        coarse_map: B 1 H W >= 0, the E2D map.
        refined_map: B 1 H W >= 0, the D2G map.
    """

    coarse: Tensor
    refined: Tensor
    coarse_map: Tensor
    refined_map: Tensor


Network = Callable[[Tensor], Tensor]  # planes N C h w -> planes N D h w


def find(network: Network, photo: Tensor, working_size: int | None, tile: int) -> Findings:
    """Runs the network at the working size and brings its planes back to the photo's.

    Args:
        network: planes N C h w -> the planes of `Findings`, N 8 h w.
        photo: B C H W, the photo in its first three channels.
        working_size: shorter side at which the network works; None: the photo's own.
        tile: longer sides are worked on in tiles of this side.
    """
    height, width = photo.shape[-2:]
    shape = working_shape(photo, working_size)
    small = photo if shape == (height, width) else F.interpolate(photo, shape, mode="area")
    planes = run_tiled(network, small, tile)
    if shape != (height, width):
        planes = F.interpolate(planes, (height, width), mode="bilinear", align_corners=False)
    return Findings(*planes.split((3, 3, 1, 1), dim=1))


def run_tiled(network: Network, photo: Tensor, tile: int) -> Tensor:
    """Runs the network on overlapping tiles and blends their planes; one tile where that holds it.

    Neighbours overlap by about a quarter of a tile, in which one fades into the other.
    """
    height, width = photo.shape[-2:]
    if max(height, width) <= tile:
        return network(photo)
    corners = [
        (top, left) for top in tile_starts(height, tile) for left in tile_starts(width, tile)
    ]
    tall, wide = min(tile, height), min(tile, width)
    weight = (_fade(tall, photo)[:, None] * _fade(wide, photo))[None, None]
    total: Tensor | None = None
    weights = photo.new_zeros(1, 1, height, width)
    per_call = max(1, TILES_AT_ONCE // len(photo))
    for first in range(0, len(corners), per_call):
        some = corners[first : first + per_call]
        windows = [photo[..., top : top + tall, left : left + wide] for top, left in some]
        results = network(torch.cat(windows)).split(len(photo))
        for (top, left), planes in zip(some, results, strict=True):
            if total is None:
                total = planes.new_zeros(len(photo), planes.shape[1], height, width)
            total[..., top : top + tall, left : left + wide] += planes * weight
            weights[..., top : top + tall, left : left + wide] += weight
    assert total is not None
    return total / weights


def tile_starts(length: int, tile: int) -> list[int]:
    """Where tiles begin along one axis: evenly spread, overlapping by a quarter or more."""
    if length <= tile:
        return [0]
    count = -(-(length - tile) // (tile * 3 // 4)) + 1
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def _fade(length: int, like: Tensor) -> Tensor:
    """Weights that rise from both ends of a tile over a quarter of it."""
    place = torch.arange(length, device=like.device, dtype=like.dtype) + 0.5
    return (torch.minimum(place, length - place) / (length / 4)).clamp(max=1)


def opening(found: Tensor, threshold: float) -> Tensor:
    """0 where a map is at most the threshold, 1 where it is `RAMP` times that or more."""
    share = ((found - threshold) / (threshold * (RAMP - 1))).clamp(0, 1)
    return share * share * (3 - 2 * share)
