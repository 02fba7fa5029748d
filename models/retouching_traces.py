"""What retouching leaves in a photo, measured: what router and experts look at."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .wavelets import haar_bands

TRACES = 33  # planes of `retouching_traces`


def local_log_energy(bands: Tensor, radius: int) -> Tensor:
    """Half the log of each band's mean square within `radius`, about zero mean and unit variance.

    B C h w -> B C h w; nothing lies outside the bands. (A convolution by ones, channels last, is
    ten times as quick as average pooling.)
    """
    energy = bands.square()
    if radius:
        side, (height, width) = 2 * radius + 1, bands.shape[-2:]
        line = energy.new_ones(1, 1, side)
        rows, columns = (
            F.conv1d(energy.new_ones(1, 1, length), line, padding=radius)[0, 0]
            for length in (height, width)
        )  # how many of the window's lie within the bands
        window = energy.new_ones(energy.shape[1], 1, side, side)
        energy = energy.contiguous(memory_format=torch.channels_last)
        energy = F.conv2d(energy, window, padding=radius, groups=len(window))
        energy = energy.div_(rows[:, None] * columns)
    return energy.add_(3e-5).log_().div_(2).add_(3)


def position_like(planes: Tensor) -> Tensor:
    """Rows, columns (both -1 to 1) and squared radius, B 3 h w: each operation has its place."""
    height, width = planes.shape[-2:]
    options = {"device": planes.device, "dtype": planes.dtype}
    rows = torch.linspace(-1, 1, height, **options)[:, None]
    columns = torch.linspace(-1, 1, width, **options)
    position = torch.stack(torch.broadcast_tensors(rows, columns, rows**2 + columns**2))
    return position.expand(len(planes), -1, -1, -1)


def retouching_traces(photo: Tensor) -> Tensor:
    """Measures of texture and tone, and the position, on a grid of an eighth of the photo's side.

    Retouching multiplies texture: smoothing shrinks details, resampling the diagonal ones most. So
    the traces are the local log energies of three levels of Haar details, of the grey image and of
    two colour differences (ratios become differences, whatever the texture); the low band, for
    tone; and the position in the crop.

    Args:
        photo: B 3 H W in [-1, 1], H and W divisible by 8.

    Returns:
        B 33 H/8 W/8.
    """
    red, green, blue = photo.unbind(dim=1)
    low = torch.stack((photo.mean(dim=1), red - green, blue - green), dim=1)
    planes = []
    for level in range(3):
        low, details = haar_bands(low)
        energy = local_log_energy(torch.cat(details, dim=1) / 2**level, 2 - level)
        planes.append(F.avg_pool2d(energy, 4 >> level))
    return torch.cat((*planes, low / 8, position_like(low)), dim=1)
