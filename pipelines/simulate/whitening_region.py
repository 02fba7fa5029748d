"""Where whitening engines act: mostly on the whole picture."""

from __future__ import annotations

from torch import Tensor

from .landmarks import FaceRegions
from .regions import choose_region

SHARES = (0.2, 0.2)
"""Shares of the first variation: the face, skin by a colour rule; the rest is the picture."""


def tone_region(rgb: Tensor, variations: Tensor, face: FaceRegions) -> Tensor:
    """The region that the first of B 4 variations chooses: B 1 H W in [0, 1]."""
    return choose_region(rgb, face, variations[:, 0], SHARES)
