"""What saving and sharing do to a photo: a detour over a smaller size, and JPEG compression."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from .recipe import Export


def apply_export(images: Tensor, exports: Sequence[Export]) -> Tensor:
    """Exports each photo its own way: first the change of size, then the compression.

    Args:
        images: B 3 H W in [-1, 1], RGB, on any device.
        exports: One per photo; a photo whose export asks for nothing comes back to the bit.

    Returns:
        B 3 H W in [-1, 1], a new tensor.

    Raises:
        ValueError: If the photos and exports differ in number.
    """
    if len(exports) != len(images):
        raise ValueError(f"Expected one export per photo, got {len(exports)} for {len(images)}.")
    exported = images.clone()
    for index, export in enumerate(exports):
        if export.scale is not None:
            exported[index] = _through_size(exported[index], export.scale)
        if export.jpeg_quality is not None:
            exported[index] = _through_jpeg(exported[index], export.jpeg_quality)
    return exported


def _through_size(image: Tensor, scale: float) -> Tensor:
    """Reduces 3 H W by an antialiased bilinear filter and enlarges it bicubically."""
    height, width = image.shape[-2:]
    small = (max(1, round(height * scale)), max(1, round(width * scale)))
    if small == (height, width):
        return image
    reduced = F.interpolate(image[None], small, mode="bilinear", antialias=True)
    return F.interpolate(reduced, (height, width), mode="bicubic").clamp(-1, 1)[0]


def _through_jpeg(image: Tensor, quality: int) -> Tensor:
    """Encodes and decodes 3 H W by Pillow's JPEG (4:2:0 chroma)."""
    pixels = ((image.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    file = BytesIO()
    picture = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    picture.save(file, format="JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file) as decoded:
        values = torch.from_numpy(np.array(decoded)).permute(2, 0, 1)
    return (values.to(image.dtype) / 127.5 - 1).to(image.device)
