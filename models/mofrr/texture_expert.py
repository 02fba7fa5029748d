"""TextureExpert: undoes smoothing by detail of the photo's own scale, in the light it came with."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from .bands import bands, in_tiles
from .coarse_encoder import degree_planes, hedge
from .contract import DirectAnswer
from .native_view import OWN_SIZE, NativeView
from .texture_diffusion import BANDS, TextureDiffusion

MULTIPLE = 8
REACH = 80
"""Pixels, at least as far as a pixel of the change depends on the photo: 2 and 8 by the first and
the last convolutions, 56 by the context's, 8 by its interpolation."""
LIGHT = 0.012
"""Sigma of the blur that holds what belongs to light, as a share of the photo's side."""


class TextureExpert(ModelMixin, ConfigMixin):
    """Undoes smoothing: detail of the photo's own scale, in the light the photo came with.

    Args:
        operation: its name.
        width: channels at half the photo's sides.
        context_width: channels at an eighth.
        unknown_share: part of the edit that is kept where the degree is not known; calibrated.
        diffusion_width: channels of the diffusion that draws what the answer, a mean, leaves out;
            0 = there is none, and samples are answers.
        diffusion_steps: its steps, at least 2.
    """

    @register_to_config
    def __init__(
        self,
        operation: str = "smoothing",
        width: int = 24,
        context_width: int = 32,
        unknown_share: float = 1.0,
        diffusion_width: int = 0,
        diffusion_steps: int = 2,
    ) -> None:
        super().__init__()
        if diffusion_steps < 2:
            raise ValueError(f"diffusion_steps is {diffusion_steps}; one step draws but the mean")
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
        for parameter in self.exit.parameters():
            nn.init.zeros_(parameter)
        self.diffusion = TextureDiffusion(diffusion_width) if diffusion_width else None
        self.size_requirements = OWN_SIZE

    def answer(self, photo: Tensor, view: NativeView, degree: Tensor | None) -> DirectAnswer:
        """See `DirectExpert`."""
        height, width = photo.shape[-2:]
        padded = F.pad(photo, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        condition = degree_planes(degree, view)
        change = in_tiles(lambda tile: self(tile, condition), padded, REACH)
        del padded
        change = without_light(change, _sides(photo), in_place=not change.requires_grad)
        change = hedge(change, degree, self.config.unknown_share)
        return DirectAnswer(residual=change[..., :height, :width])

    def draw(
        self,
        photo: Tensor,
        change: Tensor,
        degree: Tensor,
        generators: Sequence[torch.Generator],
        check: Callable[[], None] = lambda: None,
    ) -> Tensor:
        """What the answer to a told degree leaves out, drawn: B 3 H W, to be added to it.

        Args:
            photo: B 3 H W in [-1, 1], of any size.
            change: B 3 H W, the answer.
            degree: B in [0, 1], as told.
            generators: of each photo, on the CPU: draws are the same wherever the network runs.
            check: called before every step.

        Raises:
            ValueError: the expert has no diffusion.
        """
        if self.diffusion is None:
            raise ValueError("this expert draws no texture: its diffusion_width is 0")
        height, width = photo.shape[-2:]
        odd = (0, width % 2, 0, height % 2)
        padded, changed = (F.pad(x, odd, mode="replicate") for x in (photo, change))
        shape = BANDS, padded.shape[-2] // 2, padded.shape[-1] // 2
        noise = torch.stack([torch.randn(shape, generator=each) for each in generators])
        noise, steps = noise.to(photo), self.config.diffusion_steps
        drawn = self.diffusion.draw(padded, changed, degree, noise, steps, check)
        drawn = without_light(F.pad(drawn, (0, -width % 4, 0, -height % 4)), _sides(photo))
        return drawn[..., :height, :width]

    def forward(self, tile: Tensor, condition: Tensor) -> Tensor:
        """The change of B 3 h w in [-1, 1] (sides divisible by 8), before its blur is taken off."""
        folded = F.pixel_unshuffle(tile, 2)
        folded = folded.contiguous(memory_format=torch.channels_last)  # a tenth less time on a CPU
        features = F.silu(self.entry(folded))
        context = self.context(features)
        context = F.interpolate(context, features.shape[-2:], mode="bilinear")
        scale, shift = self.condition(condition)[..., None, None].chunk(2, dim=1)
        features = features * (1 + scale) + shift + context
        for layer in self.layers:
            features = features + F.silu(layer(features))
        return F.pixel_shuffle(self.exit(features), 2) * 0.1


def _sides(photo: Tensor) -> Tensor:
    return photo.new_full((len(photo),), min(photo.shape[-2:]), dtype=torch.float32)


def without_light(change: Tensor, side: Tensor, in_place: bool = False) -> Tensor:
    """A change B 3 h w less its own blur, by sigma `LIGHT` of the photo's side B.

    Args:
        change: its sides divisible by 4.
        side: in pixels.
        in_place: whether `change` itself may be written to, which saves as much memory.
    """
    height, width = change.shape[-2:]
    small = F.avg_pool2d(change, 4)
    sigma = (LIGHT * side.float() / 4).clamp_min(0.5)
    rows, columns = (_blur_matrix(length // 4, sigma).to(change) for length in (height, width))
    blurred = rows[:, None] @ small @ columns[:, None].mT
    if not in_place:
        return change - F.interpolate(blurred, (height, width), mode="bilinear")
    for band in bands(change, 4):
        first = max(0, band.start // 4 - 1)  # a row more on either side, to go over into
        rows = blurred[:, :, first : band.stop // 4 + 1]
        light = F.interpolate(rows, (4 * rows.shape[-2], width), mode="bilinear")
        light = light[:, :, band.start - 4 * first :]
        change[:, :, band] -= light[:, :, : band.stop - band.start]
    return change


def _blur_matrix(size: int, sigma: Tensor) -> Tensor:
    at = torch.arange(size, device=sigma.device, dtype=sigma.dtype)
    weights = torch.exp(-0.5 * ((at[:, None] - at) / sigma[:, None, None]).square())
    return weights / weights.sum(-1, keepdim=True)
