"""Photos as they were taken: framed at some size, in some light, by some camera.

All of it stands before retouching, so a retouched photo and its original share it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


class Framing(NamedTuple):
    """Which square of a face crop a photo shows: turned, scaled and moved about its middle.

    Attributes:
        side: side of the photo in pixels.
        zoom: side of the crop shown / side of the face crop; above 1 more than the crop is asked
            for, and it is mirrored at its border.
        turn: in radians.
        shift: to the right and down, in shares of the crop's side.
        mirrored: whether left and right are exchanged.
    """

    side: int
    zoom: float = 1.0
    turn: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    mirrored: bool = False

    def matrix(self, like: Tensor) -> Tensor:
        """2 x 3: centred shares of the photo (-1 to 1) -> those of the crop."""
        cosine, sine = math.cos(self.turn) * self.zoom, math.sin(self.turn) * self.zoom
        flip = -1.0 if self.mirrored else 1.0
        rows = ((cosine * flip, -sine, 2 * self.shift[0]), (sine * flip, cosine, 2 * self.shift[1]))
        return like.new_tensor(rows)

    def image(self, crop: Tensor) -> Tensor:
        """The photo B C side side of a crop B C S S: bicubic, antialiased where it reduces."""
        reduction = crop.shape[-1] * self.zoom / self.side
        if reduction > 1:  # first to the scale of the photo, then turned
            size = max(8, round(self.side / self.zoom))
            crop = F.interpolate(crop, (size, size), mode="bicubic", antialias=True)
        matrix = self.matrix(crop)[None].expand(len(crop), -1, -1)
        shape = [len(crop), crop.shape[1], self.side, self.side]
        grid = F.affine_grid(matrix, shape, align_corners=False)
        return F.grid_sample(
            crop, grid, "bicubic", padding_mode="reflection", align_corners=False
        ).clamp_(-1, 1)

    def points(self, points: Tensor) -> Tensor:
        """Points ... 2 in shares of the crop -> shares of the photo."""
        matrix = self.matrix(points)
        centred = points * 2 - 1 - matrix[:, 2]
        return (centred @ torch.linalg.inv(matrix[:, :2]).T + 1) / 2


def sample_framing(rng: np.random.Generator, side: int, upright: float = 0.5) -> Framing:
    """As different detectors and people frame a face: up to a quarter tighter or wider.

    Args:
        rng: source of all randomness.
        side: of the photo in pixels.
        upright: share of the photos that are not turned, and shifted by whole pixels: where the
            crop is larger than the photo they are reduced once and sampled no second time.
    """
    zoom = float(np.exp(rng.normal(0, 0.08)).clip(0.78, 1.12))
    shift = rng.normal(0, 0.015, size=2).clip(-0.04, 0.04)
    turn = float(rng.normal(0, 0.04))
    if rng.random() < upright:
        size = round(side / zoom)
        zoom, turn = side / size, 0.0
        shift = (np.round(shift * size) + (size - side) % 2 / 2) / size
    right, down = (float(each) for each in shift)
    return Framing(side, zoom, turn, (right, down), bool(rng.random() < 0.5))


def shoot(images: Tensor, rng: np.random.Generator) -> Tensor:
    """A camera's light and processing, the same for the whole batch B 3 H W in [-1, 1].

    Exposure, white balance, contrast and saturation vary, by less than between photos as they are,
    which have light of their own; so do softness, unsharp masking and noise, as between optics,
    denoisers and sharpeners of phones.
    """
    rgb = images * 0.5 + 0.5
    if rng.random() < 0.8:
        rgb = _light(rgb, rng)
    if rng.random() < 0.6:
        rgb = _optics(rgb, rng)
    return rgb.clamp(0, 1) * 2 - 1


def _light(rgb: Tensor, rng: np.random.Generator) -> Tensor:
    gamma, gain = np.exp(rng.normal(0, 0.07)), np.exp(rng.normal(-0.02, 0.05))
    warmth, tint = rng.normal(0, 0.035, size=2)
    balance = rgb.new_tensor([1 + warmth, 1 + tint * 0.5, 1 - warmth]).view(3, 1, 1)
    rgb = (rgb.clamp_min(1e-4) ** float(gamma) * float(gain) * balance).clamp(0, 1)
    slope, centre = float(rng.normal(0, 0.15)), float(rng.uniform(0.35, 0.6))
    rgb = rgb + slope * rgb * (1 - rgb) * (rgb - centre) * 2
    grey = rgb.mean(1, keepdim=True)
    return (grey + float(np.exp(rng.normal(0, 0.12))) * (rgb - grey)).clamp(0, 1)


def _optics(rgb: Tensor, rng: np.random.Generator) -> Tensor:
    scale = rgb.shape[-1] / 512
    if rng.random() < 0.4:
        rgb = blur(rgb, float(rng.uniform(0.3, 0.9)) * max(scale, 0.6))
    if rng.random() < 0.5:
        strength = float(np.abs(rng.normal(0, 0.012)))
        noise = torch.from_numpy(rng.standard_normal(rgb.shape[1:], dtype=np.float32)).to(rgb)
        if rng.random() < 0.5:
            noise = noise.mean(0, keepdim=True) * 3**0.5
        if rng.random() < 0.5:
            noise = blur(noise[None], 0.7)[0] * 2
        rgb = rgb + strength * noise
    if rng.random() < 0.5:
        sigma, amount = float(rng.uniform(0.6, 2.0)) * max(scale, 0.6), float(rng.uniform(0.1, 1.0))
        rgb = rgb + amount * (rgb - blur(rgb, sigma))
    return rgb


def blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of B C H W by short separable convolutions; the border is repeated."""
    radius = max(1, math.ceil(2.5 * sigma))
    at = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    weights = torch.exp(-0.5 * (at / sigma) ** 2)
    weights = weights / weights.sum()
    flat = images.flatten(0, 1)[:, None]
    flat = F.conv2d(
        F.pad(flat, (radius, radius, 0, 0), mode="replicate"), weights.view(1, 1, 1, -1)
    )
    flat = F.conv2d(
        F.pad(flat, (0, 0, radius, radius), mode="replicate"), weights.view(1, 1, -1, 1)
    )
    return flat[:, 0].unflatten(0, images.shape[:2])
