"""Wavelet transforms: orthonormal Haar by slices, any other wavelet through pytorch_wavelets."""

import torch
from torch import Tensor, nn


def haar_bands(image: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
    """One level of the orthonormal Haar transform, band by band.

    Args:
        image: B C H W, H and W even.

    Returns:
        The low band and the details (horizontal, vertical, diagonal: PyWavelets' order), each
        B C H/2 W/2.
    """
    a, b = image[..., 0::2, 0::2], image[..., 0::2, 1::2]
    c, d = image[..., 1::2, 0::2], image[..., 1::2, 1::2]
    top, bottom, top_step, bottom_step = a + b, c + d, a - b, c - d
    details = (top - bottom, top_step + bottom_step, top_step - bottom_step)
    horizontal, vertical, diagonal = (band.div_(2) for band in details)
    return (top + bottom).div_(2), (horizontal, vertical, diagonal)


def haar_analysis(image: Tensor) -> tuple[Tensor, Tensor]:
    """`haar_bands` with the details in one tensor, B C 3 H/2 W/2."""
    low, details = haar_bands(image)
    return low, torch.stack(details, dim=2)


def haar_synthesis(low: Tensor, details: Tensor) -> Tensor:
    """The inverse of `haar_analysis`: B C h w and B C 3 h w -> B C 2h 2w."""
    horizontal, vertical, diagonal = details.unbind(dim=2)
    top, bottom = low + horizontal, low - horizontal
    top_step, bottom_step = vertical + diagonal, vertical - diagonal
    rows = torch.stack((top + top_step, top - top_step), dim=-1).flatten(-2)
    next_rows = torch.stack((bottom + bottom_step, bottom - bottom_step), dim=-1).flatten(-2)
    return torch.stack((rows, next_rows), dim=-2).flatten(-3, -2).div_(2)


class WaveletTransform(nn.Module):
    """One level of a two-dimensional wavelet transform, forward and inverse, in float32."""

    def __init__(self, wavelet: str = "haar") -> None:
        super().__init__()
        self.is_haar = wavelet in ("haar", "db1")
        if not self.is_haar:
            try:
                from pytorch_wavelets import DWTForward, DWTInverse
            except ImportError as error:
                message = f"wavelet {wavelet!r} needs pytorch_wavelets: pip install 'frr[wavelets]'"
                raise ImportError(message) from error
            self.forward_transform = DWTForward(J=1, wave=wavelet, mode="periodization")
            self.inverse_transform = DWTInverse(wave=wavelet, mode="periodization")

    def analysis(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """B C H W -> low B C H/2 W/2, details B C 3 H/2 W/2."""
        if self.is_haar:
            return haar_analysis(image)
        low, (details,) = self.forward_transform(image.float())
        return low.to(image.dtype), details.to(image.dtype)

    def synthesis(self, low: Tensor, details: Tensor) -> Tensor:
        """The inverse of `analysis`."""
        if self.is_haar:
            return haar_synthesis(low, details)
        return self.inverse_transform((low.float(), [details.float()])).to(low.dtype)
