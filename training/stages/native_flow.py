"""Stage `native_flow`: the flow that undoes one geometric operation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...models.mofrr.flow_expert import FlowExpert
from ...pipelines.operations import OPERATIONS
from ..data.material import Material
from ..data.native_batches import felt
from ..data.native_chains import GEOMETRIC
from ..settings import setting
from .native import known_degree, log_left
from .native_coarse import CoarseExpertConfig, CoarseExpertStage

FLOOR = 2e-5
"""Mean square that no flow is praised for going below, of photos in [-1, 1]."""


@dataclass(frozen=True, kw_only=True)
class NativeFlowConfig(CoarseExpertConfig):
    """Settings of stage `native_flow`."""

    operation: str = setting(
        GEOMETRIC[0], f"which one the expert undoes: {', '.join(GEOMETRIC)}", choices=GEOMETRIC
    )

    def build(self, material: Material) -> NativeFlowStage:
        """The stage, its network and pools loaded."""
        expert, chains = self.surveyed(material, FlowExpert, "flow_expert", self.operation)
        return NativeFlowStage(expert, chains, self.operation, self.batch_size, self.decibels)


class NativeFlowStage(CoarseExpertStage):
    """The flow that undoes one geometric operation, judged by motion, by pixels and in decibels."""

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The loss terms of one batch; thousandths of the sides for motion."""
        place = OPERATIONS.index(self.operation)
        batch = self.chains.draw_versions(rng, self.count, place, later=True)
        expert = self.learner()
        flow, truth = expert(batch.view(), known_degree(rng, batch.effects)), batch.flow
        small = batch.small
        motion = F.smooth_l1_loss(flow, truth, reduction="none", beta=2.0).mean((1, 2, 3))
        wanted = move(small, truth)
        pixels, before = (
            (moved - wanted).square().mean((1, 2, 3)) for moved in (move(small, flow), small)
        )
        counts = felt(batch.effects, self.operation)
        weight = 0.1 + 0.9 * counts
        return {
            "motion": 0.15 * (motion * weight).mean(),
            "pixels": 300 * (pixels * weight).mean(),
            "decibels": self.decibels * log_left(pixels, before, FLOOR, counts),
        }


def move(photo: Tensor, flow: Tensor) -> Tensor:
    """Samples B 3 H W at p + flow, B 2 h w in thousandths of the sides; bilinear."""
    height, width = photo.shape[-2:]
    flow = F.interpolate(flow, (height, width), mode="bicubic") / 500
    identity = torch.eye(2, 3, device=photo.device).expand(len(photo), -1, -1)
    home = F.affine_grid(identity, [len(photo), 3, height, width], align_corners=False)
    return F.grid_sample(
        photo, home + flow.permute(0, 2, 3, 1), "bilinear", "border", align_corners=False
    )
