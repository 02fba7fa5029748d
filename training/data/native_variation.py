"""Other framings, face shapes and light for stored photos, alike for all versions of a face."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

GRID = 32
BLURRED = 0.5
"""Share of the photos that are made softer around the face, or here and there."""
_FREQUENCIES = (0.0, 1.0, 2.5, 4.5, 6.5)  # of the bands of a block spectrum, in sixteenths
_BAND_LOSS = [
    0.3 * (2 * math.pi / 16) ** 2 * (down**2 + across**2)  # 0.5 for a wave; as measured on faces
    for down in _FREQUENCIES
    for across in _FREQUENCIES
][1:]
CONTRASTED = 0.8
"""Share of the photos in which details are stronger at one place and weaker at another."""
_LEVEL_LOSS = (0.9, 0.45, 0.15)
"""What a blur of one pixel takes from the logs of the three levels, as measured on faces."""
REFRAMED = 0.75
"""Share of the photos that are seen in another framing; the rest is at most mirrored."""
ROUGH = 0.5
"""Share of these framings that are as people crop by hand: far off, turned, mostly tighter."""
_SPREADS = (0.05, 0.06, 0.05, 0.025, 0.025)  # of turn, zoom, stretch, right, down
_ROUGH_SPREADS = (0.14, 0.16, 0.06, 0.07, 0.07)
_ROUGH_ZOOM = -0.1
RESHAPED = 0.7
"""Share of the faces that are given another shape where a router learns."""


def draw_frames(rng: np.random.Generator, count: int) -> Tensor:
    """Framings B 2 3: centred shares (-1 to 1) of the new photo -> those of the stored one.

    Half of them are mirrored; `REFRAMED` of them are also turned, moved, and stretched, so that
    the same photo stands for narrower and broader faces, `ROUGH` of these by far more.
    """
    rough = (rng.random(count) < ROUGH).astype(float)
    turn, zoom, stretch, right, down = (
        rng.normal(0, 1, size=count) * (narrow + rough * (wide - narrow))
        for narrow, wide in zip(_SPREADS, _ROUGH_SPREADS, strict=True)
    )
    zoom = (zoom + _ROUGH_ZOOM * rough).clip(-0.6, 0.25)
    cosine, sine = np.cos(turn), np.sin(turn)
    x, y = np.exp(zoom + stretch), np.exp(zoom - stretch)
    frames = np.stack((x * cosine, -y * sine, right, x * sine, y * cosine, down), axis=1)
    frames = frames.reshape(count, 2, 3)
    frames[rng.random(count) >= REFRAMED] = np.eye(2, 3)
    frames[:, :, 0] *= np.where(rng.random(count) < 0.5, -1, 1)[:, None]
    return torch.as_tensor(frames, dtype=torch.float32)


def framed_side(frames: Tensor) -> Tensor:
    """What the side of a photo in pixels is multiplied by in framings B 2 3: B."""
    return torch.linalg.det(frames[:, :, :2]).abs().sqrt()


def draw_shapes(rng: np.random.Generator, count: int) -> Tensor:
    """Other faces' shapes: fields B 2 9 9 (x, y) of what is seen elsewhere, in centred shares.

    Broader and narrower at some height, larger and smaller eyes, and a little of everything, as
    people differ by nature: a router that goes by the shape of a face takes slim ones for slimmed.
    `RESHAPED` of the faces are changed at all.
    """
    at = np.linspace(-1, 1, 9)
    y, x = np.meshgrid(at, at, indexing="ij")
    height, reach = rng.uniform(-0.2, 0.8, (count, 1, 1)), rng.uniform(0.3, 0.6, (count, 1, 1))
    breadth = rng.normal(0, 0.1, (count, 1, 1)) * np.exp(-(((y - height) / reach) ** 2))
    fields = rng.normal(0, 0.008, (count, 2, 9, 9))
    fields[:, 0] += breadth * x * np.exp(-((x / 0.8) ** 4))
    size = rng.normal(0, 0.2, (count, 1, 1))
    for middle in (-0.25, 0.25):
        near = size * np.exp(-(((x - middle) / 0.2) ** 2) - ((y + 0.07) / 0.2) ** 2)
        fields += np.stack((near * (x - middle), near * (y + 0.07)), axis=1)
    fields[rng.random(count) >= RESHAPED] = 0
    return torch.as_tensor(fields, dtype=torch.float32)


def reframe(planes: Tensor, frames: Tensor, shapes: Tensor | None = None) -> Tensor:
    """Planes B ... h w as framings B 2 3 and `draw_shapes` show them; mirrored at the border."""
    flat = planes.flatten(1, -3) if planes.dim() > 3 else planes[:, None]
    grid = F.affine_grid(frames.to(flat), list(flat.shape), align_corners=False)
    if shapes is not None:
        field = F.interpolate(shapes.to(flat), flat.shape[-2:], mode="bicubic", align_corners=True)
        grid = grid + field.permute(0, 2, 3, 1)
    seen = F.grid_sample(flat, grid, "bilinear", "reflection", align_corners=False)
    return seen.view_as(planes)


def reframe_flows(flows: Tensor, frames: Tensor, shapes: Tensor | None = None) -> Tensor:
    """Flows B ... 2 h w (x, y) in shares of the sides, as the framings B 2 3 show them.

    `shapes` move them, and leave their lengths as they are.
    """
    back = torch.linalg.inv(frames[:, :, :2]).to(flows)
    return torch.einsum("bij,b...jhw->b...ihw", back, reframe(flows, frames, shapes))


def smooth_fields(rng: np.random.Generator, count: int) -> Tensor:
    """Random fields B 1 5 5 in [0, 1] of any mean, to be spread smoothly."""
    level, local = rng.random((count, 1, 1, 1)), rng.random((count, 1, 5, 5))
    return torch.as_tensor(level * (0.4 + 0.6 * local), dtype=torch.float32)


def mix(planes: Tensor, others: Tensor, share: Tensor) -> Tensor:
    """B V C h w, of which a share is that of others B 1 C h w, by a field B 1 m n."""
    field = F.interpolate(share, planes.shape[-2:], mode="bilinear", align_corners=True)
    return planes.lerp(others.expand_as(planes), field[:, None])


def relight(small: Tensor, rng: np.random.Generator) -> Tensor:
    """Other exposure and white balance for each chain B V 3 h w in [-1, 1], all versions alike.

    Very little: cameras were varied when the photos were made, and more of it hides whitening.
    """
    numbers = torch.as_tensor(rng.normal(0, 1, size=(len(small), 5)), dtype=small.dtype)
    numbers = numbers.clamp(-2, 2)[:, None, :, None, None]
    gamma, gain = (0.04 * numbers[:, :, :1]).exp(), (0.015 * numbers[:, :, 1:2]).exp()
    tint = 1 + 0.01 * numbers[:, :, 2:5]
    return ((small * 0.5 + 0.5).clamp_min(1e-4) ** gamma * gain * tint).clamp(0, 1) * 2 - 1


def draw_blur(rng: np.random.Generator, count: int) -> Tensor:
    """How far some photos are out of focus: fields B 32 32 of sigmas, in pixels of a side of 512.

    Around the face as a wide lens or a phone's portrait mode leaves it, or here and there: people
    in front of a soft background, or under soft hair, are not slimmed. `BLURRED` of the photos
    are softer anywhere at all.
    """
    at = np.linspace(-1, 1, GRID)
    y, x = np.meshgrid(at, at, indexing="ij")
    wide, high, edge, right, down = (
        rng.uniform(low, top, (count, 1, 1))
        for low, top in ((0.35, 0.7), (0.45, 0.9), (4, 16), (-0.1, 0.1), (-0.05, 0.15))
    )
    radius = np.sqrt(((x - right) / wide) ** 2 + ((y - down) / high) ** 2)
    far = np.exp(rng.normal(0.2, 1.0, (count, 1, 1))).clip(0, 10)
    around = far / (1 + np.exp(-edge * (radius - 1)))
    local = F.interpolate(smooth_fields(rng, count), (GRID, GRID), mode="bicubic")[:, 0].numpy()
    anywhere = rng.uniform(0, 0.8, (count, 1, 1)) * local.clip(0, 1)
    kind = rng.random((count, 1, 1))
    sigma = np.where(kind < 0.7, around, anywhere) * (rng.random((count, 1, 1)) < BLURRED)
    return torch.as_tensor(sigma, dtype=torch.float32)


def draw_contrast(rng: np.random.Generator, count: int) -> Tensor:
    """How much stronger details are than they were, place by place: logs B 32 32.

    A face lit from one side, a cheek in shade above a neck in the sun, freckles, make-up: how
    strong texture is at one place beside another says little by itself. `CONTRASTED` of the photos
    are changed at all.
    """
    at = np.linspace(-1, 1, GRID)
    y, x = np.meshgrid(at, at, indexing="ij")
    right, down = rng.normal(0, 0.35, (2, count, 1, 1))
    local = torch.as_tensor(rng.normal(0, 0.45, (count, 1, 6, 6)))
    local = F.interpolate(local, (GRID, GRID), mode="bicubic", align_corners=True)[:, 0].numpy()
    amount = np.abs(rng.normal(0, 1, (count, 1, 1))) * (rng.random((count, 1, 1)) < CONTRASTED)
    return torch.as_tensor(amount * (right * x + down * y + local), dtype=torch.float32)


def strengthen(
    traces: Tensor, spectrum: Tensor, fine: Tensor, gain: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The measures of photos B V C h w with details stronger by `gain`, all frequencies alike.

    Where details are weaker, what rounding and compression left of the place with least stays.
    The shares of small details follow as those of details spread by Laplace's law.

    Args:
        traces: B V 59 32 32.
        spectrum: B V 27 32 32.
        fine: B V 3 128 128.
        gain: B 32 32, logs, see `draw_contrast`.
    """
    loss = -gain[:, None, None]
    energies, shares, extremes = traces.split((54, 3, 2), dim=2)
    bands, faint = spectrum.split((24, 3), dim=2)
    wide = F.interpolate(loss[:, 0], fine.shape[-2:], mode="bilinear")[:, None]
    fewer = loss.exp()
    return (
        torch.cat((_less(energies, loss), _shares(shares, fewer), extremes), dim=2),
        torch.cat((_less(bands, loss), _shares(faint, fewer)), dim=2),
        _less(fine, wide),
    )


def _shares(shares: Tensor, fewer: Tensor) -> Tensor:
    """Shares of details below a bound once they are divided by `fewer`."""
    return 1 - (1 - shares).clamp(0, 1) ** fewer


def soften(
    traces: Tensor, spectrum: Tensor, fine: Tensor, side: Tensor, sigma: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The measures of photos B V C h w as they would be out of focus.

    A blur takes (2 pi f sigma)^2 / 2 from the log of an amplitude at frequency f, but for what
    noise and compression left of the place where there is least.

    Args:
        traces: B V 59 32 32.
        spectrum: B V 27 32 32.
        fine: B V 3 128 128.
        side: B, of the photos in pixels.
        sigma: B 32 32, in pixels of a photo of side 512, see `draw_blur`.
    """
    small = sigma.square()[:, None, None] / 4  # at 256 pixels
    square = small * (side / 256).square().view(-1, 1, 1, 1, 1)
    level = traces.new_tensor(_LEVEL_LOSS).repeat_interleave(9).view(-1, 1, 1)
    native, relative, shares = traces.split((27, 27, 5), dim=2)
    softer = _less(native, level * square), _less(relative, level * small)
    band = traces.new_tensor(_BAND_LOSS).view(-1, 1, 1)
    bands, faint = spectrum.split((24, 3), dim=2)
    wide = F.interpolate(square[:, 0], fine.shape[-2:], mode="bilinear")[:, None]
    return (
        torch.cat((*softer, shares), dim=2),
        torch.cat((_less(bands, band * square), faint), dim=2),
        _less(fine, _LEVEL_LOSS[0] * wide),
    )


def _less(logs: Tensor, loss: Tensor) -> Tensor:
    """Logs of amplitudes B V C h w less a loss, but for what the least place of each has."""
    least = F.avg_pool2d(logs.flatten(0, 2)[:, None], 4).flatten(1).amin(1)
    noise = 0.8 * (2 * least).exp().view(*logs.shape[:3], 1, 1)
    signal = ((2 * logs).exp() - noise).clamp_min(0)
    left = (signal * (-2 * loss).exp() + noise).log() / 2
    weaker, stronger = torch.minimum(logs, left), torch.maximum(logs, left)
    return torch.where(loss > 0, weaker, torch.where(loss < 0, stronger, logs))
