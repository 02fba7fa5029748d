"""What retouching and files leave in a photo, measured at the photo's own size on a fixed grid.

Retouching multiplies texture: smoothing shrinks details, a warp that samples between pixels shrinks
the finest and the diagonal ones, compression cuts them off. All of that happens at the size at
which the photo was retouched or saved, and is lost by a reduction. So local energies are taken from
Haar details of the photo as it is, and, for what is a matter of the face rather than of the file,
of the photo at 256 pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .wavelets import haar_analysis

GRID = 32
"""Cells along each side of the grid."""
LEVELS = 3
RELATIVE_SIDE = 256
"""The size at which the face's own texture is measured, in pixels."""
CHANNELS = 2 * 9 * LEVELS + 5
_FLOOR = 1e-6  # energy of an eighth of a grey level


def native_traces(photo: Tensor) -> Tensor:
    """Local measures of texture and compression on a `GRID` x `GRID` grid.

    Args:
        photo: B 3 H W in [-1, 1], RGB, at its own size, sides of at least 64 pixels.

    Returns:
        B 59 32 32: half the log of the mean square of nine details (three orientations of grey,
        red - green and blue - green) at three levels of the photo as it is, the same of the photo
        at 256 pixels, each around zero; the share of grey details of the finest level that are
        next to nothing (three orientations), and the shares of pixels near white and near black.
    """
    planes = opponents(photo)
    native, fine = _energies(planes)
    side = RELATIVE_SIDE
    if max(photo.shape[-2:]) >= side * 1.02 or min(photo.shape[-2:]) <= side / 1.02:
        planes = F.interpolate(planes, (side, side), mode="bilinear", antialias=True)
        relative, _ = _energies(planes)
    else:
        relative = native
    flat = to_grid((fine.abs() < 1.5 / 255).to(photo.dtype))
    extremes = torch.cat((photo.amin(1, True) > 0.94, photo.amax(1, True) < -0.94), dim=1)
    return torch.cat((native, relative, flat, to_grid(extremes.to(photo.dtype))), dim=1)


def opponents(photo: Tensor) -> Tensor:
    """Grey, red - green and blue - green of B 3 H W."""
    red, green, blue = photo.unbind(dim=1)
    return torch.stack(((red + green + blue) / 3, red - green, blue - green), dim=1)


def _energies(low: Tensor) -> tuple[Tensor, Tensor]:
    """Log energies B 27 32 32 of three levels, and the finest grey details B 3 h w."""
    energies, fine = [], low
    for level in range(LEVELS):
        height, width = low.shape[-2] // 2 * 2, low.shape[-1] // 2 * 2
        low, details = haar_analysis(low[..., :height, :width])
        if level == 0:
            fine = details[:, 0]
        energy = to_grid(details.square().transpose(1, 2).flatten(1, 2)) / 4**level
        energies.append(energy.add_(_FLOOR).log_().div_(2).add_(4.5))
    return torch.cat(energies, dim=1), fine


def to_grid(planes: Tensor) -> Tensor:
    """The means of B C h w over the cells of the grid, whatever its sides: B C 32 32."""
    height, width = planes.shape[-2:]
    if height % GRID == 0 and width % GRID == 0:
        return F.avg_pool2d(planes, (height // GRID, width // GRID))
    return F.adaptive_avg_pool2d(planes, GRID)
