"""IDEM, the iterative distortion estimation on the low band (ICCV 2025, section "WaveFRR")."""

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """Multi-scale channel attention, MS-CAM: weights in (0, 1), B C h w.

    M(X) of Dai et al., "Attentional Feature Fusion", WACV 2021, eq. 3.
    """

    def __init__(self, width: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = max(width // reduction, 4)
        self.local_context, self.global_context = (
            nn.Sequential(
                nn.Conv2d(width, hidden, 1),
                nn.GroupNorm(1, hidden),
                nn.ReLU(),
                nn.Conv2d(hidden, width, 1),
            )
            for _ in range(2)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Sum of a local and a global context, through a sigmoid."""
        pooled = features.mean(dim=(2, 3), keepdim=True)
        return torch.sigmoid(self.local_context(features) + self.global_context(pooled))


class IDEM(nn.Module):
    """Iterative distortion estimation: where and how much the low band was changed.

        F  = MCA(z + x_LL) * x_LL + (1 - MCA(z + x_LL)) * z
        R^ = MCA(F + y_t)  * y_t  + (1 - MCA(F + y_t))  * F

    (the paper's first and second equation of IDEM; each is eq. 4 of Dai et al.) on features of z,
    x_LL and y_t; R^ is projected back to their channels.

    Args:
        width: channels of the features.
        channels: of the bands.
    """

    def __init__(self, width: int, channels: int = 3) -> None:
        super().__init__()
        self.low_features = nn.Conv2d(channels, width, 3, padding=1)
        self.noisy_features = nn.Conv2d(channels, width, 3, padding=1)
        self.degree_features = nn.Sequential(
            nn.Conv2d(1, width, 1), nn.SiLU(), nn.Conv2d(width, width, 1)
        )
        self.degree_attention = ChannelAttention(width)
        self.noisy_attention = ChannelAttention(width)
        self.projection = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, degree_plane: Tensor, low: Tensor, noisy_low: Tensor) -> Tensor:
        """Degree B 1 h w, bands B C h w -> R^ B C h w, trained to clean minus retouched."""
        z, x = self.degree_features(degree_plane), self.low_features(low)
        y = self.noisy_features(noisy_low)
        weight = self.degree_attention(z + x)
        fused = weight * x + (1 - weight) * z
        weight = self.noisy_attention(fused + y)
        return self.projection(weight * y + (1 - weight) * fused)
