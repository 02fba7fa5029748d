"""What the retoucher sees beside the photo: local contrast, and holes smoothly filled."""

import torch
import torch.nn.functional as F
from torch import Tensor


def local_contrast(photo: Tensor, gain: float = 4.0) -> Tensor:
    """What departs from its surroundings of 16 pixels, B 3 H W, amplified: blemishes show there."""
    height, width = photo.shape[-2:]
    around = F.avg_pool2d(photo, 8, ceil_mode=True, count_include_pad=False)
    around = F.interpolate(around, (height, width), mode="bilinear", align_corners=False)
    return (photo - around) * gain


def fill_smoothly(photo: Tensor, hole: Tensor) -> Tensor:
    """Holes filled with means of what surrounds them, the wider the deeper inside (push-pull).

    Args:
        photo: B C H W.
        hole: B 1 H W, 1 where the photo is unknown, else 0.

    Returns:
        The photo, unchanged outside the holes; 0 where nothing is known at all.
    """
    known = 1 - hole.to(photo)
    values = photo * known
    if photo.shape[-2:] == (1, 1) or bool((known > 0).all()):
        return torch.where(known > 0, photo, 0)
    pooled = [F.avg_pool2d(each, 2, ceil_mode=True) for each in (values, known)]
    coarser = pooled[0] / pooled[1].clamp_min(1e-6)
    around = fill_smoothly(coarser, (pooled[1] == 0).to(photo))
    around = F.interpolate(around, photo.shape[-2:], mode="bilinear", align_corners=False)
    return torch.where(known > 0, photo, around)
