"""Chains: versions of a photo retouched at its own size, each with one operation more.

Each face gives a chain of versions: untouched, then with one operation more at a time, in random
order, through one app, one journey of the file and one crop. So every operation is added once to a
set of others of every size; a version and the one before it differ in that operation alone. What is
kept is what training reads: traces at native size, the photo at 256 and at 128 pixels, flows,
effects, and for smoothing tiles of skin at native size.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...models.mofrr.native_view import look
from ...pipelines.operations import OPERATIONS
from ...pipelines.simulate.capture import Framing
from ...pipelines.simulate.landmarks import FaceRegions
from ...pipelines.simulate.recipe import SPLITS
from ...pipelines.simulate.session import Versions, perform, sample_session
from ..settings import setting
from .faces import to_bytes
from .material import Material, faces_note
from .native_capture import (
    Face,
    NativeFaces,
    crop,
    largest_side,
    native_side,
    open_faces,
    send,
    take,
)
from .pools import PoolConfig, Simulate

logger = logging.getLogger(__name__)
FLOW_GRID = 64
TILE = 128
TILES = 3
POINTS = 10_000
"""Steps in which mesh points are kept, along a side."""
GEOMETRIC = ("face_slimming", "eye_enlarging")
VERSIONS = len(OPERATIONS) + 1
_TRIES = 3


class Chain(NamedTuple):
    """The V = 5 versions of one face, first the untouched one; K = 4 operations.

    In a pool each field has a leading dimension, the chains.

    Attributes:
        order: K uint8, the place among `OPERATIONS` of what each version adds to the one before.
        effects: V K, effect sizes; 0 = not applied.
        traces: V 59 32 32 uint8, see `pack_traces`.
        spectrum: V 27 32 32 uint8, likewise.
        fine: V 3 128 128 uint8, likewise.
        colour: V 3 128 128 uint8, the photos reduced to 128 pixels.
        flows: V 2 2 64 64, for slimming and eyes what undoes them, in thousandths of the photo's
            side; zeros where not applied.
        tiles: 2 3 3 128 128 uint8, tiles before and after smoothing is added, the first two on
            skin, the last one anywhere.
        points: 478 2, mesh points of the untouched photo in ten-thousandths of the side.
        about: 4 int32: native side, side of the photo, last JPEG quality (0 = none), face.
    """

    order: Tensor
    effects: Tensor
    traces: Tensor
    spectrum: Tensor
    fine: Tensor
    colour: Tensor
    flows: Tensor
    tiles: Tensor
    points: Tensor
    about: Tensor


def pack_traces(traces: Tensor) -> Tensor:
    """Traces as bytes: -3.5 .. 5.5 over 0 .. 255."""
    return ((traces + 3.5) * (255 / 9)).round().clamp(0, 255).to(torch.uint8)


def unpack_traces(packed: Tensor) -> Tensor:
    """The inverse of `pack_traces`, up to a rounding of 0.018."""
    return packed.float() * (9 / 255) - 3.5


@torch.no_grad()
def make_chain(
    rng: np.random.Generator,
    face: Face,
    number: int,
    side: int,
    *,
    split: str = "seen",
    journeys: bool = True,
) -> Chain:
    """Simulates the versions of one face.

    Args:
        rng: source of all randomness.
        face: a face crop.
        number: the face's number, kept in `about`.
        side: native side in pixels.
        split: algorithms of the app.
        journeys: whether files travel after retouching.
    """
    photo, points = take(rng, face, side)
    session = sample_session(rng, OPERATIONS, split=split)
    order = rng.permutation(len(OPERATIONS))
    choices = [[OPERATIONS[i] for i in order[:count]] for count in range(VERSIONS)]
    versions = perform(session, photo, points, choices)
    images, quality = send(rng, versions.image, side, journeys)
    images, points, cut = crop(rng, images, points)

    places = [list(session.steps).index(name) for name in OPERATIONS]
    effects = versions.effects[:, places]
    link = int(np.flatnonzero(order == OPERATIONS.index("smoothing"))[0])
    views = [look(image[None]) for image in images]
    traces, colour, _, spectrum, fine = (torch.cat(field) for field in zip(*views, strict=True))
    return Chain(
        torch.as_tensor(order, dtype=torch.uint8),
        effects,
        pack_traces(traces),
        pack_traces(spectrum),
        pack_traces(fine),
        to_bytes(colour),
        _flows(versions, places, cut, effects),
        _tiles(rng, images[link : link + 2], points),
        (points[0] * POINTS).round().to(torch.int16),
        torch.tensor([side, images.shape[-1], quality, number], dtype=torch.int32),
    )


def _flows(versions: Versions, places: Sequence[int], cut: Framing, effects: Tensor) -> Tensor:
    """V 2 2 64 64, in thousandths of the side, in the frame of the crop."""
    columns = [OPERATIONS.index(name) for name in GEOMETRIC]
    rows = [places[column] for column in columns]
    undoing = versions.undoing[rows] / versions.undoing.shape[-1]  # shares of the native side
    matrix = cut.matrix(undoing)[None].expand(len(undoing), -1, -1)
    grid = F.affine_grid(matrix, [len(undoing), 2, 256, 256], align_corners=False)
    undoing = F.grid_sample(undoing, grid, "bilinear", "border", align_corners=False)
    back = torch.linalg.inv(cut.matrix(undoing)[:, :2])
    undoing = torch.einsum("ij,bjhw->bihw", back, undoing)
    undoing = F.interpolate(undoing, (FLOW_GRID, FLOW_GRID), mode="area") * 1000
    return (effects[:, columns] > 0).float()[:, :, None, None, None] * undoing


def _tiles(rng: np.random.Generator, pair: Tensor, points: Tensor) -> Tensor:
    """The same tiles of two versions: 2 TILES 3 128 128 uint8.

    Their middles lie on skin but for the last one, which lies anywhere: hair, cloth and background
    are to be left as they are.
    """
    side = pair.shape[-1]
    skin = FaceRegions(points, side, side).skin[0, 0]
    weight = F.avg_pool2d(skin[None, None], 8)[0, 0].flatten().numpy().astype(np.float64)
    columns = side // 8
    share = weight / weight.sum() if weight.sum() > 0 else None
    tiles = []
    cells = columns * columns
    for at in (*rng.choice(cells, size=TILES - 1, p=share), rng.integers(cells)):
        top, left = (
            int(np.clip(8 * n + 4 - TILE // 2, 0, side - TILE)) for n in divmod(at, columns)
        )
        tiles.append(pair[..., top : top + TILE, left : left + TILE])
    return to_bytes(torch.stack(tiles, dim=1))


@dataclass(frozen=True)
class ChainSource:
    """Makes chains of faces drawn by their shares."""

    faces: NativeFaces
    split: str
    side: int
    longest: int
    journeys: bool

    def __call__(self, rng: np.random.Generator, count: int) -> Chain:
        """`count` chains, fields with a leading dimension."""
        chains = [self._one(rng) for _ in range(count)]
        return Chain(*(torch.stack(fields) for fields in zip(*chains, strict=True)))

    def _one(self, rng: np.random.Generator) -> Chain:
        """One chain; a face on which simulation fails is named, and another one drawn."""
        for _ in range(_TRIES - 1):
            number = self.faces.draw(rng)
            try:
                return self._of(rng, number)
            except (ArithmeticError, IndexError, RuntimeError, ValueError) as error:
                logger.warning("%s left out: %r", self.faces.files[number].name, error)
        return self._of(rng, self.faces.draw(rng))

    def _of(self, rng: np.random.Generator, number: int) -> Chain:
        face = self.faces.read(number)
        side = self.side or native_side(rng, face.pixels.shape[-1], self.longest)
        side = min(side, largest_side(face))
        return make_chain(rng, face, number, side, split=self.split, journeys=self.journeys)


@dataclass(frozen=True, kw_only=True)
class ChainPool(PoolConfig):
    """Settings of a pool of chains: an item is a face in five versions (1.4 MB)."""

    sources: tuple[str, ...] = setting(
        (),
        "folders in --faces with their shares, as real:0.65,drawn/a*:0.35; empty = its own files",
    )
    without: tuple[str, ...] = setting((), "patterns of file names to leave out, as london_*")
    split: str = setting("seen", f"algorithms: {', '.join(SPLITS)}", choices=SPLITS)
    side: int = setting(0, "native side in pixels; 0 = drawn, from 200 on", least=0)
    longest: int = setting(1024, "longest native side drawn", least=200)
    journeys: bool = setting(True, "files travel after retouching, and are compressed")

    def simulator(self, material: Material) -> Simulate:
        """Makes `Chain`s."""
        if material.faces is None:
            raise ValueError("this needs folders of faces: name them with --faces")
        faces = open_faces(material.faces, self.sources, self.without)
        return ChainSource(faces, self.split, self.side, self.longest, self.journeys)

    def note(self, faces: Path) -> dict[str, Any]:
        """What pool.json says of the faces."""
        if not self.sources:
            return faces_note(faces)
        places = [source.partition(":")[0].partition("/")[0] for source in self.sources]
        return {place: faces_note(faces / place) for place in places}
