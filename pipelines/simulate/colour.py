"""Colour spaces of the retouching algorithms: linear light, CIE Lab (D65) and full-range YCbCr.

All functions take and return B 3 H W tensors. sRGB and linear RGB lie in [0, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in luma (ITU-R BT.601)."""

_XYZ_FROM_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)  # ITU-R BT.709 primaries
_WHITE = (0.95047, 1.0, 1.08883)  # D65, 2 degrees
_LAB_KNEE = 0.008856
_LAB_SLOPE = 7.787


def unit(images: Tensor) -> Tensor:
    """Brings images from [-1, 1] to [0, 1]."""
    return (images * 0.5).add_(0.5).clamp_(0, 1)


def signed(rgb: Tensor) -> Tensor:
    """Brings images from [0, 1] to [-1, 1]; what lies outside is clipped, as in an 8-bit file."""
    return rgb.clamp(0, 1).mul_(2).sub_(1)


def luma(rgb: Tensor) -> Tensor:
    """Luma of gamma-coded RGB (BT.601): B 1 H W in the units of the input."""
    red, green, blue = rgb.unbind(1)
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).unsqueeze(1)


def srgb_to_linear(rgb: Tensor) -> Tensor:
    """Undoes the sRGB transfer curve (IEC 61966-2-1)."""
    return torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055).clamp_min(0) ** 2.4)


def linear_to_srgb(linear: Tensor) -> Tensor:
    """Applies the sRGB transfer curve (IEC 61966-2-1)."""
    curved = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, linear * 12.92, curved)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """CIE Lab of sRGB: L in [0, 100], a and b in about [-128, 127]; white point D65."""
    matrix = rgb.new_tensor(_XYZ_FROM_RGB) / rgb.new_tensor(_WHITE)[:, None]
    xyz = torch.einsum("ij,bjhw->bihw", matrix, srgb_to_linear(rgb))
    root = torch.where(
        xyz > _LAB_KNEE, xyz.clamp_min(_LAB_KNEE) ** (1 / 3), _LAB_SLOPE * xyz + 16 / 116
    )
    x, y, z = root.unbind(1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """CIE Lab (D65) to sRGB, clipped to [0, 1] where the colour is outside the gamut."""
    lightness, a, b = lab.unbind(1)
    y = (lightness + 16) / 116
    root = torch.stack((y + a / 500, y, (y - b / 200).clamp_min(0)), dim=1)
    knee = _LAB_KNEE ** (1 / 3)
    xyz = torch.where(root > knee, root**3, (root - 16 / 116) / _LAB_SLOPE)
    matrix = torch.linalg.inv(lab.new_tensor(_XYZ_FROM_RGB)) * lab.new_tensor(_WHITE)
    linear = torch.einsum("ij,bjhw->bihw", matrix, xyz)
    return linear_to_srgb(linear.clamp(0, 1)).clamp(0, 1)


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """Full-range YCbCr of BT.601, as in JPEG: Y in [0, 1], Cb and Cr in [-0.5, 0.5]."""
    red, _, blue = rgb.unbind(1)
    y = luma(rgb).squeeze(1)
    return torch.stack((y, (blue - y) / (2 - 2 * LUMA[2]), (red - y) / (2 - 2 * LUMA[0])), dim=1)


def ycbcr_to_rgb(ycbcr: Tensor) -> Tensor:
    """RGB of full-range YCbCr (BT.601); not clipped."""
    y, cb, cr = ycbcr.unbind(1)
    red = y + (2 - 2 * LUMA[0]) * cr
    blue = y + (2 - 2 * LUMA[2]) * cb
    green = (y - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return torch.stack((red, green, blue), dim=1)
