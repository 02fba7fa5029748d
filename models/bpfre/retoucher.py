"""BlemishRetoucher, BPFRe's generator: find blemishes, retouch coarsely, then refine (CVPR 2023).

```
photo -> encoder -+-> E2D attention -> decoder -+-> D2G attention -> style generator
                  |        |             |      |         |                |
                  |        v             v      |         v                v
                  |     E2D map       coarse    |      D2G map          refined
                  +-> bottleneck -> mapping network -> style ---------------^
```

Every network works on the photo folded into `fold` x `fold` blocks of channels. Both results are
the photo plus an edit that the maps gate, so that skin without blemishes keeps its own pixels.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from ..sizes import SizeRequirements
from .attention import BlemishAttention
from .synthesis import SynthesisBlock
from .views import fill_smoothly, local_contrast


class RetouchOutput(NamedTuple):
    """Both stages' results.

    Attributes:
        coarse: B 3 H W, of the decoder; not clamped.
        refined: B 3 H W, of the style generator; not clamped.
        coarse_map: B 1 H W >= 0, E2D: how much the photo departs from its retouched version, the
            mean over the colours of the absolute difference on the scale of [-1, 1].
        refined_map: B 1 H W >= 0, D2G: the same of the coarse result.
    """

    coarse: Tensor
    refined: Tensor
    coarse_map: Tensor
    refined_map: Tensor


class ConvBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """B C h w -> B C' h w."""
        inner = F.leaky_relu(self.first(F.leaky_relu(features, 0.2)), 0.2)
        return self.shortcut(features) + self.second(inner)


class BlemishRetoucher(ModelMixin, ConfigMixin):
    """A face with blemishes in, the retouched face out, coarse and refined, and two blemish maps.

    Args:
        channels: widths of encoder, decoder and generator, finest level first; each halves the
            side.
        fold: the photo is folded into blocks of `fold` x `fold` pixels before the first level.
        attention_width: channels of the attention modules' evidence.
        style_width: length of the style vector.
        gate: blemish evidence at which 63 % of an edit is let through, on the maps' scale.
        inpainting: the network sees a mask of holes beside the photo, smoothly filled, and edits
            exactly the holes.
    """

    @register_to_config
    def __init__(
        self,
        channels: tuple[int, ...] = (24, 48, 64, 96),
        fold: int = 2,
        attention_width: int = 32,
        style_width: int = 64,
        gate: float = 0.03,
        inpainting: bool = False,
    ) -> None:
        super().__init__()
        levels, folded = len(channels), 3 * fold * fold
        seen = 2 * folded + (fold * fold if inpainting else 0)
        self.stem = nn.Conv2d(seen, channels[0], 3, padding=1)
        widths = (channels[0], *channels)
        self.encoder = nn.ModuleList(ConvBlock(widths[i], widths[i + 1]) for i in range(levels))
        self.e2d = BlemishAttention(channels, fold, attention_width)
        self.decoder = nn.ModuleList(
            ConvBlock(channels[i] + channels[i + 1], channels[i]) for i in range(levels - 1)
        )
        self.coarse_head = nn.Conv2d(channels[0], folded, 3, padding=1)

        self.mapping = nn.Sequential(
            nn.Linear(channels[-1], style_width),
            nn.LeakyReLU(0.2),
            nn.Linear(style_width, style_width),
            nn.LeakyReLU(0.2),
        )
        self.d2g = BlemishAttention(channels, fold, attention_width)
        coarser = (*channels[1:], 0)
        self.generator = nn.ModuleList(
            SynthesisBlock(coarser[i], channels[i], style_width) for i in range(levels)
        )
        self.to_rgb = nn.ModuleList(nn.Conv2d(c, folded, 1) for c in channels)
        self._initialise()

    def _initialise(self) -> None:
        """Kaiming's normal weights; zero where the network should start as the identity."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=0.2)
        blocks = [block for block in self.modules() if isinstance(block, ConvBlock)]
        attentions: list[Any] = [self.e2d, self.d2g]
        zero: list[Any] = [
            *(block.second for block in blocks),
            *(layer for attention in attentions for layer in attention.weights),
            *(attention.map_head for attention in attentions),
            self.coarse_head,
            *self.to_rgb,
        ]
        for layer in zero:
            nn.init.zeros_(layer.weight)
        heads: list[Any] = [self.coarse_head, *self.to_rgb, *(block.second for block in blocks)]
        for layer in heads:
            nn.init.zeros_(layer.bias)
        for attention in attentions:
            nn.init.ones_(attention.map_head.bias)
            for layer in attention.weights:
                nn.init.constant_(layer.bias, 2.0)

    @property
    def size_requirements(self) -> SizeRequirements:
        """Sides are padded inside, by mirroring where that is possible."""
        return SizeRequirements(1, self.config.fold * 2 ** (len(self.config.channels) - 1))

    def forward(
        self, photo: Tensor, noise: bool = False, hole: Tensor | None = None
    ) -> RetouchOutput:
        """Retouches photos, or fills their holes.

        Args:
            photo: B 3 H W in [-1, 1]; any size, it is padded inside by mirroring or repetition.
            noise: whether the generator adds its learned noise (torch's global generator).
            hole: B 1 H W, 1 where the photo is to be filled, else 0; for inpainting only. What the
                photo holds there is not looked at.

        Raises:
            ValueError: for a tensor of another shape, or a hole too many or missing.
        """
        if photo.ndim != 4 or photo.shape[1] != 3:
            raise ValueError(f"expected photos B 3 H W in [-1, 1], got {tuple(photo.shape)}")
        if (hole is not None) != self.config.inpainting:
            raise ValueError(
                f"a network with inpainting={self.config.inpainting} takes "
                f"{'photo and hole' if self.config.inpainting else 'a photo without a hole'}"
            )
        height, width = photo.shape[-2:]
        photo = photo if hole is None else fill_smoothly(photo, hole)
        encoded = self._encode(photo if hole is None else torch.cat((photo, hole.to(photo)), dim=1))
        attended, coarse_map = self.e2d(encoded)
        decoded = self._decode(attended)
        coarse_edit = F.pixel_shuffle(self.coarse_head(decoded[0]), self.config.fold)

        style = self.mapping(encoded[-1].mean((2, 3)))
        attended, refined_map = self.d2g(decoded)
        refined_edit = F.pixel_shuffle(self._generate(attended, style, noise), self.config.fold)

        coarse_edit, coarse_map, refined_edit, refined_map = (
            each[..., :height, :width].float()
            for each in (coarse_edit, coarse_map, refined_edit, refined_map)
        )
        first = self.openness(coarse_map) if hole is None else hole
        both = self.openness(coarse_map + refined_map) if hole is None else hole
        coarse = photo + first * coarse_edit
        refined = coarse + both * refined_edit
        return RetouchOutput(coarse, refined, coarse_map, refined_map)

    def find(self, photo: Tensor) -> Tensor:
        """The E2D map alone, B 1 H W, of photos B 3 H W; a third of the whole network's work."""
        blemishes = self.e2d(self._encode(photo))[1]
        return blemishes[..., : photo.shape[-2], : photo.shape[-1]].float()

    def openness(self, blemishes: Tensor) -> Tensor:
        """The share of an edit that is let through: 1 - exp(-map / gate), 0 without blemish."""
        return 1 - torch.exp(-blemishes / self.config.gate)

    def _pad(self, photo: Tensor) -> Tensor:
        down, right = (-side % self.size_requirements.multiple for side in photo.shape[-2:])
        smaller = down < photo.shape[-2] and right < photo.shape[-1]
        return F.pad(photo, (0, right, 0, down), mode="reflect" if smaller else "replicate")

    def _encode(self, planes: Tensor) -> list[Tensor]:
        """Levels of the encoder, finest first, of photos and, in inpainting, their holes."""
        padded = self._pad(planes)
        planes = torch.cat((padded, local_contrast(padded[:, :3])), dim=1)
        folded = F.pixel_unshuffle(planes, self.config.fold)
        folded = folded.contiguous(memory_format=torch.channels_last)
        features, levels = self.stem(folded), []
        for i, block in enumerate(self.encoder):
            features = block(features if i == 0 else F.avg_pool2d(features, 2))
            levels.append(features)
        return levels

    def _decode(self, levels: list[Tensor]) -> list[Tensor]:
        """Levels of the decoder, finest first; the coarsest is the encoder's."""
        features, decoded = levels[-1], [levels[-1]]
        for level, block in zip(reversed(levels[:-1]), reversed(list(self.decoder)), strict=True):
            features = F.interpolate(features, scale_factor=2, mode="nearest")
            features = block(torch.cat((level, features), dim=1))
            decoded.insert(0, features)
        return decoded

    def _generate(self, levels: list[Tensor], style: Tensor, noise: bool) -> Tensor:
        """The folded edit, summed over the resolutions (to-RGB skips)."""
        features: Tensor | None = None
        edit: Tensor | None = None
        for level, block, to_rgb in zip(
            reversed(levels),
            reversed(list(self.generator)),
            reversed(list(self.to_rgb)),
            strict=True,
        ):
            features = block(features, level, style, noise)
            step = to_rgb(features)
            if edit is not None:
                step = step + F.interpolate(edit, scale_factor=2, mode="bilinear")
            edit = step
        assert edit is not None
        return edit
