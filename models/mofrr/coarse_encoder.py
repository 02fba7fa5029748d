"""The encoder of the experts that answer at once: traces and colour in, features out."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .native_view import PLACED, NativeView, place
from .spectral_stem import SpectralStem


def degree_planes(degree: Tensor | None, view: NativeView) -> Tensor:
    """B 2: the degree in [0, 1] and whether it is known; None or NaN where it is not."""
    if degree is None:
        return view.side.new_zeros(view.side.shape[0], 2)
    known = ~degree.isnan()
    return torch.stack((degree.nan_to_num(0.0), known.to(degree.dtype)), dim=1).to(view.side.dtype)


def hedge(planes: Tensor, degree: Tensor | None, share: float) -> Tensor:
    """Edits B ..., of which only a share is kept where the degree B is not known.

    An answer that is the mean over all degrees does much harm to photos that little was done to,
    and brings the others little more than half of it.
    """
    if share == 1:
        return planes
    if degree is None:
        return planes * share
    kept = torch.where(degree.isnan(), share, 1.0).to(planes.dtype)
    return planes * kept.view(-1, *[1] * (planes.dim() - 1))


class Block(nn.Module):
    """A residual block of two convolutions with group normalisation, modulated by the degree."""

    def __init__(self, width: int, condition: int = 2) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.first_norm = nn.GroupNorm(8, width)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.second_norm = nn.GroupNorm(8, width)
        self.modulation = nn.Linear(condition, 2 * width)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """B C h w, B 2 -> B C h w."""
        scale, shift = self.modulation(condition)[..., None, None].chunk(2, dim=1)
        change = F.silu(self.first_norm(self.first(features)) * (1 + scale) + shift)
        return F.silu(features + self.second_norm(self.second(change)))


class CoarseEncoder(nn.Module):
    """Traces and a colour image, joined on the 32 x 32 grid and looked at more and more coarsely.

    Args:
        widths: channels at 32 x 32, 16 x 16 and 8 x 8.
        fine: channels of the colour image's features at 64 x 64.
        spectral_width: channels of the path of block spectra and finest details, which joins at
            16 x 16; 0 = there is none.
    """

    def __init__(self, widths: tuple[int, int, int], fine: int, spectral_width: int = 0) -> None:
        super().__init__()
        self.spectral = SpectralStem(spectral_width, widths[1]) if spectral_width else None
        self.standardization = nn.BatchNorm2d(PLACED, affine=False)
        self.colour = nn.Sequential(nn.Conv2d(3, fine, 5, 2, 2), nn.GroupNorm(4, fine), nn.SiLU())
        self.reduce = nn.Conv2d(fine, widths[0], 3, 2, 1)
        self.traces = nn.Conv2d(2 * PLACED, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(Block(width) for width in widths)
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 3, 2, 1) for before, after in pairwise(widths)
        )
        self.up = nn.ModuleList(nn.Conv2d(after, before, 1) for before, after in pairwise(widths))
        self.merged = nn.ModuleList(Block(width) for width in widths[:-1])

    @property
    def standardizations(self) -> dict[str, nn.BatchNorm2d]:
        """What standardises the measures of a view, by the name of what it standardises."""
        layers = {"traces": self.standardization}
        return layers if self.spectral is None else layers | self.spectral.standardizations

    def forward(self, view: NativeView, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Features B C 32 32, and those of the colour image B F 64 64."""
        layout = torch.channels_last  # a seventh less time on a CPU
        fine = self.colour(view.colour.contiguous(memory_format=layout))
        traces = self.standardization(place(view.traces, view.side))
        local = 2 * (traces - traces.mean((2, 3), keepdim=True))  # what is not the whole file's
        traces = torch.cat((traces, local), dim=1).contiguous(memory_format=layout)
        features = F.silu(self.reduce(fine) + self.traces(traces))
        skips = []
        for level, block in enumerate(self.blocks):
            features = block(features, condition)
            if level < len(self.down):
                skips.append(features)
                features = self.down[level](features)
                if level == 0 and self.spectral is not None:
                    features = features + self.spectral(view)
                features = F.silu(features)
        for level in reversed(range(len(self.up))):
            features = F.interpolate(self.up[level](features), scale_factor=2.0, mode="bilinear")
            features = self.merged[level](features + skips[level], condition)
        return features, fine
