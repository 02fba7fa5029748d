"""Batches from pools of photos retouched at their own size (see `native_pool`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..models.mofrr.native_view import COLOUR_SIDE, NativeView
from ..pipelines.operations import OPERATIONS
from ..pipelines.simulate.effects import FELT
from .native_pool import FLOW_GRID, GEOMETRIC, VERSIONS, unpack_traces


class ChainBatch(NamedTuple):
    """B chains of V = 5 versions each; K = 4 operations."""

    order: Tensor  # B 4, the place of the operation that each version adds
    effects: Tensor  # B V K in [0, 1]
    traces: Tensor  # B V 59 32 32
    colour: Tensor  # B V 3 128 128 in [-1, 1]
    flows: Tensor  # B V 2 2 64 64, thousandths of the side: slimming, eyes
    about: Tensor  # B 4

    def view(self) -> NativeView:
        """What networks see of all versions, B * V."""
        traces, colour = self.traces.flatten(0, 1), self.colour.flatten(0, 1)
        side = self.about[:, None, 1].expand(-1, VERSIONS).flatten()
        return NativeView(traces, colour, (side / 256).log2())


class VersionBatch(NamedTuple):
    """One version of each of B chains, and the version before it."""

    effects: Tensor  # B, of the operation that is learned, in [0, 1]
    traces: Tensor  # B 59 32 32
    small: Tensor  # B 3 256 256 in [-1, 1]
    before: Tensor  # B 3 256 256, the version before that
    flow: Tensor  # B 2 64 64, what undoes the operation; zeros for photometric ones
    about: Tensor  # B 4

    def view(self) -> NativeView:
        """What networks see of the versions."""
        return see(self.traces, self.small, self.about[:, 1])


def see(traces: Tensor, small: Tensor, side: Tensor) -> NativeView:
    """The view that `native_router.look` would give, from what pools keep."""
    colour = F.avg_pool2d(small, small.shape[-1] // COLOUR_SIDE)
    return NativeView(traces, colour, (side / 256).log2())


class NativePool:
    """All chains of a folder of shards, held as bytes.

    Args:
        folder: of `shard_*.npz`.
        limit: how many shards at most.
    """

    def __init__(self, folder: Path | str, limit: int | None = None) -> None:
        paths = sorted(Path(folder).glob("shard_*.npz"))[:limit]
        if not paths:
            raise ValueError(f"{folder} holds no shard_*.npz; make a pool first.")
        shards = [dict(np.load(path)) for path in paths]
        self.fields = {
            name: torch.from_numpy(np.concatenate([shard.pop(name) for shard in shards]))
            for name in list(shards[0])
        }

        self.colour = reduced(self.fields["small"])

    def __len__(self) -> int:
        return len(self.fields["order"])

    def at(self, index: Tensor) -> ChainBatch:
        """The chains at `index`, as they are kept."""
        field = self.fields
        return ChainBatch(
            field["order"][index].long(),
            field["effects"][index].float(),
            unpack_traces(field["traces"][index]),
            self.colour[index].float() / 127.5 - 1,
            field["flows"][index].float(),
            field["about"][index].float(),
        )

    def draw(self, rng: np.random.Generator, count: int) -> ChainBatch:
        """`count` chains, some mirrored, in slightly other light."""
        batch = self.at(torch.as_tensor(rng.integers(len(self), size=count)))
        mirrored = torch.as_tensor(rng.random(count) < 0.5)
        traces, colour, flows = batch.traces, batch.colour, batch.flows
        traces[mirrored] = traces[mirrored].flip(-1)
        colour[mirrored] = colour[mirrored].flip(-1)
        turned = flows[mirrored].flip(-1)
        turned[:, :, :, 0] *= -1
        flows[mirrored] = turned
        traces = traces + 0.03 * torch.randn_like(traces)
        return batch._replace(traces=traces, colour=relight(colour, rng), flows=flows)

    def versions(self, index: Tensor, rows: Tensor, operation: int) -> VersionBatch:
        """Version `rows` (B, at least 1) of the chains at `index`, as they are kept."""
        field = self.fields
        flow = torch.zeros(len(index), 2, FLOW_GRID, FLOW_GRID)
        if OPERATIONS[operation] in GEOMETRIC:
            place = GEOMETRIC.index(OPERATIONS[operation])
            flow = field["flows"][index, rows, place].float()
        return VersionBatch(
            field["effects"][index, rows, operation].float(),
            unpack_traces(field["traces"][index, rows]),
            field["small"][index, rows].float() / 127.5 - 1,
            field["small"][index, rows - 1].float() / 127.5 - 1,
            flow,
            field["about"][index].float(),
        )

    def draw_versions(
        self, rng: np.random.Generator, count: int, operation: int, later: bool
    ) -> VersionBatch:
        """`count` versions that have the operation, some mirrored, in slightly other light.

        Args:
            rng: source of all randomness.
            count: of chains, one version each.
            operation: its place among `OPERATIONS`.
            later: whether versions may have operations that were added after it.
        """
        index = torch.as_tensor(rng.integers(len(self), size=count))
        rows = self.link(index, operation)
        if later:
            rows = torch.maximum(rows, torch.as_tensor(rng.integers(1, VERSIONS, size=count)))
        batch = self.versions(index, rows, operation)
        mirrored = torch.as_tensor(rng.random(count) < 0.5)
        traces, flow = batch.traces, batch.flow
        pair = torch.stack((batch.small, batch.before), dim=1)
        for planes in (traces, pair, flow):
            planes[mirrored] = planes[mirrored].flip(-1)
        flow[mirrored, 0] *= -1
        pair = relight(pair, rng)
        traces = traces + 0.03 * torch.randn_like(traces)
        return batch._replace(traces=traces, small=pair[:, 0], before=pair[:, 1], flow=flow)

    def link(self, index: Tensor, operation: int) -> Tensor:
        """The version of each chain that adds the operation, B."""
        return (self.fields["order"][index] == operation).int().argmax(1) + 1

    def batches(self, size: int) -> Iterator[ChainBatch]:
        """All chains in order."""
        for start in range(0, len(self), size):
            yield self.at(torch.arange(start, min(start + size, len(self))))


def reduced(small: Tensor) -> Tensor:
    """N V 3 256 256 uint8 at half the sides, a few chains at a time."""
    parts = [F.avg_pool2d(part.flatten(0, 1).float(), 2).round().byte() for part in small.split(64)]
    return torch.cat(parts).unflatten(0, small.shape[:2])


def relight(small: Tensor, rng: np.random.Generator) -> Tensor:
    """Other exposure and white balance for each chain B V 3 h w in [-1, 1], all versions alike."""
    numbers = torch.as_tensor(rng.normal(0, 1, size=(len(small), 5)), dtype=small.dtype)
    numbers = numbers.clamp(-2, 2)[:, None, :, None, None]
    gamma, gain = (0.12 * numbers[:, :, :1]).exp(), (0.04 * numbers[:, :, 1:2]).exp()
    tint = 1 + 0.025 * numbers[:, :, 2:5]
    return ((small * 0.5 + 0.5).clamp_min(1e-4) ** gamma * gain * tint).clamp(0, 1) * 2 - 1


def presence(batch: ChainBatch) -> tuple[Tensor, Tensor]:
    """Which operations were applied, B V K, and the weight of each in a loss.

    In a chain an operation is absent from k others once with probability (4 - k) / 4 and present
    beside them once with (k + 1) / 4; the weights make both equal, so that the others say nothing.
    Operations that changed nothing to be seen count neither way.
    """
    chains, count = batch.order.shape
    applied = torch.zeros(chains, count + 1, count)
    for version in range(1, count + 1):
        applied[:, version] = applied[:, version - 1]
        applied[torch.arange(chains), version, batch.order[:, version - 1]] = 1
    others = torch.arange(count + 1).view(1, -1, 1).float()
    weights = torch.where(applied > 0, 1 / others.clamp_min(1), 1 / (count - others).clamp_min(1))
    felt = batch.effects >= batch.effects.new_tensor([FELT[name] for name in OPERATIONS])
    return applied, weights * (felt | (applied == 0))
