"""How strongly a photo was compressed as JPEG: found in its pixels, or read from its file.

JPEG rounds each frequency of 8 x 8 blocks to multiples of a step. Where a photo is still as it was
decoded (cropped or not), the frequencies of its blocks stand in combs, and the steps say at which
quality it was saved. One resize or turn blurs the combs, and the finest steps drown in the rounding
to whole levels: then nothing can be said, and nothing is.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 8
LUMINANCE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
"""Steps at quality 50 by row and column (ITU-T T.81, annex K.1)."""
FINEST, COARSEST = 2, 80
"""Steps that are looked for, in levels of 256."""
LEVELS = 127.5  # of 256, in one of [-1, 1]
_LUMA = 0.299, 0.587, 0.114
_LOOKED_AT = 192  # pixels along each side of the middle that is looked at
_FREQUENCIES = 20  # low ones
_SIGNS = 20  # coefficients beside zero that a comb takes
_COMB = 0.5  # mean cosine at a step from which it is one
_STEPS = 4  # frequencies with a comb that a photo takes


def estimate_quality(photo: Tensor) -> Tensor:
    """The JPEG quality at which photos were last saved, from their pixels alone.

    Args:
        photo: B 3 H W in [-1, 1], RGB, at its own size.

    Returns:
        B, quality on the scale of the IJG's encoder, 1 to about 95; NaN where there is no trace:
        never saved as JPEG, at a higher quality, resized or turned later, too small or too plain.
    """
    if min(photo.shape[-2:]) < 3 * BLOCK or not len(photo):
        return photo.new_full((len(photo),), torch.nan, dtype=torch.float32)
    return torch.stack([_estimate(each) for each in _middle(photo.float())])


def quality_of_tables(tables: Mapping[int, Sequence[int]]) -> int | None:
    """The quality on the IJG's scale that fits a JPEG file's tables best; None without a table.

    Args:
        tables: by number, as Pillow's `image.quantization` holds them; 0 is the luminance's.
    """
    if 0 not in tables or len(tables[0]) != BLOCK * BLOCK:
        return None
    return _nearest(torch.tensor(tables[0]).float(), torch.arange(BLOCK * BLOCK))


def _middle(photo: Tensor) -> Tensor:
    """Luminance B h w in levels of 256, of the middle of the photos; h, w = 8 n + 7."""
    height, width = (min(side, _LOOKED_AT) + 1 & -BLOCK for side in photo.shape[-2:])
    height, width = height - 1, width - 1
    top, left = ((a - b) // 2 for a, b in zip(photo.shape[-2:], (height, width), strict=True))
    part = photo[..., top : top + height, left : left + width]
    return torch.einsum("bchw,c->bhw", part, part.new_tensor(_LUMA)) * LEVELS


def _estimate(luminance: Tensor) -> Tensor:
    """The quality of one photo, its luminance h w in levels of 256."""
    frequencies, kernels = _transform(luminance.device)
    found = F.conv2d(luminance[None, None], kernels)[0]  # 20 8n 8m, of blocks at all offsets
    small = (found.abs() < FINEST / 2).sum(0).unflatten(0, (-1, BLOCK)).unflatten(2, (-1, BLOCK))
    top, left = divmod(int(small.sum((0, 2)).argmax()), BLOCK)
    steps = _steps(found[:, top::BLOCK, left::BLOCK].flatten(1))
    present = steps > 0
    if int(present.sum()) < _STEPS:
        return luminance.new_tensor(torch.nan)
    return luminance.new_tensor(float(_nearest(steps[present].cpu(), frequencies[present].cpu())))


def _steps(found: Tensor) -> Tensor:
    """The coarsest step in whose multiples each of n rows of coefficients stands, 0 for none."""
    steps = torch.arange(FINEST, COARSEST + 1, device=found.device, dtype=found.dtype)
    sizes = found.abs().sort(dim=-1).values  # those above a quarter of a step count
    below = torch.searchsorted(sizes, (steps / 4).repeat(len(found), 1), right=True)
    counts = (found.shape[1] - below).to(found.dtype)
    turns = found[:, None] * (2 * math.pi / steps[:, None])
    waves = F.hardshrink(turns, math.pi / 2).cos_().sum(-1)  # one for each that does not count
    combs = (waves - below) / counts.clamp_min(1)
    coarsest = (steps * ((combs > _COMB) & (counts >= _SIGNS))).amax(-1, keepdim=True)
    near = (steps <= coarsest) & (steps > 0.75 * coarsest)  # the next ones are nearly combs, too
    return torch.where(coarsest[:, 0] > 0, steps[combs.where(near, -1).argmax(-1)], 0)


def _nearest(steps: Tensor, frequencies: Tensor) -> int:
    """The quality whose table comes nearest to the steps of some frequencies, both n."""
    apart = (_tables()[:, frequencies] / steps).log().abs().mean(1)
    return int(apart.argmin()) + 1


@cache
def _tables() -> Tensor:
    """The IJG's luminance tables of qualities 1 to 100, 100 64."""
    quality = torch.arange(1, 101)[:, None]
    percent = torch.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return ((torch.tensor(LUMINANCE) * percent + 50) // 100).clamp(1, 255).float()


@cache
def _transform(device: torch.device) -> tuple[Tensor, Tensor]:
    """The lowest frequencies but the mean, n, and their 8 x 8 cosine waves, n 1 8 8."""
    at = torch.arange(BLOCK, dtype=torch.float64)
    waves = ((2 * at + 1) * at[:, None] * math.pi / (2 * BLOCK)).cos() / 2
    waves[0] /= math.sqrt(2)
    rows, columns = at.long()[:, None].expand(BLOCK, BLOCK).flatten(), at.long().repeat(BLOCK)
    chosen = (rows + columns).argsort(stable=True)[1 : 1 + _FREQUENCIES]
    kernels = waves[rows[chosen], :, None] * waves[columns[chosen], None]
    return chosen.to(device), kernels[:, None].float().to(device)
