"""What retouching and files leave in a photo, measured at the photo's own size on a fixed grid.

Retouching multiplies texture: smoothing shrinks details, a warp that samples between pixels shrinks
the finest and the diagonal ones, compression cuts them off. All of that happens at the size at
which the photo was retouched or saved, and is lost by a reduction. So local energies are taken from
Haar details of the photo as it is, and, for what is a matter of the face rather than of the file,
of the photo at 256 pixels.
"""

import math
from functools import cache, lru_cache

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
BLOCK = 8
"""Side in pixels of the blocks of the cosine transform, JPEG's own."""
SPECTRUM = 27
"""Channels of `block_spectrum`."""
FINE_GRID = 128
"""Cells along each side of the grid of the finest details."""
_FLOOR = 1e-6  # energy of an eighth of a grey level
_BAND_FLOOR = 1e-7  # below what rounding to whole levels leaves
_SMALL = 8 / 127.5
_BANDS = (0, 1, 2, 2, 3, 3, 4, 4)  # of the eight frequencies along an axis


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
    return traces_and_details(photo)[0]


def traces_and_details(photo: Tensor) -> tuple[Tensor, Tensor]:
    """`native_traces` and `fine_details` of the same photo, from one transform."""
    native, fine = _energies(photo)
    side = RELATIVE_SIDE
    if max(photo.shape[-2:]) >= side * 1.02 or min(photo.shape[-2:]) <= side / 1.02:
        reduced = F.interpolate(photo, (side, side), mode="bilinear", antialias=True)
        relative, _ = _energies(reduced)
    else:
        relative = native
    flat = to_grid((fine.abs() < 1.5 / 255).to(photo.dtype))
    traces = torch.cat((native, relative, flat, to_grid(_extremes(photo))), dim=1)
    return traces, _details(fine)


def block_spectrum(photo: Tensor) -> Tensor:
    """Local spectra of grey in blocks of 8 x 8 pixels of the photo as it is.

    Octaves say how soft a place is; these bands say how: skin that is soft by nature keeps its
    noise up to the last frequency, what was sampled between pixels loses that, and compression cuts
    by blocks.

    Args:
        photo: B 3 H W in [-1, 1], RGB, at its own size, sides of at least 64 pixels.

    Returns:
        B 27 32 32: half the log of the mean square of 24 bands of the cosine transform (five by
        five frequencies down and across, without the mean), each around zero; and the share of its
        coefficients below eight grey levels where the frequency is high down, across, and both.
    """
    grey = photo.mean(1, keepdim=True)
    height, width = (side // BLOCK * BLOCK for side in grey.shape[-2:])
    kernels, bands, high = _cosines(photo.device, photo.dtype)
    coefficients = F.conv2d(grey[..., :height, :width], kernels, stride=BLOCK)
    energy = to_grid(torch.einsum("bchw,cd->bdhw", coefficients.square(), bands))
    small = (coefficients.abs() < _SMALL / BLOCK).to(photo.dtype)
    share = to_grid(torch.einsum("bchw,cd->bdhw", small, high))
    return torch.cat((energy.add(_BAND_FLOOR).log() / 2 + 5, share), dim=1)


def fine_details(photo: Tensor) -> Tensor:
    """The finest grey details on a grid fine enough for the beats of a resampling, B 3 128 128.

    A warp samples now on a pixel, now between two: along its flow sharp and soft places alternate,
    which the means of a coarser grid do not show.

    Args:
        photo: B 3 H W in [-1, 1], RGB, at its own size.

    Returns:
        Half the log of the mean square of three orientations, around zero.
    """
    return _details(_split(photo, True)[1][:, ::3])


def _details(fine: Tensor) -> Tensor:
    """Log energies of the finest grey details B 3 h w on the finer grid."""
    energy = to_grid(fine.square(), FINE_GRID)
    return energy.add_(_FLOOR).log_().div_(2).add_(4.5)


@lru_cache(maxsize=8)
def _cosines(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """The transform's 64 1 8 8 kernels over 8, and the means of coefficients: 64 24, 64 3."""
    at = torch.arange(BLOCK, dtype=torch.float64)
    rows = torch.cos((2 * at + 1) * at[:, None] * math.pi / (2 * BLOCK)) / math.sqrt(BLOCK / 2)
    rows[0] /= math.sqrt(2)
    kernels = torch.einsum("ui,vj->uvij", rows, rows).reshape(-1, 1, BLOCK, BLOCK) / BLOCK
    band = torch.tensor(_BANDS)
    bands = F.one_hot((5 * band[:, None] + band).flatten(), 25)[:, 1:]
    down, across = (band >= 3)[:, None].expand(8, 8), (band >= 3).expand(8, 8)
    high = torch.stack((down & ~across, across & ~down, down & across), dim=-1).flatten(0, 1)
    means = (each.double() / each.sum(0) for each in (bands, high))
    first, second = (mean.to(device, dtype) for mean in means)
    return kernels.to(device, dtype), first, second


def opponents(photo: Tensor) -> Tensor:
    """Grey, red - green and blue - green of B 3 H W."""
    red, green, blue = photo.unbind(dim=1)
    return torch.stack(((red + green + blue) / 3, red - green, blue - green), dim=1)


def _extremes(photo: Tensor) -> Tensor:
    """Where B 3 H W is near white and near black, B 2 H W of zeros and ones."""
    red, green, blue = photo.unbind(dim=1)  # `amin` over three planes takes four times as long
    white = torch.minimum(torch.minimum(red, green), blue) > 0.94
    black = torch.maximum(torch.maximum(red, green), blue) < -0.94
    extremes = photo.new_empty(len(photo), 2, *photo.shape[-2:])
    extremes[:, 0], extremes[:, 1] = white, black
    return extremes


def _energies(photo: Tensor) -> tuple[Tensor, Tensor]:
    """Log energies B 27 32 32 of three levels, and the finest grey details B 3 h w."""
    energies, low, fine = [], photo, photo
    for level in range(LEVELS):
        low, details = _split(low, level == 0)
        if level == 0:
            fine = details[:, ::3]
        energy = to_grid(details.square()) / 4**level
        energies.append(energy.add_(_FLOOR).log_().div_(2).add_(4.5))
    return torch.cat(energies, dim=1), fine


def _split(planes: Tensor, colours: bool) -> tuple[Tensor, Tensor]:
    """One level of the Haar transform of B 3 H W; a last odd row or column is left out.

    On a CPU as one convolution, three times as quick; elsewhere convolutions may be rounded to ten
    bits, which is more than the details of plain skin.

    Args:
        planes: grey, red - green and blue - green; with `colours` red, green and blue.
        colours: whether they are to be made of colours first.

    Returns:
        The low band B 3 h w and the details B 9 h w, three planes of each orientation.
    """
    if planes.device.type == "cpu":
        bands = F.conv2d(planes, _kernels(colours, planes.dtype), stride=2)
        return bands[:, :3], bands[:, 3:]
    height, width = planes.shape[-2] // 2 * 2, planes.shape[-1] // 2 * 2
    low, details = haar_analysis((opponents(planes) if colours else planes)[..., :height, :width])
    return low, details.transpose(1, 2).flatten(1, 2)


@cache
def _waves() -> Tensor:
    """The Haar details of a square of four pixels, 3 2 2."""
    _, details = haar_analysis(torch.eye(4, dtype=torch.float64).view(4, 1, 2, 2))
    return details.flatten(1).T.view(3, 2, 2)


@cache
def _kernels(colours: bool, dtype: torch.dtype) -> Tensor:
    """The Haar transform of three planes, made of colours or not, as a convolution's 12 3 2 2."""
    low, _ = haar_analysis(torch.eye(4, dtype=torch.float64).view(4, 1, 2, 2))
    waves = torch.cat((low.view(1, 2, 2), _waves()))
    planes = torch.eye(3, dtype=torch.float64)
    if colours:
        planes = opponents(planes.view(3, 3, 1, 1))[..., 0, 0].T
    return torch.einsum("bij,pc->bpcij", waves, planes).flatten(0, 1).to(dtype)


def to_grid(planes: Tensor, grid: int = GRID) -> Tensor:
    """The means of B C h w over the cells of a grid, whatever its sides: B C grid grid.

    Cells of sides that are no multiple share rows and columns, as in adaptive pooling.
    """
    rows, columns = (_cells(side, grid, planes.device, planes.dtype) for side in planes.shape[-2:])
    return (rows @ planes) @ columns.T


@lru_cache(maxsize=64)
def _cells(side: int, grid: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The mean over each cell of a side as a matrix, grid side."""
    first = torch.arange(grid) * side // grid
    end = -(-(torch.arange(grid) + 1) * side // grid)
    at = torch.arange(side)
    inside = ((at >= first[:, None]) & (at < end[:, None])).to(torch.float64)
    return (inside / inside.sum(1, keepdim=True)).to(device, dtype)
