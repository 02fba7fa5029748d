"""Batches from pools of chains (see `native_chains`), read from their files as they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...models.mofrr.face_parts import MAPS, PARTS
from ...models.mofrr.native_view import NativeView
from ...pipelines.operations import OPERATIONS
from ...pipelines.simulate.effects import FELT
from .face_parts import part_maps
from .faces import to_signed
from .native_chains import FLOW_GRID, GEOMETRIC, POINTS, TILES, VERSIONS, Chain, unpack_traces
from .native_variation import (
    draw_blur,
    draw_contrast,
    draw_frames,
    draw_shapes,
    framed_side,
    mix,
    reframe,
    reframe_flows,
    relight,
    smooth_fields,
    soften,
    strengthen,
)
from .pools import StoredPool
from .share import WHOLE, Share

TRACE_NOISE = 0.03
"""Standard deviation of what is added to stored traces."""
MEASURED = ("traces", "spectrum", "fine")
"""What of a view was measured on the photo's own pixels."""
NO_PARTS = torch.zeros(0, len(PARTS), MAPS, MAPS)
Kind = TypeVar("Kind", bound=tuple)


class ChainBatch(NamedTuple):
    """V neighbouring versions of each of B chains; K = 4 operations."""

    order: Tensor  # B K, the place of the operation that each version of the chain adds
    rows: Tensor  # B V, the places of these versions in the chain
    effects: Tensor  # B V K in [0, 1]
    traces: Tensor  # B V 59 32 32
    spectrum: Tensor  # B V 27 32 32
    fine: Tensor  # B V 3 128 128
    colour: Tensor  # B V 3 128 128 in [-1, 1]
    flows: Tensor  # B V 2 2 64 64, thousandths of the side: slimming, eyes
    parts: Tensor  # n P 64 64 in [0, 1], see `part_maps`, of the first n <= B chains
    about: Tensor  # B 4

    def view(self) -> NativeView:
        """What networks see of all versions, B * V."""
        side = self.about[:, None, 1].expand_as(self.rows)
        fields = self.traces, self.colour, (side / 256).log2(), self.spectrum, self.fine
        return NativeView(*(field.flatten(0, 1) for field in fields))


class VersionBatch(NamedTuple):
    """One version of each of B chains, and the version before it."""

    effects: Tensor  # B, of the operation that is learned, in [0, 1]
    traces: Tensor  # B 59 32 32
    spectrum: Tensor  # B 27 32 32
    fine: Tensor  # B 3 128 128
    small: Tensor  # B 3 128 128 in [-1, 1]
    before: Tensor  # B 3 128 128, the version before that
    flow: Tensor  # B 2 64 64, what undoes the operation; zeros for photometric ones
    about: Tensor  # B 4

    def view(self) -> NativeView:
        """What networks see of the versions."""
        side = (self.about[:, 1] / 256).log2()
        return NativeView(self.traces, self.small, side, self.spectrum, self.fine)


class TileBatch(NamedTuple):
    """A tile of skin of each of B photos, smoothed and as it was."""

    effects: Tensor  # B in [0, 1]
    smoothed: Tensor  # B 3 128 128 in [-1, 1]
    before: Tensor  # B 3 128 128
    side: Tensor  # B, of the photos in pixels


@dataclass(frozen=True)
class ChainPools:
    """The chains of some pools.

    Attributes:
        folders: the pools.
        device: where batches go.
        share: the part of the chains that is drawn from, as if there were no others.
    """

    folders: tuple[Path, ...]
    device: torch.device | str = "cpu"
    share: Share = WHOLE

    @cached_property
    def _stored(self) -> StoredPool[Chain]:
        return StoredPool(self.folders, Chain, share=self.share)

    def __len__(self) -> int:
        return len(self._stored)

    def _part(self, field: str, index: Sequence[int], *within: Sequence[int]) -> Tensor:
        """A field of some chains, or what stands in it at `within`, each B numbers long."""
        places = zip(index, *within, strict=True)
        return torch.stack([self._stored.part(field, *map(int, place)) for place in places])

    def at(
        self,
        index: Sequence[int],
        first: Sequence[int] | None = None,
        versions: int = VERSIONS,
        parts: int = 0,
    ) -> ChainBatch:
        """The chains at `index` as they are kept.

        Args:
            index: which ones.
            first: the first version of each, B; the untouched one if not given.
            versions: of each.
            parts: of how many of them the parts of the face are drawn too.
        """
        rows = torch.tensor(first or [0] * len(index))[:, None] + torch.arange(versions)

        def read(field: str) -> Tensor:
            columns = [self._part(field, index, column.tolist()) for column in rows.T]
            return torch.stack(columns, dim=1)

        return ChainBatch(
            self._part("order", index).long(),
            rows,
            read("effects").float(),
            unpack_traces(read("traces")),
            unpack_traces(read("spectrum")),
            unpack_traces(read("fine")),
            to_signed(read("colour")),
            read("flows").float(),
            part_maps(self._part("points", index[:parts]).float() / POINTS) if parts else NO_PARTS,
            self._part("about", index).float(),
        )

    def draw(
        self,
        rng: np.random.Generator,
        count: int,
        versions: int = VERSIONS,
        strangers: float = 0.0,
        parts: int = 0,
    ) -> ChainBatch:
        """Neighbouring versions of `count` chains in another framing, shape and light.

        Args:
            rng: source of all randomness.
            count: of chains.
            versions: of each.
            strangers: up to this share of what is seen of a face, place by place, is another
                one's, untouched and the same in all its versions: people differ from each other
                by far more than an operation changes them, and few of them are known.
            parts: of how many chains the parts of the face are drawn too.
        """
        index = rng.integers(len(self), size=count).tolist()
        first = rng.integers(VERSIONS - versions + 1, size=count).tolist()
        batch = self.at(index, first, versions, parts)
        frames, shapes = draw_frames(rng, count), draw_shapes(rng, count)
        fields = (*MEASURED, "colour")
        seen = {name: reframe(getattr(batch, name), frames, shapes) for name in fields}
        if strangers:
            others = self.at(rng.integers(len(self), size=count).tolist(), versions=1)
            share = strangers * smooth_fields(rng, count)
            seen = {name: mix(field, getattr(others, name), share) for name, field in seen.items()}
        traces, spectrum, fine = (seen[name] for name in MEASURED)
        traces, spectrum, fine = strengthen(traces, spectrum, fine, draw_contrast(rng, count))
        measured = soften(traces, spectrum, fine, batch.about[:, 1], draw_blur(rng, count))
        seen |= {name: _noisy(each) for name, each in zip(MEASURED, measured, strict=True)}
        seen["colour"] = relight(seen["colour"], rng)
        return self._placed(
            batch._replace(
                **seen,
                flows=reframe_flows(batch.flows, frames, shapes),
                parts=reframe(batch.parts, frames[:parts], shapes[:parts]) if parts else NO_PARTS,
                about=_reframed(batch.about, frames),
            )
        )

    def versions(self, index: Sequence[int], rows: Sequence[int], operation: int) -> VersionBatch:
        """Version `rows` (B, at least 1) of the chains at `index`, as they are kept."""
        flow = torch.zeros(len(index), 2, FLOW_GRID, FLOW_GRID)
        if OPERATIONS[operation] in GEOMETRIC:
            place = GEOMETRIC.index(OPERATIONS[operation])
            flow = self._part("flows", index, rows, [place] * len(rows)).float()
        measured = [unpack_traces(self._part(field, index, rows)) for field in MEASURED]
        traces, spectrum, fine = measured
        return VersionBatch(
            self._part("effects", index, rows, [operation] * len(rows)).float(),
            traces,
            spectrum,
            fine,
            to_signed(self._part("colour", index, rows)),
            to_signed(self._part("colour", index, [row - 1 for row in rows])),
            flow,
            self._part("about", index).float(),
        )

    def draw_versions(
        self, rng: np.random.Generator, count: int, operation: int, later: bool
    ) -> VersionBatch:
        """`count` versions that have the operation, in other framings and slightly other light.

        Args:
            rng: source of all randomness.
            count: of chains, one version each.
            operation: its place among `OPERATIONS`.
            later: whether versions may have operations that were added after it.
        """
        index = rng.integers(len(self), size=count).tolist()
        rows = self.link(index, operation)
        if later:
            rows = np.maximum(rows, rng.integers(1, VERSIONS, size=count)).tolist()
        batch = self.versions(index, rows, operation)
        frames = draw_frames(rng, count)
        pair = reframe(torch.stack((batch.small, batch.before), dim=1), frames)
        small, before = relight(pair, rng).unbind(dim=1)
        seen = {name: _noisy(reframe(getattr(batch, name), frames)) for name in MEASURED}
        flow = reframe_flows(batch.flow, frames)
        return self._placed(
            batch._replace(
                **seen, small=small, before=before, flow=flow, about=_reframed(batch.about, frames)
            )
        )

    def draw_tiles(self, rng: np.random.Generator, count: int, operation: int) -> TileBatch:
        """`count` tiles of the version that adds an operation of texture, some mirrored."""
        index = rng.integers(len(self), size=count).tolist()
        tile = rng.integers(TILES, size=count).tolist()
        pair = torch.stack([self._part("tiles", index, [row] * count, tile) for row in (0, 1)], 1)
        pair = to_signed(pair)
        mirrored = torch.as_tensor(rng.random(count) < 0.5)
        pair[mirrored] = pair[mirrored].flip(-1)
        rows = self.link(index, operation)
        effects = self._part("effects", index, rows, [operation] * count).float()
        side = self._part("about", index).float()[:, 1]
        return self._placed(TileBatch(effects, pair[:, 1], pair[:, 0], side))

    def link(self, index: Sequence[int], operation: int) -> list[int]:
        """The version of each chain that adds the operation, B."""
        return ((self._part("order", index) == operation).int().argmax(1) + 1).tolist()

    def _placed(self, batch: Kind) -> Kind:
        kind = cast(type, type(batch))
        return kind(*(part.to(self.device) for part in batch))


def _reframed(about: Tensor, frames: Tensor) -> Tensor:
    """What is kept about chains B 4, with the side of the photo as its framing shows it."""
    about = about.clone()
    about[:, 1] *= framed_side(frames)
    return about


def _noisy(planes: Tensor) -> Tensor:
    return planes + TRACE_NOISE * torch.randn_like(planes)


def presence(batch: ChainBatch) -> tuple[Tensor, Tensor]:
    """Which operations were applied, B V K, and the weight of each in a loss.

    In a chain an operation is absent from k others once with probability (4 - k) / 4 and present
    beside them once with (k + 1) / 4; the weights make both equal, so that the others say nothing.
    Versions at the ends of a chain, which lie in fewer of the spans that are drawn, count for more.
    Operations that changed nothing to be felt count neither way.
    """
    count = batch.order.shape[1]
    added = F.one_hot(batch.order, count).cumsum(1).float()
    applied = F.pad(added, (0, 0, 1, 0))  # the first version has none
    applied = applied.gather(1, batch.rows[..., None].expand(-1, -1, count))
    others = batch.rows[..., None].float()
    weights = torch.where(applied > 0, 1 / others.clamp_min(1), 1 / (count - others).clamp_min(1))
    weights = weights / spans_over(batch.rows, batch.rows.shape[1])[..., None]
    least = batch.effects.new_tensor([FELT[name] for name in OPERATIONS])
    return applied, weights * ((batch.effects >= least) | (applied == 0))


def spans_over(rows: Tensor, versions: int) -> Tensor:
    """In how many of the spans of `versions` neighbours in a chain each version lies."""
    last = VERSIONS - versions
    return rows.clamp_max(last) - (rows - versions + 1).clamp_min(0) + 1


def felt(effects: Tensor, operation: str) -> Tensor:
    """1 where an effect is large enough to be felt, else 0."""
    return (effects >= FELT[operation]).float()
