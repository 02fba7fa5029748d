"""Stage `warp`: the warp head and the degree estimator of a geometric expert, before the rest.

Both see a photo on the coarse grid of its traces, so they train many times faster than the whole.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.mofrr_expert import WaveFRRExpert, retouching_traces
from .batches import RetouchSource, retouch_to_8_bits
from .losses import degree_classification, end_point_error
from .pool import Pool
from .stage_expert import recipes_for, told_degrees


class WarpBatch(NamedTuple):
    """What n photos show of a geometric operation.

    Attributes:
        traces: n 33 h w, `retouching_traces`.
        low: n 3 2h 2w, LL2 / 4.
        flow: n 2 h w in pixels, undoes the operation.
        degree: n in [0, 1], 0 = absent.
    """

    traces: Tensor
    low: Tensor
    flow: Tensor
    degree: Tensor


@dataclass
class WarpStage:
    """Trains the warp head and the degree estimator of a `WaveFRRExpert`.

    Attributes:
        model: an expert with a warp head.
        source: where faces and recipes come from.
        operation: which operation it undoes.
        batch_size: photos of one step.
        pool: photos simulated once for all steps (80 kB each, mirrored at random); 0 simulates new
            ones for every step.
        degree_weight: weight of the degree's loss.
        seed: of the pool.
    """

    model: WaveFRRExpert
    source: RetouchSource
    operation: str
    batch_size: int = 32
    pool: int = 0
    degree_weight: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.model.config.has_warp_head:
            raise ValueError(f"the expert for {self.operation} has no warp head to train")
        self.batches = Pool(self.simulate, self.pool, self.seed)

    def simulate(self, rng: np.random.Generator, count: int) -> WarpBatch:
        """Draws faces and retouches them."""
        images, points = self.source.draw(rng, count)
        recipes = recipes_for(self.operation, self.source, rng, count)
        operations = self.source.operations
        photos = retouch_to_8_bits(images, recipes, points, operations)
        traces = retouching_traces(photos.image)
        low, _ = self.model.bands(photos.image)
        index = operations.index(self.operation)
        grid = (traces.shape[-2], traces.shape[-1])
        flow = F.adaptive_avg_pool2d(photos.flows[:, index], grid)
        return WarpBatch(traces, low, flow, photos.degrees[:, index])

    def draw(self, rng: np.random.Generator) -> WarpBatch:
        """Photos of one step, those of a pool mirrored at random."""
        batch = self.batches.draw(rng, self.batch_size)
        if not self.pool:
            return batch
        mirrored = torch.as_tensor(rng.random(self.batch_size) < 0.5)
        mirrored = mirrored.to(batch.low.device)[:, None, None, None]
        sign = batch.flow.new_tensor([-1.0, 1.0])[:, None, None]
        position = batch.traces[:, -3:]
        traces = torch.cat((batch.traces[:, :-3].flip(-1), position), dim=1)
        return WarpBatch(
            torch.where(mirrored, traces, batch.traces),
            torch.where(mirrored, batch.low.flip(-1), batch.low),
            torch.where(mirrored, batch.flow.flip(-1) * sign, batch.flow),
            batch.degree,
        )

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The flow's end-point error in pixels, and L_class of the degree."""
        batch = self.draw(rng)
        expert = self.model.train()
        traces = expert.trace_standardization(batch.traces)
        logits, guess = expert.estimate_degree_from(traces)
        told = told_degrees(rng, batch.degree, guess.detach())
        flow = expert.predict_flow(traces, batch.low, told)
        return {
            "flow": end_point_error(flow, batch.flow),
            "degree": self.degree_weight * degree_classification(logits, batch.degree),
        }
