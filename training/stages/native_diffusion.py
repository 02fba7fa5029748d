"""Stage `native_diffusion`: what a texture expert's answer leaves out, as samples draw it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from ...models.mofrr.texture_diffusion import (
    TIMESTEPS,
    TextureDiffusion,
    make_schedule,
    to_bands,
)
from ...models.mofrr.texture_expert import TextureExpert, without_light
from ...pipelines.operations import OPERATIONS
from ..data.material import Material
from ..data.native_batches import ChainPools
from ..settings import setting
from .native import NativeConfig
from .native_texture import MARGIN, SMOOTHING

CROP = 64
CLIP = 8.0
"""Largest clean band in units of its scale."""


@dataclass(frozen=True, kw_only=True)
class NativeDiffusionConfig(NativeConfig):
    """Settings of stage `native_diffusion`; `start` names the expert that it is added to."""

    batch_size: int = setting(24, "tiles of one step", least=1)
    width: int = setting(32, "channels of the diffusion", least=8)

    def build(self, material: Material) -> NativeDiffusionStage:
        """The stage, its network and pools loaded.

        Raises:
            ValueError: no expert is named, whose answers it is to add to.
        """
        if not self.start:
            raise ValueError("this needs start=FOLDER, a trained texture expert")
        expert = self.network(TextureExpert, "texture_expert")
        if expert.diffusion is None:
            torch.manual_seed(self.seed)
            expert = with_diffusion(expert, self.width)
        return NativeDiffusionStage(expert, self.chains(material), self.batch_size)


def with_diffusion(expert: TextureExpert, width: int) -> TextureExpert:
    """The same expert with a diffusion that has learned nothing."""
    settings = {k: v for k, v in expert.config.items() if not k.startswith("_")}
    other = TextureExpert(**{**settings, "diffusion_width": width})
    found = other.load_state_dict(expert.state_dict(), strict=False)
    assert not found.unexpected_keys
    return other


class Remainders(NamedTuple):
    """Crops of tiles, and what the expert leaves of each."""

    photo: Tensor  # B 3 64 64 in [-1, 1]
    change: Tensor  # B 3 64 64, the expert's answer
    left: Tensor  # B 3 64 64
    degree: Tensor  # B, as told


@dataclass
class NativeDiffusionStage:
    """The scale and the structure of what a texture expert leaves; the expert itself stays.

    Attributes:
        model: the expert.
        chains: what it learns from.
        count: tiles of one step.
    """

    model: TextureExpert
    chains: ChainPools
    count: int = 24
    scheduler: DDIMScheduler = field(init=False)

    def __post_init__(self) -> None:
        self.scheduler = make_schedule()
        self.model.requires_grad_(False)
        self.diffusion.requires_grad_(True).to(memory_format=torch.channels_last)  # pyright: ignore

    @property
    def diffusion(self) -> TextureDiffusion:
        """What is trained."""
        assert self.model.diffusion is not None
        return self.model.diffusion

    @torch.no_grad()
    def draw(self, rng: np.random.Generator) -> Remainders:
        """Crops of drawn tiles, whose degrees are told with small errors."""
        batch = self.chains.draw_tiles(rng, self.count, OPERATIONS.index(SMOOTHING))
        error = torch.as_tensor(rng.normal(1, 0.05, size=self.count)).to(batch.effects)
        degree = (batch.effects * error).clamp(0, 1)
        told = torch.stack((degree, torch.ones_like(degree)), dim=1)
        change = without_light(self.model(batch.smoothed, told), batch.side)
        left = without_light(batch.before - batch.smoothed, batch.side) - change
        room = batch.smoothed.shape[-1] - 2 * MARGIN - CROP
        top, start = (MARGIN + 2 * int(n) for n in rng.integers(0, room // 2 + 1, size=2))
        inside = (..., slice(top, top + CROP), slice(start, start + CROP))
        return Remainders(batch.smoothed[inside], change[inside], left[inside], degree)

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The loss terms of one batch: L_simple of the velocity, L_IDEM, and the scale's.

        The scale is that of a Gaussian, by its likelihood; the bands are then of unit spread.
        """
        tiles = self.draw(rng)
        network = self.diffusion.train()
        condition = network.prepare(tiles.photo, tiles.change, tiles.degree)
        bands, scale = to_bands(tiles.left), condition.scale
        clean = (bands / scale.detach()).clamp(-CLIP, CLIP)
        timesteps = torch.as_tensor(rng.integers(0, TIMESTEPS, size=len(clean)))
        timesteps = cast(Any, timesteps.to(clean.device))
        noise = torch.randn_like(clean)
        noisy = self.scheduler.add_noise(clean, noise, timesteps)
        velocity, residual = network.denoise(noisy, timesteps, condition)
        wanted = self.scheduler.get_velocity(clean, noise, timesteps)
        return {
            "simple": (velocity - wanted).square().mean(),
            "idem": 0.1 * (residual - clean).square().mean(),
            "scale": 0.2 * ((bands / scale).square().clamp_max(CLIP**2) / 2 + scale.log()).mean(),
        }
