"""What the networks that read photos at their own size see of them."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..native_traces import CHANNELS, LEVELS, block_spectrum, traces_and_details
from ..sizes import SizeRequirements

COLOUR_SIDE = 128
"""Side in pixels of the colour image that they see beside the traces."""
PLACED = CHANNELS + 4
"""Channels of the traces with what `place` appends."""
OWN_SIZE = SizeRequirements(minimum=64, multiple=1, working=1024)
"""Photos are read as they are; the shorter side of larger ones is reduced to 1024 pixels."""


class NativeView(NamedTuple):
    """What the networks see of B photos of any size."""

    traces: Tensor  # B 59 32 32, see `native_traces`
    colour: Tensor  # B 3 128 128 in [-1, 1], the photo reduced
    side: Tensor  # B, log2 of the photo's shorter side / 256 pixels
    spectrum: Tensor  # B 27 32 32, see `block_spectrum`
    fine: Tensor  # B 3 128 128, see `fine_details`


def look(photo: Tensor) -> NativeView:
    """The view of B 3 H W in [-1, 1]; the border of tiny photos is repeated up to 8 pixels."""
    bottom, right = (max(0, 2**LEVELS - side) for side in photo.shape[-2:])
    photo = F.pad(photo, (0, right, 0, bottom), mode="replicate") if bottom or right else photo
    colour = F.interpolate(photo, (COLOUR_SIDE, COLOUR_SIDE), mode="bilinear", antialias=True)
    side = photo.new_full((len(photo),), min(photo.shape[-2:]) / 256).log2()
    traces, fine = traces_and_details(photo)
    return NativeView(traces, colour, side, block_spectrum(photo), fine)


def both_ways(view: NativeView) -> NativeView:
    """The view of B photos and, after them, of their mirror images: a photo is looked at once."""
    mirrored = NativeView(*(f.flip(-1) if f.dim() == 4 else f for f in view))
    return NativeView(*(torch.cat(pair) for pair in zip(view, mirrored, strict=True)))


def place(traces: Tensor, side: Tensor) -> Tensor:
    """Appends rows, columns, distance from the middle column, and the photo's size: B C+4 h w."""
    height, width = traces.shape[-2:]
    rows = torch.linspace(-1, 1, height, device=traces.device, dtype=traces.dtype)[:, None]
    columns = torch.linspace(-1, 1, width, device=traces.device, dtype=traces.dtype)
    position = torch.stack(torch.broadcast_tensors(rows, columns, columns.abs() * 2 - 1))
    size = side.to(traces).view(-1, 1, 1, 1).expand(-1, 1, height, width)
    return torch.cat((traces, position.expand(traces.shape[0], -1, -1, -1), size), dim=1)
