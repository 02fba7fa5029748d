"""What a photometric retouching algorithm hands back: the edited photo, and where it acted."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .colour import signed
from .filters import per_sample


class Edit(NamedTuple):
    """Result of one photometric algorithm on a batch.

    Attributes:
        image: B 3 H W, RGB in [-1, 1].
        mask: B 1 H W in [0, 1], the share of the edit that each pixel received.
    """

    image: Tensor
    mask: Tensor


def blend(images: Tensor, edited: Tensor, mask: Tensor, degrees: Tensor) -> Edit:
    """Puts an edited picture over the photo where the mask says; degree 0 is exact.

    Args:
        images: B 3 H W in [-1, 1].
        edited: B 3 H W in [0, 1].
        mask: B 1 H W in [0, 1].
        degrees: B in [0, 1].
    """
    acts = per_sample(degrees) > 0
    image = images.lerp(signed(edited), mask)
    if bool(acts.all()):
        return Edit(image, mask)
    return Edit(torch.where(acts, image, images), mask * acts)
