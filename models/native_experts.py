"""Experts that can only do what their operation did: move, change tone, or bring texture back.

Each sees a photo as the router does and answers in the form of its operation: a smooth flow, a
bilateral grid of affine colour changes, or a change of detail without low frequencies. The edit is
applied to the photo's own pixels. With the degree known it is what the network's answer is made
for; without, the answer is the mean over what the photo leaves open, so it is weak where the
network is unsure.
"""

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from .native_router import NativeView, place
from .native_traces import CHANNELS


def degree_planes(degree: Tensor | None, view: NativeView) -> Tensor:
    """B 2: the degree in [0, 1] and whether it is known; None or NaN where it is not."""
    if degree is None:
        return view.side.new_zeros(len(view.side), 2)
    known = ~degree.isnan()
    return torch.stack((degree.nan_to_num(0.0), known.to(degree.dtype)), dim=1).to(view.side.dtype)


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
    """

    def __init__(self, widths: tuple[int, int, int], fine: int) -> None:
        super().__init__()
        self.standardization = nn.BatchNorm2d(CHANNELS + 4, affine=False)
        self.colour = nn.Sequential(nn.Conv2d(3, fine, 5, 2, 2), nn.GroupNorm(4, fine), nn.SiLU())
        self.reduce = nn.Conv2d(fine, widths[0], 3, 2, 1)
        self.traces = nn.Conv2d(CHANNELS + 4, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(Block(width) for width in widths)
        self.down = nn.ModuleList(
            nn.Conv2d(before, after, 3, 2, 1) for before, after in zip(widths, widths[1:], strict=False)
        )
        self.up = nn.ModuleList(
            nn.Conv2d(after, before, 1) for before, after in zip(widths, widths[1:], strict=False)
        )
        self.merged = nn.ModuleList(Block(width) for width in widths[:-1])

    def forward(self, view: NativeView, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Features B C 32 32, and those of the colour image B F 64 64."""
        fine = self.colour(view.colour)
        traces = self.standardization(place(view.traces, view.side))
        features = F.silu(self.reduce(fine) + self.traces(traces))
        skips = []
        for level, block in enumerate(self.blocks):
            features = block(features, condition)
            if level < len(self.down):
                skips.append(features)
                features = F.silu(self.down[level](features))
        for level in reversed(range(len(self.up))):
            features = F.interpolate(self.up[level](features), scale_factor=2.0, mode="bilinear")
            features = self.merged[level](features + skips[level], condition)
        return features, fine


class FlowExpert(ModelMixin, ConfigMixin):
    """Undoes a geometric operation: a smooth flow and nothing else.

    Args:
        operation: its name.
        widths: channels of the encoder's levels.
        fine: channels at 64 x 64.
    """

    @register_to_config
    def __init__(
        self,
        operation: str = "face_slimming",
        widths: tuple[int, int, int] = (32, 64, 96),
        fine: int = 16,
    ) -> None:
        super().__init__()
        self.encoder = CoarseEncoder(widths, fine)
        self.up = nn.Conv2d(widths[0], fine, 1)
        self.block = Block(fine)
        self.head = nn.Conv2d(fine, 2, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, view: NativeView, degree: Tensor | None = None) -> Tensor:
        """The flow that undoes it, B 2 64 64 in thousandths of the photo's sides."""
        condition = degree_planes(degree, view)
        features, fine = self.encoder(view, condition)
        features = F.interpolate(self.up(features), scale_factor=2.0, mode="bilinear")
        return self.head(self.block(F.silu(features + fine), condition)) * 4


class ToneExpert(ModelMixin, ConfigMixin):
    """Undoes a tonal operation: a bilateral grid of affine colour changes.

    Each cell of the grid says for a range of brightness how red, green and blue follow from red,
    green, blue and one: smooth over the face, never texture (HDRnet, SIGGRAPH 2017).

    Args:
        operation: its name.
        widths: channels of the encoder's levels.
        fine: channels of the colour image's features.
        depth: ranges of brightness.
        side: cells along each side of the photo.
    """

    @register_to_config
    def __init__(
        self,
        operation: str = "whitening",
        widths: tuple[int, int, int] = (32, 64, 96),
        fine: int = 16,
        depth: int = 8,
        side: int = 16,
    ) -> None:
        super().__init__()
        self.encoder = CoarseEncoder(widths, fine)
        self.whole = nn.Sequential(nn.Linear(widths[0], 64), nn.SiLU())
        self.whole_head = nn.Linear(64, 12 * depth)
        self.head = nn.Conv2d(widths[0], 12 * depth, 1)
        for layer in (self.whole_head, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, view: NativeView, degree: Tensor | None = None) -> Tensor:
        """The grid of changes, B 12 depth side side, to be read by `slice_tone`."""
        features, _ = self.encoder(view, degree_planes(degree, view))
        cells = self.head(F.adaptive_avg_pool2d(features, self.config.side))
        whole = self.whole_head(self.whole(features.mean((2, 3))))
        grid = cells + whole[..., None, None]
        return grid.unflatten(1, (12, self.config.depth))


def slice_tone(grid: Tensor, photo: Tensor) -> Tensor:
    """The change of a photo that a bilateral grid asks for.

    Args:
        grid: B 12 D h w; rows of 3 x 4 matrices on (red, green, blue, 1).
        photo: B 3 H W in [-1, 1].

    Returns:
        B 3 H W, to be added to the photo.
    """
    height, width = photo.shape[-2:]
    guide = photo.mean(dim=1, keepdim=True)
    rows = torch.linspace(-1, 1, 2 * height + 1, device=photo.device, dtype=photo.dtype)[1::2]
    columns = torch.linspace(-1, 1, 2 * width + 1, device=photo.device, dtype=photo.dtype)[1::2]
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    place_ = torch.stack((x, y), dim=-1).expand(len(photo), -1, -1, -1)
    at = torch.cat((place_, guide.permute(0, 2, 3, 1)), dim=-1)[:, None]
    matrices = F.grid_sample(grid, at, "bilinear", "border", align_corners=False)[:, :, 0]
    matrices = matrices.unflatten(1, (3, 4))
    return (matrices[:, :, :3] * photo[:, None]).sum(2) + matrices[:, :, 3]


class TextureExpert(ModelMixin, ConfigMixin):
    """Undoes smoothing: detail of the photo's own scale, in the light the photo came with.

    Args:
        operation: its name.
        width: channels at half the photo's sides.
        context_width: channels at an eighth.
    """

    @register_to_config
    def __init__(self, operation: str = "smoothing", width: int = 24, context_width: int = 32) -> None:
        super().__init__()
        self.entry = nn.Conv2d(12, width, 3, padding=1)
        self.context = nn.Sequential(
            nn.Conv2d(width, context_width, 4, 4),
            nn.SiLU(),
            nn.Conv2d(context_width, context_width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(context_width, context_width, 3, padding=2, dilation=2),
            nn.SiLU(),
            nn.Conv2d(context_width, context_width, 3, padding=4, dilation=4),
            nn.SiLU(),
            nn.Conv2d(context_width, width, 1),
        )
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(3))
        self.condition = nn.Linear(2, 2 * width)
        self.exit = nn.Conv2d(width, 12, 3, padding=1)
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(self.exit.bias)

    def forward(self, tile: Tensor, condition: Tensor) -> Tensor:
        """The change of B 3 h w in [-1, 1] (sides divisible by 8), before its blur is taken off."""
        features = F.silu(self.entry(F.pixel_unshuffle(tile, 2)))
        context = self.context(features)
        context = F.interpolate(context, features.shape[-2:], mode="bilinear")
        scale, shift = self.condition(condition)[..., None, None].chunk(2, dim=1)
        features = features * (1 + scale) + shift + context
        for layer in self.layers:
            features = features + F.silu(layer(features))
        return F.pixel_shuffle(self.exit(features), 2) * 0.1
