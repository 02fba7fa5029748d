"""What sizes a network takes, as data on the network, and the padding that brings photos there."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

LATENT_STRIDE = 4  # photo pixels per position of what the experts denoise, along a side


class SizeRequirements(NamedTuple):
    """What a network asks of its photos; it pads to the multiple by itself."""

    minimum: int  # pixels, of the shorter side
    multiple: int  # pixels, of both sides, inside the network
    working: int | None = None  # shorter side larger photos are reduced to; None: the pipeline's

    def rounded(self, height: int, width: int) -> tuple[int, int]:
        """The sides, padded to the multiple."""
        return height + -height % self.multiple, width + -width % self.multiple

    def pad(self, planes: Tensor) -> Tensor:
        """Repeats the last row and column of B C H W until both sides are such multiples."""
        height, width = planes.shape[-2:]
        bottom, right = -height % self.multiple, -width % self.multiple
        return F.pad(planes, (0, right, 0, bottom), mode="replicate") if bottom or right else planes
