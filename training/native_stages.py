"""Stages on native pools: the router, flow and tone experts; tiles teach the texture expert."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..models.mofrr.flow_expert import FlowExpert
from ..models.mofrr.native_router import NativeRouter
from ..models.mofrr.texture_expert import TextureExpert, without_light
from ..models.mofrr.tone_expert import ToneExpert, slice_tone
from ..pipelines.simulate.effects import FELT
from ..pipelines.simulate.recipe import OPERATIONS
from .native_batches import NativePool, presence
from .native_pool import GEOMETRIC, TILES


@dataclass
class NativeRouterStage:
    """Presence, degree and place of each operation, and the order of versions of one face."""

    model: NativeRouter
    pool: NativePool
    chains: int = 12

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The loss terms of one batch."""
        batch = self.pool.draw(rng, self.chains)
        verdict = self.model.judge(batch.view())
        shape = batch.effects.shape
        logits = verdict.presence_logits.view(shape)
        applied, weights = presence(batch)
        smooth = applied * 0.96 + 0.02
        present = F.binary_cross_entropy_with_logits(logits, smooth, reduction="none")
        present = (present * weights).sum() / weights.sum()

        levels = verdict.degree_logits.shape[-1]
        counted = weights * applied
        degree = _two_hot_loss(verdict.degree_logits.view(*shape, levels), batch.effects)
        degree = (degree * counted).sum() / counted.sum().clamp_min(1)

        rise = logits[:, 1:] - logits[:, :-1]  # B 4 K, what each version adds
        added = F.one_hot(batch.order, shape[-1]).float()
        sure = added * (weights[:, 1:] > 0)
        ranking = (F.softplus(-rise) * sure).sum() / sure.sum().clamp_min(1)
        steady = (rise.square().clamp_max(16) * (1 - added)).mean()

        rows = [OPERATIONS.index(name) for name in GEOMETRIC]
        location = verdict.location_logits.view(*shape[:2], shape[-1], 16, 16)[:, :, rows]
        motion = F.avg_pool2d(batch.flows.square().sum(3).sqrt().flatten(0, 1), 4)
        moved = (motion.view_as(location) / 1.5).clamp(0, 1)
        place = F.binary_cross_entropy_with_logits(location, moved)
        return {
            "presence": present,
            "degree": 0.3 * degree,
            "ranking": 0.3 * ranking,
            "steady": 0.05 * steady,
            "place": 0.3 * place,
        }


def _two_hot_loss(logits: Tensor, effects: Tensor) -> Tensor:
    """Cross entropy ... of levels ... L against an effect between two of them."""
    count = logits.shape[-1]
    at = (effects.clamp(1 / count, 1) * count - 1).clamp(0, count - 1)
    low = at.floor().long().clamp_max(count - 2)
    share = at - low
    logs = logits.log_softmax(-1)
    left = logs.gather(-1, low[..., None])[..., 0]
    right = logs.gather(-1, low[..., None] + 1)[..., 0]
    return -(left * (1 - share) + right * share)


def known_degree(rng: np.random.Generator, effects: Tensor) -> Tensor:
    """The degree B as a user or a router would give it: half of them unknown, the rest inexact."""
    noise = torch.as_tensor(rng.normal(0, 0.05, size=len(effects)), dtype=effects.dtype)
    unknown = torch.as_tensor(rng.random(len(effects)) < 0.6)
    return torch.where(unknown, torch.nan, (effects + noise * effects).clamp(0, 1))


@dataclass
class FlowStage:
    """The flow that undoes one geometric operation, judged by pixels and by motion."""

    model: FlowExpert
    pool: NativePool
    operation: str
    count: int = 24

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The loss terms of one batch."""
        place = OPERATIONS.index(self.operation)
        batch = self.pool.draw_versions(rng, self.count, place, later=True)
        felt = (batch.effects >= FELT[self.operation]).float()
        flow, truth = self.model(batch.view(), known_degree(rng, batch.effects)), batch.flow
        small = F.avg_pool2d(batch.small, 2)
        motion = F.smooth_l1_loss(flow, truth, reduction="none", beta=2.0).mean((1, 2, 3))
        pixels = (move(small, flow) - move(small, truth)).square().mean((1, 2, 3))
        weight = 0.1 + 0.9 * felt
        return {
            "motion": 0.3 * (motion * weight).mean(),
            "pixels": 1000 * (pixels * weight).mean(),
        }


def move(photo: Tensor, flow: Tensor) -> Tensor:
    """Samples B 3 H W at p + flow, B 2 h w in thousandths of the sides; bilinear."""
    height, width = photo.shape[-2:]
    flow = F.interpolate(flow, (height, width), mode="bicubic") / 500
    identity = torch.eye(2, 3).expand(len(photo), -1, -1)
    home = F.affine_grid(identity, [len(photo), 3, height, width], align_corners=False)
    return F.grid_sample(
        photo, home + flow.permute(0, 2, 3, 1), "bilinear", "border", align_corners=False
    )


@dataclass
class ToneStage:
    """Light and colour before whitening."""

    model: ToneExpert
    pool: NativePool
    operation: str = "whitening"
    count: int = 24

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The loss terms of one batch."""
        place = OPERATIONS.index(self.operation)
        batch = self.pool.draw_versions(rng, self.count, place, later=False)
        felt = (batch.effects >= FELT[self.operation]).float()
        grid = self.model(batch.view(), known_degree(rng, batch.effects))
        photo, truth = F.avg_pool2d(batch.small, 4), F.avg_pool2d(batch.before, 4)
        error = (photo + slice_tone(grid, photo) - truth).square().mean((1, 2, 3))
        before = (photo - truth).square().mean((1, 2, 3))
        weight = 0.1 + 0.9 * felt
        rough = grid[..., 1:] - grid[..., :-1], grid[..., 1:, :] - grid[..., :-1, :]
        return {
            "pixels": 100 * (error * weight).mean(),
            "decibels": 0.3 * ((error + 2e-4).log() - (before + 2e-4).log()).mul(felt).mean(),
            "smooth": 0.5 * sum(each.square().mean() for each in rough),
        }


@dataclass
class TextureStage:
    """Detail before smoothing, on tiles of skin at native size."""

    model: TextureExpert
    pool: NativePool
    operation: str = "smoothing"
    count: int = 16

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The loss terms of one batch."""
        fields = self.pool.fields
        index = torch.as_tensor(rng.integers(len(self.pool), size=self.count))
        tile = torch.as_tensor(rng.integers(TILES, size=self.count))
        pair = fields["tiles"][index, :, tile].float() / 127.5 - 1
        mirrored = torch.as_tensor(rng.random(self.count) < 0.5)
        pair[mirrored] = pair[mirrored].flip(-1)
        truth, photo = pair.unbind(1)
        order = fields["order"][index].long()
        rows = (order == OPERATIONS.index(self.operation)).int().argmax(1) + 1
        effects = fields["effects"][index, rows, OPERATIONS.index(self.operation)].float()
        felt = (effects >= FELT[self.operation]).float()
        condition = known_degree(rng, effects)
        known = ~condition.isnan()
        condition = torch.stack((condition.nan_to_num(0.0), known.float()), dim=1)
        side = fields["about"][index, 1].float()
        change = without_light(self.model(photo, condition), side)
        wanted = without_light(truth - photo, side)
        margin = (..., slice(8, -8), slice(8, -8))
        error = (change - wanted)[margin].square().mean((1, 2, 3))
        before = wanted[margin].square().mean((1, 2, 3))
        weight = 0.2 + 0.8 * felt
        return {
            "pixels": 300 * (error * weight).mean(),
            "decibels": 0.3 * ((error + 1e-5).log() - (before + 1e-5).log()).mul(felt).mean(),
        }
