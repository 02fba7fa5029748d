"""Pools of photos retouched at their own size: what routers and experts learn from.

Each face gives a chain of versions: untouched, then with one operation more at a time, in random
order, through one app, one journey of the file and one crop. So every operation is added once to a
set of others of every size; a version and the one before it differ in that operation alone. What is
kept is what training reads: traces at native size, the photo at 256 pixels, flows, effects, and for
smoothing tiles of skin at native size.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ..models.native_traces import native_traces
from ..pipelines.simulate.byproducts import phone_camera
from ..pipelines.simulate.capture import Framing, sample_framing, shoot
from ..pipelines.simulate.journey import Journey, sample_journey, travel
from ..pipelines.simulate.landmarks import FaceRegions
from ..pipelines.simulate.recipe import OPERATIONS
from ..pipelines.simulate.session import Versions, perform, sample_session

SMALL = 256
FLOW_GRID = 64
TILE = 128
TILES = 3
GEOMETRIC = ("face_slimming", "eye_enlarging")
VERSIONS = len(OPERATIONS) + 1


class Chain(NamedTuple):
    """The V = 5 versions of one face, first the untouched one.

    Attributes:
        order: 4, the place among `OPERATIONS` of what each version adds to the one before it.
        effects: V 4 float16, effect sizes; 0 = not applied.
        traces: V 59 32 32 uint8, see `pack_traces`.
        small: V 3 256 256 uint8, the photos reduced to 256 pixels.
        flows: V 2 2 64 64 float16, for slimming and eyes what undoes them, in thousandths of the
            photo's side; zeros where not applied.
        tiles: 2 3 3 128 128 uint8, tiles of skin before and after smoothing is added.
        about: 4 int32: native side, side of the photo, last JPEG quality (0 = none), face.
    """

    order: np.ndarray
    effects: np.ndarray
    traces: np.ndarray
    small: np.ndarray
    flows: np.ndarray
    tiles: np.ndarray
    about: np.ndarray


def pack_traces(traces: Tensor) -> Tensor:
    """Traces as bytes: -3.5 .. 5.5 over 0 .. 255."""
    return ((traces + 3.5) * (255 / 9)).round().clamp(0, 255).to(torch.uint8)


def unpack_traces(packed: Tensor) -> Tensor:
    """The inverse of `pack_traces`, up to a rounding of 0.018."""
    return packed.float() * (9 / 255) - 3.5


def native_side(rng: np.random.Generator, stored: int, longest: int = 1024) -> int:
    """How large the face is in the photo: from 200 pixels to a little above what is stored."""
    most = min(longest, stored * 1.12)
    return round(float(np.exp(rng.uniform(np.log(200), np.log(most)))))


@torch.no_grad()
def make_chain(
    rng: np.random.Generator,
    face: Tensor,
    points: Tensor,
    number: int,
    *,
    split: str = "seen",
    side: int | None = None,
    journeys: bool = True,
) -> Chain:
    """Simulate the versions of one face.

    Args:
        rng: source of all randomness.
        face: 3 S S uint8.
        points: 478 2, shares of the side.
        number: the face's number, kept in `about`.
        split: algorithms of the app.
        side: native side in pixels; None draws one.
        journeys: whether files travel after retouching.
    """
    side = side or native_side(rng, face.shape[-1])
    framing = sample_framing(rng, side)
    photo = shoot(framing.image(face[None].float() / 127.5 - 1), rng)
    points = framing.points(points)[None]
    if rng.random() < 0.3:
        photo = _through_phone(rng, photo, points)
    photo = (photo * 127.5 + 127.5).round().div_(127.5).sub_(1)
    if rng.random() < 0.5:
        first = Journey(sample_journey(rng, side).saves[:1])
        photo = travel(photo, [first])

    session = sample_session(rng, OPERATIONS, split=split)
    order = rng.permutation(len(OPERATIONS))
    choices = [[OPERATIONS[i] for i in order[:count]] for count in range(VERSIONS)]
    versions = perform(session, photo, points, choices)
    images, journey = _send(rng, versions.image, side, journeys)
    images, points, cut = _crop(rng, images, points)
    places = [list(session.steps).index(name) for name in OPERATIONS]
    effects = versions.effects[:, places]
    flows = _flows(versions, places, cut, effects)
    quality = journey.saves[-1].quality if journey.saves else None
    about = np.array([side, images.shape[-1], quality or 0, number], np.int32)
    link = int(np.flatnonzero(order == OPERATIONS.index("smoothing"))[0])
    pair = images[link : link + 2]
    return Chain(
        order.astype(np.uint8),
        effects.half().numpy(),
        pack_traces(torch.cat([native_traces(image[None]) for image in images])).numpy(),
        _bytes(F.interpolate(images, (SMALL, SMALL), mode="bilinear", antialias=True)),
        flows.half().numpy(),
        _tiles(rng, pair, points),
        about,
    )


def _through_phone(rng: np.random.Generator, photo: Tensor, points: Tensor) -> Tensor:
    """The photo as a phone's own processing leaves it."""
    side = photo.shape[-1]
    amounts, variations = (torch.as_tensor(rng.random(n), dtype=photo.dtype) for n in (1, 4))
    face = FaceRegions(points, side, side)
    return phone_camera(photo, amounts, variations[None], face)


def _send(
    rng: np.random.Generator, images: Tensor, side: int, journeys: bool
) -> tuple[Tensor, Journey]:
    """All versions on one journey; in a third of the cases each with its own JPEG qualities."""
    if not journeys:
        return travel(images, [Journey()] * len(images)), Journey()
    journey = sample_journey(rng, side)
    changes = np.zeros(len(images), int)
    if rng.random() < 0.33:
        changes = rng.integers(-12, 13, size=len(images))
    return travel(images, [journey.recompressed(int(change)) for change in changes]), journey


def _crop(
    rng: np.random.Generator, images: Tensor, points: Tensor
) -> tuple[Tensor, Tensor, Framing | None]:
    """As a detector crops: by whole pixels, or (in a third of the cases) turned and resampled."""
    side = images.shape[-1]
    if rng.random() < 0.33:
        size = max(160, round(side * float(rng.uniform(0.75, 1.1))))
        turn, zoom = float(rng.normal(0, 0.03)), float(rng.uniform(0.93, 1.0))
        framing = Framing(size, zoom, turn)
        images = (framing.image(images) * 127.5).round() / 127.5
        return images, framing.points(points), framing
    left, top, right, bottom = (int(n) for n in rng.integers(0, max(1, side // 20), size=4))
    left, top = min(left, top + 2), top
    size = side - max(left + right, top + bottom)
    images = images[..., top : top + size, left : left + size].contiguous()
    middle = ((left + size / 2) / side * 2 - 1, (top + size / 2) / side * 2 - 1)
    framing = Framing(size, size / side, 0.0, (middle[0] / 2, middle[1] / 2))
    return images, framing.points(points), framing


def _flows(
    versions: Versions, places: Sequence[int], cut: Framing | None, effects: Tensor
) -> Tensor:
    """V 2 2 64 64, in thousandths of the side, in the frame of the crop."""
    rows = [places[OPERATIONS.index(name)] for name in GEOMETRIC]
    undoing = versions.undoing[rows] / versions.undoing.shape[-1]  # shares of the native side
    if cut is not None:
        matrix = cut.matrix(undoing)[None].expand(len(undoing), -1, -1)
        grid = F.affine_grid(matrix, [len(undoing), 2, 256, 256], align_corners=False)
        undoing = F.grid_sample(undoing, grid, "bilinear", "border", align_corners=False)
        back = torch.linalg.inv(cut.matrix(undoing)[:, :2])
        undoing = torch.einsum("ij,bjhw->bihw", back, undoing)
    undoing = F.interpolate(undoing, (FLOW_GRID, FLOW_GRID), mode="area") * 1000
    applied = (effects[:, [OPERATIONS.index(name) for name in GEOMETRIC]] > 0).float()
    return applied[:, :, None, None, None] * undoing


def _tiles(rng: np.random.Generator, pair: Tensor, points: Tensor) -> np.ndarray:
    """The same tiles of two versions, centred on skin: 2 TILES 3 128 128 uint8."""
    side = pair.shape[-1]
    skin = FaceRegions(points, side, side).skin[0, 0]
    weight = F.avg_pool2d(skin[None, None], 8)[0, 0].flatten().numpy().astype(np.float64)
    columns = side // 8
    weight = weight / weight.sum() if weight.sum() > 0 else None
    tiles = []
    for at in rng.choice((side // 8) * columns, size=TILES, p=weight):
        low = [int(np.clip(8 * n + 4 - TILE // 2, 0, side - TILE)) for n in divmod(at, columns)]
        tiles.append(pair[..., low[0] : low[0] + TILE, low[1] : low[1] + TILE])
    return _bytes(torch.stack(tiles, dim=1).flatten(0, 1)).reshape(2, TILES, 3, TILE, TILE)


def _bytes(images: Tensor) -> np.ndarray:
    return ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()


def read_face(path: Path) -> Tensor:
    """A face crop as 3 S S uint8."""
    with Image.open(path) as picture:
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).contiguous()
