"""ExpertMerger, MoFRR's merging module: a light U-Net that fuses the experts' answers.

It sees the photo, every expert's residual and the router's probabilities, and answers with one gain
per pixel and expert: merged = sum of gain * residual (ICCV 2025, section "Merging"). Gains start at
one for the specialised experts and at zero for the shared one, and no residual is invented. Beyond
the paper: the probabilities also move each expert's gain as a whole, since the U-Net's
normalisation hides from it what is the same everywhere.
"""

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ..sizes import SizeRequirements
from ..unets import through_unet


class ConvBlock(nn.Module):
    """Two convolutions with group normalisation."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        groups = min(8, out_channels // 4)
        self.layers = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.GroupNorm(groups, out_channels),
            nn.SiLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.GroupNorm(groups, out_channels),
            nn.SiLU(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """B C h w -> B C' h w."""
        return self.layers(features)


class ExpertMerger(ModelMixin, ConfigMixin):
    """Photo, residuals of E = K + 1 experts, probabilities of K operations -> one residual.

    Args:
        operations: names, in the order of residuals and probabilities; the shared expert is last.
        channels: widths of the U-Net's levels; each level halves the side.
        reduction: the U-Net works on inputs reduced this many times; the gains are brought back.
        gate_width: hidden units between the probabilities and each expert's gain as a whole.
    """

    @register_to_config
    def __init__(
        self,
        operations: tuple[str, ...],
        channels: tuple[int, ...] = (8, 16, 24),
        reduction: int = 2,
        gate_width: int = 16,
    ) -> None:
        super().__init__()
        experts = len(operations) + 1
        self.size_requirements = SizeRequirements(1, reduction * 2 ** (len(channels) - 1))
        widths = (3 + 3 * experts + len(operations), *channels)
        self.down = nn.ModuleList(
            ConvBlock(before, after) for before, after in zip(widths, channels, strict=False)
        )
        self.up = nn.ModuleList(
            ConvBlock(channels[i + 1] + channels[i], channels[i])
            for i in reversed(range(len(channels) - 1))
        )
        self.gain_head = nn.Conv2d(channels[0], experts, 1)
        self.gate = nn.Sequential(
            nn.Linear(len(operations), gate_width), nn.SiLU(), nn.Linear(gate_width, experts)
        )
        for parameter in (*self.gain_head.parameters(), *self.gate[-1].parameters()):
            nn.init.zeros_(parameter)
        initial = torch.ones(1, experts, 1, 1)
        initial[:, -1] = 0
        self.register_buffer("initial_gains", initial, persistent=False)

    def reduce(self, planes: Tensor) -> Tensor:
        """B C H W averaged to 1 / reduction, padded so that every level halves evenly."""
        padded = self.size_requirements.pad(planes)
        if self.config.reduction != 2:
            return F.avg_pool2d(padded, self.config.reduction)
        single = padded.reshape(-1, 1, *padded.shape[-2:])  # the same mean, four times as quick
        halved = F.interpolate(single, scale_factor=0.5, mode="bilinear")
        return halved.view(*planes.shape[:2], *halved.shape[-2:])

    def gains(self, photo: Tensor, residuals: Tensor, probabilities: Tensor) -> Tensor:
        """Gain of each expert at each pixel, B E H W; arguments as for `forward`."""
        height, width = photo.shape[-2:]
        small, changes = self.reduce(photo), self.reduce(residuals.flatten(1, 2)) * 4
        planes = probabilities.to(photo.dtype)[..., None, None].expand(-1, -1, *small.shape[-2:])
        features = torch.cat((small, changes, planes), dim=1)
        features = through_unet(features, self.down, self.up)
        gains = self.gain_head(features).float()
        gains = F.interpolate(gains, scale_factor=self.config.reduction, mode="bilinear")
        whole = self.gate(probabilities.to(photo.dtype))[..., None, None] + self.initial_gains
        return gains[..., :height, :width].to(photo.dtype) + whole

    def forward(self, photo: Tensor, residuals: Tensor, probabilities: Tensor) -> Tensor:
        """Fuses the experts' residual images.

        Args:
            photo: B 3 H W in [-1, 1].
            residuals: B E 3 H W, expert image minus photo; zeros where an expert is inactive.
            probabilities: B K in [0, 1].

        Returns:
            The merged residual, B 3 H W; exactly zero where all residuals are zero.

        Raises:
            ValueError: the number of residuals or probabilities is not this merger's.
        """
        operations = len(self.config.operations)
        if residuals.shape[1] != operations + 1 or probabilities.shape[1] != operations:
            raise ValueError(
                f"merger of {operations} operations got {residuals.shape[1]} residuals and "
                f"{probabilities.shape[1]} probabilities; expected {operations + 1} (the shared "
                f"expert last) and {operations}"
            )
        gains = self.gains(photo, residuals, probabilities)
        return (gains[:, :, None] * residuals).sum(dim=1)
