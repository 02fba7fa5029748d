"""Warp head and tone head: small U-Nets on the grid of the retouching traces."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolve(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """3 x 3 convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class CoarseHead(nn.Module):
    """A U-Net that sees a photo on a grid of 8 x 8 pixels, its last convolution zero."""

    def __init__(self, in_channels: int, out_channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.stem = convolve(in_channels, widths[0])
        self.residuals = nn.ModuleList(
            nn.Sequential(convolve(w, w), nn.Conv2d(w, w, 3, padding=1)) for w in widths
        )
        self.down = nn.ModuleList(convolve(fine, coarse, 2) for fine, coarse in pairs)
        self.up = nn.ModuleList(convolve(coarse + fine, fine) for fine, coarse in pairs)
        self.context = nn.Linear(2 * widths[-1], widths[-1])
        self.out = nn.Conv2d(widths[0], out_channels, 3, padding=1)
        for parameter in self.out.parameters():
            nn.init.zeros_(parameter)

    def forward(self, planes: Tensor) -> Tensor:
        """B C h w -> B C' h w."""
        features, skips = self.stem(planes), []
        for level, residual in enumerate(self.residuals):
            if level:
                features = self.down[level - 1](features)
            features = F.relu(features + residual(features))
            skips.append(features)
        pooled = torch.cat((features.mean(dim=(2, 3)), features.amax(dim=(2, 3))), dim=1)
        features = features + self.context(pooled)[:, :, None, None]
        for skip, up in zip(reversed(skips[:-1]), reversed(self.up), strict=True):
            features = F.interpolate(features, size=skip.shape[-2:], mode="bilinear")
            features = up(torch.cat((features, skip), dim=1))
        return self.out(features)
