"""Geometry: photos moved by flows."""

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Samples `image` at p + flow(p), bilinear, edge pixels repeated outside.

    Args:
        image: B C H W.
        flow: B 2 H W, pixels, channel 0 = x, channel 1 = y.

    Returns:
        B C H W. A flow of zeros gives the image back to the bit.
    """
    return _sample(image, flow, "bilinear")


def warp_smoothly(image: Tensor, flow: Tensor, top: int = 0) -> Tensor:
    """The same, bicubic and held to the range [-1, 1] of photos.

    Args:
        image: B C H W.
        flow: B 2 h W, of some rows or all.
        top: the first of them.

    Returns:
        Those rows, B C h W.
    """
    return _sample(image, flow, "bicubic", top).clamp_(-1, 1)


def _sample(image: Tensor, flow: Tensor, mode: str, top: int = 0) -> Tensor:
    height, width = image.shape[-2:]
    flow = flow.float()
    bottom = top + flow.shape[-2]
    rows = torch.arange(top, bottom, device=flow.device, dtype=torch.float32)
    columns = torch.arange(width, device=flow.device, dtype=torch.float32)
    across, down = 2 / max(width - 1, 1), 2 / max(height - 1, 1)
    x = torch.add(columns * across - 1, flow[:, 0], alpha=across)
    y = torch.add(rows[:, None] * down - 1, flow[:, 1], alpha=down)
    grid = torch.stack((x, y), dim=-1)
    moved = F.grid_sample(image.float(), grid, mode, padding_mode="border", align_corners=True)
    still = (flow[:, :1] == 0) & (flow[:, 1:] == 0)
    if flow.device.type != "cpu" or still.any():  # elsewhere the question takes longer
        moved = torch.where(still, image[..., top:bottom, :].float(), moved)
    return moved.to(image.dtype)


def upsample_flow(flow: Tensor, photo: Tensor) -> Tensor:
    """A flow in pixels of `photo` on a coarser grid, B 2 h w -> B 2 H W, bilinear."""
    return F.interpolate(flow.float(), size=photo.shape[-2:], mode="bilinear").to(flow.dtype)
