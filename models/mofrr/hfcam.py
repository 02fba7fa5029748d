"""HFCAM, the high-frequency cross attention on the details (ICCV 2025, section "WaveFRR")."""

import torch
from torch import Tensor, nn

from ..attending import Attend
from ..sizes import SizeRequirements
from .degrees import as_plane


class HFCAM(nn.Module):
    """High-frequency cross attention of one level: y_H = x_H + Conv(CrossAttn(y_0, x_H)).

    Queries come from the restored low band and its change, keys and values from the details,
    inside windows of `window` x `window` positions (scaled dot product attention).
    """

    def __init__(self, width: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.size_requirements = SizeRequirements(1, window)
        self.attend = Attend()
        self.query = nn.Conv2d(7, width, 3, padding=1)
        self.key_value = nn.Conv2d(9, 2 * width, 3, padding=1)
        self.tail = nn.Sequential(
            nn.Conv2d(2 * width, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=2, dilation=2),
            nn.GELU(),
            nn.Conv2d(width, 9, 3, padding=1),
        )
        for parameter in self.tail[-1].parameters():
            nn.init.zeros_(parameter)

    def windows(self, features: Tensor) -> Tensor:
        """B C h w -> B * windows, heads, positions, C / heads."""
        batch, channels, height, width = features.shape
        side = self.window
        grid = features.reshape(
            batch, self.heads, channels // self.heads, height // side, side, width // side, side
        )
        return grid.permute(0, 3, 5, 1, 4, 6, 2).reshape(
            -1, self.heads, side * side, channels // self.heads
        )

    def unwindow(self, tokens: Tensor, like: Tensor) -> Tensor:
        """The inverse of `windows`."""
        batch, _, height, width = like.shape
        side = self.window
        grid = tokens.reshape(batch, height // side, width // side, self.heads, side, side, -1)
        return grid.permute(0, 3, 6, 1, 4, 2, 5).reshape(like.shape)

    def forward(self, low: Tensor, photo_low: Tensor, details: Tensor, degree: Tensor) -> Tensor:
        """The change of the details, B 3 3 h w, from the low band before and after (B 3 h w)."""
        height, width = low.shape[-2:]
        condition = torch.cat((low, (low - photo_low) * 4, as_plane(degree, low)), dim=1)
        query = self.size_requirements.pad(self.query(condition))
        key, value = self.size_requirements.pad(self.key_value(details.flatten(1, 2))).chunk(
            2, dim=1
        )
        attended = self.attend(*map(self.windows, (query, key, value)))
        features = torch.cat((self.unwindow(attended, query), query), dim=1)
        change = self.tail(features[..., :height, :width]).reshape(details.shape)
        return change * degree.to(change.dtype).reshape(-1, 1, 1, 1, 1)
