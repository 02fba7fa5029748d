"""Stored faces as other cameras, files and framings show them, their maps of skin kept on them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...pipelines.simulate.export import apply_export
from ...pipelines.simulate.recipe import Export
from .faces import to_signed
from .native_variation import draw_frames, reframe
from .natural import SKIN_STEP, NaturalSkinItem

_SMALLER = 0.35
"""Share of the batches that are seen at a smaller size."""
_SOFTER = 0.25  # share of the faces whose detail a resize took
_NOISY = 0.3
_COMPRESSED = 0.4


def varied(batch: NaturalSkinItem, rng: np.random.Generator) -> NaturalSkinItem:
    """Bytes as [-1, 1] and [0, 1]: reframed and mirrored, relit, worn; some batches smaller."""
    photo, maps = to_signed(batch.photo), [each.float() / 255 for each in batch[1:]]
    frames = draw_frames(rng, len(photo))
    photo, *maps = (reframe(each, frames) for each in (photo, *maps))
    photo, side = photo.clamp(-1, 1), photo.shape[-1]
    if rng.random() < _SMALLER and side >= 64:
        smaller = SKIN_STEP * round(side * rng.uniform(0.4, 0.8) / SKIN_STEP)
        photo, *maps = (
            F.interpolate(each, (round(smaller * each.shape[-1] / side),) * 2, mode="area")
            for each in (photo, *maps)
        )
    return NaturalSkinItem(worn(relit(photo, rng), rng), *maps)


def relit(photo: Tensor, rng: np.random.Generator) -> Tensor:
    """B 3 h w in [-1, 1] under other exposures and white balances, on darker and paler skin."""
    numbers = torch.as_tensor(rng.normal(0, 1, (len(photo), 5, 1, 1)), dtype=photo.dtype)
    numbers = numbers.to(photo.device).clamp(-2.5, 2.5)
    gamma, gains = torch.exp(0.25 * numbers[:, :1]), torch.exp(0.05 * numbers[:, 1:4])
    lit = (((photo + 1) / 2).clamp_min(1e-4) ** gamma * gains).clamp(0, 1)
    grey = lit.mean(1, keepdim=True)
    return (grey + torch.exp(0.15 * numbers[:, 4:]) * (lit - grey)).clamp(0, 1) * 2 - 1


def worn(photo: Tensor, rng: np.random.Generator) -> Tensor:
    """Some of B 3 h w in [-1, 1] with a camera's noise, softened by a resize, and as JPEG files."""
    count = len(photo)
    spread = rng.uniform(0.005, 0.04, count) * (rng.random(count) < _NOISY)
    noise = rng.normal(0, 1, photo.shape) * spread[:, None, None, None]
    noisy = (photo + torch.as_tensor(noise, dtype=photo.dtype, device=photo.device)).clamp(-1, 1)
    return apply_export(noisy, [_journey(rng) for _ in range(count)])


def _journey(rng: np.random.Generator) -> Export:
    """What saving and sharing did to a face, if anything."""
    scale = float(rng.uniform(0.45, 0.9)) if rng.random() < _SOFTER else None
    quality = int(rng.integers(40, 96)) if rng.random() < _COMPRESSED else None
    return Export(jpeg_quality=quality, scale=scale)
