"""Masks that come with photos."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..photos.arrays import Photo, read_photos


def read_masks(mask: Any, photos: Sequence[Photo], name: str) -> list[Tensor] | None:
    """Masks 1 H W in [0, 1], one for each photo, or None where none came.

    Raises:
        ValueError: their number or size is not the photos'.
    """
    if mask is None:
        return None
    if isinstance(mask, Tensor) and mask.ndim == 2:
        mask = mask[None]
    planes = [each.pixels.mean(0, keepdim=True) for each in read_photos(mask)]
    if len(planes) == 1:
        planes = planes * len(photos)
    if len(planes) != len(photos):
        raise ValueError(f"{len(planes)} {name}s came for {len(photos)} photos; pass 1 or as many")
    for plane, photo in zip(planes, photos, strict=True):
        if plane.shape[1:] != photo.pixels.shape[1:]:
            sizes = [f"{p.shape[-1]} x {p.shape[-2]}" for p in (plane, photo.pixels)]
            raise ValueError(f"{name} is {sizes[0]} pixels, its photo {sizes[1]}; resize it")
    return planes


def allowed_share(
    pixels: Tensor, strength: float, mask: list[Tensor] | None, preserve: list[Tensor] | None
) -> Tensor:
    """What part of an edit is applied to photos B 3 H W: B 1 H W, or B 1 1 1 without masks."""
    allowed = pixels.new_full((len(pixels), 1, 1, 1), strength)
    if mask is not None:
        allowed = allowed * stack_masks(mask, pixels)
    if preserve is not None:
        allowed = allowed * (1 - stack_masks(preserve, pixels))
    return allowed


def stack_masks(masks: Sequence[Tensor], pixels: Tensor) -> Tensor:
    """B 1 H W on the photos' device."""
    return torch.stack(list(masks)).to(pixels)
