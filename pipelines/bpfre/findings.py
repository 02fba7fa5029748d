"""What BPFRe's networks find on photos of any size: run in tiles, and brought to full size."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...models.bpfre.planes import brought, share_taken
from ..photos.arrays import working_shape
from ..photos.tiles import Window, blend_tiles, windows

TILES_AT_ONCE = 8
RAMP = 2.0  # edits are let through fully where the maps reach this many times the threshold
_AROUND = 1.5  # sigma in pixels of the working size over which an edit is compared with the photo
Network = Callable[[Tensor], Tensor]  # planes N C h w -> planes N D h w


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


def find(
    network: Network, photo: Tensor, working_size: int | None, tile: int, edits: bool = True
) -> Findings:
    """Runs the network at the working size and brings its planes back to the photo's.

    Args:
        network: planes N C h w -> the planes of `Findings`, N 8 h w.
        photo: B C H W, the photo in its first three channels.
        working_size: shorter side at which the network works; None: the photo's own.
        tile: longer sides are worked on in tiles of this side.
        edits: whether the first planes are edits of the photo, which take its detail with them.
    """
    height, width = photo.shape[-2:]
    shape = working_shape(photo, working_size)
    small = photo if shape == (height, width) else F.interpolate(photo, shape, mode="area")
    planes = run_tiled(network, small, tile)
    if shape != (height, width):
        taken = share_taken(small.repeat(1, 2, 1, 1), planes[:, :6], _AROUND) if edits else None
        planes = F.interpolate(planes, (height, width), mode="bilinear", align_corners=False)
        if taken is not None:
            _take_detail(planes, photo, small, taken)
    return Findings(*planes.split((3, 3, 1, 1), dim=1))


def _take_detail(planes: Tensor, photo: Tensor, small: Tensor, taken: Tensor) -> None:
    """Adds to both edits the share of them that the reduced photo 3 h w could not show."""
    size = photo.shape[-2:]
    for channel in range(3):
        detail = photo[:, channel : channel + 1] - brought(small[:, channel : channel + 1], size)
        for number in (channel, channel + 3):
            share = brought(taken[:, number : number + 1], size)
            planes[:, number : number + 1].addcmul_(share, detail, value=-1)


def run_tiled(network: Network, photo: Tensor, tile: int) -> Tensor:
    """Runs the network on overlapping tiles and blends their planes; one where that holds all."""
    if max(photo.shape[-2:]) <= tile:
        return network(photo)

    def run(some: Sequence[Window]) -> Sequence[Tensor]:
        return network(torch.cat([window.of(photo) for window in some])).split(len(photo))

    return blend_tiles(run, tiles(photo.shape[-2:], tile), max(1, TILES_AT_ONCE // len(photo)))


def tiles(shape: Sequence[int], tile: int) -> list[Window]:
    """The tiles of a picture (height, width); neighbours overlap by a quarter or more."""
    return windows(shape, tile, tile - tile * 3 // 4)


def opening(found: Tensor, threshold: float) -> Tensor:
    """0 where a map is at most the threshold, 1 where it is `RAMP` times that or more."""
    share = ((found - threshold) / (threshold * (RAMP - 1))).clamp(0, 1)
    return share * share * (3 - 2 * share)


def planes_of(network: Any) -> Network:
    """The network as a function of planes: photo (and hole) in, edits and maps out, float32."""

    def run(planes: Tensor) -> Tensor:
        photo = planes.to(network.dtype)
        hole = photo[:, 3:] if photo.shape[1] > 3 else None
        output = network(photo[:, :3], hole=hole)
        edits = (output.coarse - photo[:, :3], output.refined - photo[:, :3])
        return torch.cat((*edits, output.coarse_map, output.refined_map), dim=1).float()

    return run


def filled(network: Network) -> Network:
    """The network with results in place of edits, which can be enlarged over a hole's edge.

    What a reduction left of a hole, however little, is a whole hole to the network.
    """

    def run(planes: Tensor) -> Tensor:
        hole = (planes[:, 3:] > 0).to(planes)
        photo = planes[:, :3] * (1 - hole)
        found = network(torch.cat((photo, hole), dim=1))
        return torch.cat((found[:, :6] + photo.repeat(1, 2, 1, 1), found[:, 6:]), dim=1)

    return run
