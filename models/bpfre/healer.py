"""SkinHealer, of BPFRe's third stage: where skin is, and evidence of spots and lines on it.

```
photo, working size --> 128 px --> encoder-decoder --> skin, context -------+
        |                                                                    v
        +--> contrasts at several scales --> convolutions <- amounts --> spots, lines
```
The first path sees the whole face, small; the second sees each place closely. It needs no
landmarks. What the maps do to pixels is not learnt, so that harm is bounded: see `healing`.
"""

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ..sizes import SizeRequirements
from .healing import SkinMaps
from .kinds import KINDS
from .planes import blur, chroma, luma, redness

SCALES = (0.0024, 0.0042, 0.0075)
"""Sigmas of the contrasts, as shares of the shorter side."""
GATE = (0.15, 0.7)
"""Probability of skin from which something is done, and at which all of it is."""
_OVERVIEW = 128  # shorter side of what the first path sees
_BLUE = (-0.1687, -0.3313, 0.5)
_GAIN = 8.0  # of contrasts
_PLANES = 3 * len(SCALES) + 7


class ContextNet(nn.Module):
    """A small U-Net over the whole face: logits of skin, and features of where things are."""

    def __init__(self, channels: tuple[int, ...], context: int) -> None:
        super().__init__()
        widths = (12, *channels)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, padding=1) for a, b in zip(widths, channels, strict=False)
        )
        self.deep = nn.Conv2d(channels[-1], channels[-1], 3, padding=2, dilation=2)
        self.up = nn.ModuleList(
            nn.Conv2d(a + b, b, 3, padding=1)
            for a, b in zip(channels[:0:-1], channels[-2::-1], strict=True)
        )
        self.exit = nn.Conv2d(channels[0], 4 + context, 3, padding=1)

    def forward(self, small: Tensor) -> tuple[Tensor, Tensor]:
        """B 3 h w -> logits B 1 h w, and context B C h/2 w/2; sides divisible by 8."""
        features, levels = F.pixel_unshuffle(small, 2), []
        for i, layer in enumerate(self.down):
            features = F.silu(layer(F.avg_pool2d(features, 2) if i else features))
            levels.append(features)
        features = features + F.silu(self.deep(features))
        for layer, level in zip(self.up, levels[-2::-1], strict=True):
            features = F.interpolate(features, size=level.shape[-2:], mode="nearest")
            features = F.silu(layer(torch.cat((features, level), dim=1)))
        made = self.exit(features)
        return F.pixel_shuffle(made[:, :4], 2), made[:, 4:]


class SkinHealer(ModelMixin, ConfigMixin):
    """Finds skin, spots and fine lines on a face.

    Args:
        channels: widths of the first path's levels.
        context: features that it hands to the second path.
        width: channels of the second path.
    """

    @register_to_config
    def __init__(
        self, channels: tuple[int, ...] = (20, 32, 48), context: int = 8, width: int = 16
    ) -> None:
        super().__init__()
        self.overview = ContextNet(tuple(channels), context)
        self.entry = nn.Conv2d(_PLANES + context + 1, width, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=reach, dilation=reach) for reach in (1, 2)
        )
        self.condition = nn.Linear(len(KINDS), 2 * width)
        self.exit = nn.Conv2d(width, 8, 3, padding=1)
        nn.init.zeros_(self.exit.weight)
        self.exit.bias.data.fill_(-3.0)  # pyright: ignore
        nn.init.zeros_(self.condition.weight)
        nn.init.zeros_(self.condition.bias)

    @property
    def size_requirements(self) -> SizeRequirements:
        """Sides are padded inside by repetition."""
        return SizeRequirements(1, 2)

    def forward(self, photo: Tensor, amounts: Tensor) -> SkinMaps:
        """Maps of whole faces: skin passed through `GATE`, and evidence of spots and lines.

        Evidence is a probability as training weighs it, much above the share of pixels.

        Args:
            photo: B 3 h w in [-1, 1], a whole face at the working size.
            amounts: B 5 in [0, 1], by `kinds.KINDS`.
        """
        skin, spots, lines = (each.float().sigmoid() for each in self.logits(photo, amounts))
        return SkinMaps(gate(skin, *GATE), spots, lines)

    def logits(self, photo: Tensor, amounts: Tensor) -> SkinMaps:
        """The maps before sigmoid and gate, likewise B 1 h w."""
        height, width = photo.shape[-2:]
        photo = F.pad(photo, (0, width % 2, 0, height % 2), mode="replicate")
        size = photo.shape[-2:]
        skin, context = self.overview(overview_of(photo))
        grid = (size[0] // 2, size[1] // 2)
        around = F.interpolate(torch.cat((context, _half(skin)), 1), grid, mode="bilinear")
        features = F.silu(self.entry(torch.cat((contrast_planes(photo), around), dim=1)))
        scale, shift = self.condition(amounts.to(features))[..., None, None].chunk(2, dim=1)
        features = features * (1 + scale) + shift
        for layer in self.layers:
            features = features + F.silu(layer(features))
        marks = F.pixel_shuffle(self.exit(features), 2)
        skin = F.interpolate(skin, size, mode="bilinear", align_corners=False)
        made = torch.cat((skin, marks), dim=1)[..., :height, :width]
        return SkinMaps(*made.split(1, dim=1))


def gate(share: Tensor, low: float, high: float) -> Tensor:
    """Exactly 0 up to `low`, exactly 1 from `high` on, smooth between."""
    share = ((share - low) / (high - low)).clamp(0, 1)
    return share * share * (3 - 2 * share)


def overview_of(photo: Tensor) -> Tensor:
    """The photo reduced to about 128 px, sides divisible by 8."""
    shorter = min(photo.shape[-2:])
    sides = [max(8, 8 * round(length * _OVERVIEW / shorter / 8)) for length in photo.shape[-2:]]
    return F.interpolate(photo, sides, mode="area")


def contrast_planes(photo: Tensor) -> Tensor:
    """What marks look like, at half the sides of B 3 h w: B 16 h/2 w/2.

    For each scale: contrast to the nearest of eight places around, and to their mean, in luma and
    redness. Then the four pixels' luma less their mean, luma, redness and blueness.
    """
    small = F.avg_pool2d(photo, 2)
    side = min(small.shape[-2:])
    dark, red = -luma(small), redness(small)
    planes = torch.cat((dark, red), dim=1)
    seen = []
    for share in SCALES:
        smooth = blur(planes, share * side)
        step = max(1, round(3 * share * side))
        moves = [(a * step, b * step) for a, b in ((0, 1), (1, 0), (0, -1), (-1, 0))]
        slant = max(1, round(0.7 * step))
        moves += [(a * slant, b * slant) for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
        around = torch.stack([torch.roll(smooth, move, (2, 3)) for move in moves])
        nearest = (around[:, :, :1] + 1.3 * around[:, :, 1:]).amax(0)
        seen += [smooth[:, :1] + 1.3 * smooth[:, 1:] - nearest, smooth - around.mean(0)]
    fine = F.pixel_unshuffle(luma(photo), 2) + dark
    tone = torch.cat((dark, 3 * red, 3 * chroma(small, _BLUE)), dim=1)
    return torch.cat((*(_GAIN * each for each in seen), _GAIN * fine, tone), dim=1)


def _half(planes: Tensor) -> Tensor:
    return F.avg_pool2d(planes, 2)
