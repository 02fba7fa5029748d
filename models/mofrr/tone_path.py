"""TonePath: how bright and how coloured a photo is, cell by cell, for NativeRouter.

Whitening is told by absolute tone, and by how much lighter skin is than sclera, lips and neck. A
normalised network has lost both after its first layer, so nothing here is normalised.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .granularity import max_over_map, mean_over_map

CELL = 4
"""Side in pixels of the cells whose mean, brightest and darkest values are seen."""
MAP = 8


class TonePath(nn.Module):
    """The small colour image, B 3 128 128 in [-1, 1] -> features B `size`.

    Args:
        width: channels.
        map_width: channels of the 8 x 8 map that is read place by place.
    """

    def __init__(self, width: int, map_width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(9, width, 3, 2, 1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, 2, 1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, 1, 1),
            nn.SiLU(),
        )
        self.map = nn.Conv2d(width, map_width, 1)
        self.size = 2 * width + map_width * MAP**2

    def forward(self, colour: Tensor) -> Tensor:
        """B `size`."""
        cells = F.avg_pool2d(colour, CELL), F.max_pool2d(colour, CELL), -F.max_pool2d(-colour, CELL)
        features = self.layers(torch.cat(cells, dim=1))
        placed = self.map(features).flatten(1)
        return torch.cat((mean_over_map(features), max_over_map(features), placed), dim=1)
