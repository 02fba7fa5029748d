"""Masks that come with photos. One rule says how each is read; see `read_masks`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..photos.arrays import Photo, read_photos


def read_masks(mask: Any, photos: Sequence[Photo], name: str) -> list[Tensor] | None:
    """Masks 1 H W in [0, 1], one for each photo, or None where none came.

    A tensor or an array of two dimensions is H W, of three B H W, whatever B is; of four it is read
    as photos are (B C H W; arrays B H W C), and so is a picture: colours are averaged, alpha is not
    looked at. Values are floats in [0, 1], whole numbers to 255, or booleans; a list holds a mask
    for each photo.

    Raises:
        ValueError: their number or size is not the photos', or their values are not as above.
    """
    if mask is None:
        return None
    planes = _planes(mask, name)
    if len(planes) == 1:
        planes = planes * len(photos)
    if len(planes) != len(photos):
        raise ValueError(
            f"{len(planes)} {name}s came for {len(photos)} photos; pass 1 or as many (an array of "
            "three dimensions is read as B H W)"
        )
    for plane, photo in zip(planes, photos, strict=True):
        if plane.shape[1:] != photo.pixels.shape[1:]:
            sizes = [f"{p.shape[-1]} x {p.shape[-2]}" for p in (plane, photo.pixels)]
            raise ValueError(f"{name} is {sizes[0]} pixels, its photo {sizes[1]}; resize it")
    return planes


def _planes(mask: Any, name: str) -> list[Tensor]:
    if isinstance(mask, list | tuple):
        return [plane for each in mask for plane in _planes(each, name)]
    if isinstance(mask, np.ndarray):
        mask = torch.from_numpy(mask.astype(np.uint8) * 255 if mask.dtype == bool else mask.copy())
        mask = mask.movedim(-1, -3) if mask.ndim == 4 else mask
    if isinstance(mask, Tensor):
        mask = mask.float() if mask.dtype == torch.bool else mask
        if mask.ndim in (2, 3):
            mask = mask.reshape(-1, 1, *mask.shape[-2:])
    counted = not isinstance(mask, Tensor) or mask.dtype == torch.uint8
    try:
        photos = [each.pixels for each in read_photos(mask)]
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    grey = (not photo.stride(0) for photo in photos)  # one plane, shown three times
    planes = [
        photo[:1] if one else photo.mean(0, keepdim=True)
        for one, photo in zip(grey, photos, strict=True)
    ]
    if counted and any(0 < float(plane.max()) < 1.5 / 255 for plane in planes):
        raise ValueError(
            f"{name} holds levels 0 and 1 of 255, which would be next to nothing; pass booleans, "
            "floats, or levels to 255"
        )
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
