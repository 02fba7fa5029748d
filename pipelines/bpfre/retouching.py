"""The retouching and the filling of holes: the one procedure, whoever calls it.

`BPFRePipeline` does, and so does a host that owns the memory and brings its own `Room`. Only what a
network sees, tiles of the working size at most, goes to the device; results are enlarged and joined
with the photos where these are.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..photos.arrays import add_residual, to_signed, working_shape
from ..room import Room, Share, Work
from .findings import TILES_AT_ONCE, Findings, Network, filled, find, opening, tiles
from .output import Retouched

PIXELS_AT_ONCE = 2**20  # of photos at full size that are worked on together in a host's room


class Way(NamedTuple):
    """How a network looks at photos."""

    part: str  # "retoucher" or "inpainter"
    network: Network
    working_size: int | None  # shorter side; None: the photos' own
    tile_size: int  # of the tiles in pixels


def retouch(way: Way, pixels: Tensor, allowed: Tensor, threshold: float, room: Room) -> Retouched:
    """Retouches photos of one size.

    Args:
        way: with the retoucher.
        pixels: B 3 H W in [0, 1].
        allowed: what part of an edit is applied, 0 .. 1, B 1 H W or broadcast to it.
        threshold: of the maps' sum, from which edits are let through.
        room: the memory to do it in.
    """

    def act(some: slice, look: Callable[[Tensor], Findings]) -> Retouched:
        photos, share = pixels[some], allowed[some] if len(allowed) > 1 else allowed
        found = look(to_signed(photos))
        first = share * opening(found.coarse_map, threshold)
        both = share * opening(found.coarse_map + found.refined_map, threshold)
        return Retouched(
            add_residual(photos, both * found.refined),
            add_residual(photos, first * found.coarse),
            torch.cat((found.coarse_map, found.refined_map), dim=1),
        )

    return _in_room(way, way.network, pixels, act, room)


def fill(way: Way, pixels: Tensor, hole: Tensor, room: Room) -> Retouched:
    """Fills the holes of photos of one size.

    Args:
        way: with the inpainter.
        pixels: B 3 H W in [0, 1].
        hole: B 1 H W in [0, 1], 1 = fill; nothing is seen of what is not 0.
        room: the memory to do it in.
    """

    def act(some: slice, look: Callable[[Tensor], Findings]) -> Retouched:
        photo, covered = to_signed(pixels[some]), (hole[some] > 0).to(pixels)
        found = look(torch.cat((photo * (1 - covered), covered), dim=1))
        images, coarse = (
            add_residual(pixels[some], hole[some] * (result - photo))
            for result in (found.refined, found.coarse)
        )
        return Retouched(images, coarse, torch.cat(found[2:], dim=1))

    return _in_room(way, filled(way.network), pixels, act, room)


def _in_room(
    way: Way,
    network: Network,
    pixels: Tensor,
    act: Callable[[slice, Callable[[Tensor], Findings]], Retouched],
    room: Room,
) -> Retouched:
    """Acts on all photos, a group after the other, in tiles that fit."""
    shape = working_shape(pixels, way.working_size)
    together = max(1, PIXELS_AT_ONCE // pixels[0, 0].numel())
    together = len(pixels) if room.holds_everything else min(together, len(pixels))

    def run(share: Share) -> Retouched:
        tile = share.tile or way.tile_size
        steps = len(pixels) * (len(tiles(shape, tile)) + 1)
        done = 0

        def advance(more: int, picture: Tensor | None) -> None:
            nonlocal done
            done += more
            room.show(done / steps, steps, picture)

        def look(photos: Tensor) -> Findings:
            shared = _shared(network, share, room, advance)
            return find(shared, photos, way.working_size, tile, way.part == "retoucher")

        parts = []
        for first in range(0, len(pixels), together):
            parts.append(act(slice(first, first + together), look))
            advance(len(parts[-1].images), to_signed(parts[-1].images[0]))
        return Retouched.joined(parts)

    count = len(tiles(shape, way.tile_size))
    at_once = together * min(count, max(1, TILES_AT_ONCE // together))
    height, width = (min(side, way.tile_size) for side in shape)
    return room.split(Work(way.part, at_once, height, width), run)


def _shared(
    network: Network, share: Share, room: Room, advance: Callable[[int, Tensor | None], None]
) -> Network:
    """The network as a function of planes that wait elsewhere, few on its device at once."""

    def run(planes: Tensor) -> Tensor:
        parts = []
        for part in planes.split(share.photos):
            room.check()
            parts.append(network(part.to(share.device or part.device)).to(planes.device))
            advance(len(part), None)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    return run
