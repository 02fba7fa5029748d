"""What a photometric retouching algorithm hands back: the edited photo, and where it acted."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Edit(NamedTuple):
    """Result of one photometric algorithm on a batch.

    Attributes:
        image: B 3 H W, RGB in [-1, 1].
        mask: B 1 H W in [0, 1], the share of the edit that each pixel received.
    """

    image: Tensor
    mask: Tensor
