"""Regions of a mask: their boxes."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_GRID = 192  # regions are told apart on a grid of at most this many cells along a side


def boxes_of(mask: Tensor, least: float = 0.0) -> list[tuple[int, int, int, int]]:
    """Boxes around the connected regions of a mask.

    Regions that are nearer to each other than a cell of the grid count as one.

    Args:
        mask: H W, true inside.
        least: pixels that a region must have.

    Returns:
        For each region left, top, right, bottom; right and bottom lie outside.
    """
    height, width = mask.shape
    step = max(1, -(-max(height, width) // _GRID))
    cells = F.max_pool2d(mask[None, None].float(), step, ceil_mode=True)[0, 0] > 0
    labels = _labels(cells)
    names = labels.repeat_interleave(step, 0).repeat_interleave(step, 1)[:height, :width]
    names = torch.where(mask, names, 0).cpu().numpy()
    rows, columns = np.nonzero(names)
    values = names[rows, columns]
    boxes = []
    for name in np.unique(values):
        own = values == name
        if own.sum() >= max(1, least):
            y, x = rows[own], columns[own]
            boxes.append((int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1))
    return boxes


def _labels(cells: Tensor) -> Tensor:
    """A number for each region of h w cells, 8-connected; 0 outside."""
    height, width = cells.shape
    names = torch.arange(1, height * width + 1, device=cells.device, dtype=torch.float64)
    names = names.view(height, width) * cells
    while True:
        spread = F.max_pool2d(names[None, None], 3, 1, 1)[0, 0] * cells
        heads = spread.flatten()  # a cell bears the number of a cell, which bears a higher one
        spread = heads[(spread.long() - 1).clamp_min(0)] * cells
        if torch.equal(spread, names):
            return names.long()
        names = spread
