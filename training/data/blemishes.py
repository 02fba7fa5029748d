"""Batches for BPFRe: faces blemished by the painter, their targets, and clean faces."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...pipelines.simulate.blemishes.painter import Blemish, paint, paintable_skin, sample_blemishes
from .faces import FaceSet
from .retouching import to_8_bits


class BlemishBatch(NamedTuple):
    """Blemished faces and what they should become.

    Attributes:
        photo: B 3 S S in [-1, 1], with blemishes (and moles).
        target: B 3 S S in [-1, 1], without blemishes (moles kept).
        mask: B 1 S S in [0, 1], where the blemishes are.
        moles: B 1 S S in [0, 1], where the moles are.
    """

    photo: Tensor
    target: Tensor
    mask: Tensor
    moles: Tensor


@dataclass(frozen=True)
class BlemishSource:
    """Draws blemished faces and clean ones; the same generator gives the same batch.

    Faces are divided once and for all: the first share of a random order has pairs, of the rest
    every other one is known only with blemishes, the others only without.

    Attributes:
        faces: the training faces, on the device.
        pair_share: share of the faces that have pairs.
        paintings: different paintings of each face; 0 paints every draw afresh.
        crop: side of the windows that are drawn, most of them at blemishes; 0 = whole faces.
        windows: windows drawn from one painted face.
        zoom: a quarter of the batches is enlarged by up to this factor.
        seed: fixes the division, and the paintings when they are limited.
    """

    faces: FaceSet
    pair_share: float = 1.0
    paintings: int = 0
    crop: int = 0
    windows: int = 5
    zoom: float = 1.6
    seed: int = 0
    _order: np.ndarray = field(init=False, repr=False)
    _skins: dict[int, Tensor] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.pair_share <= 1:
            raise ValueError(f"the share of pairs must lie in (0, 1], got {self.pair_share}")
        order = np.random.default_rng(self.seed).permutation(len(self.faces))
        object.__setattr__(self, "_order", order)

    @property
    def paired(self) -> np.ndarray:
        """Indices of the faces that have pairs; at least one."""
        return self._order[: max(1, round(self.pair_share * len(self.faces)))]

    @property
    def blemished_only(self) -> np.ndarray:
        """Indices of the faces known only with blemishes."""
        return self._order[len(self.paired) :: 2]

    @property
    def clean_only(self) -> np.ndarray:
        """Indices of the faces known only without blemishes."""
        return self._order[len(self.paired) + 1 :: 2]

    def draw(self, rng: np.random.Generator, pool: np.ndarray, count: int) -> BlemishBatch:
        """`count` faces of the pool, or windows of them, painted and augmented."""
        index = self._pick(rng, pool, count)
        faces, skin = self.faces.select(index), self._skin(index)
        wishes = [self._blemishes(rng, face) for face in index]
        painted = paint(faces.pixels(), wishes, faces.landmarks, by_kind=False, skin=skin)
        planes = torch.cat((painted.image, painted.target, painted.mask, painted.moles[:, None]), 1)
        planes = self._window(rng, self._augment(rng, planes), count, guide=6)
        image, target, mask, moles = planes.split((3, 3, 1, 1), 1)
        light = rng.random((count, 4))
        return BlemishBatch(_relight(image, light), _relight(target, light), mask, moles)

    def draw_clean(self, rng: np.random.Generator, pool: np.ndarray, count: int) -> Tensor:
        """`count` faces of the pool without blemishes, B 3 S S in [-1, 1], some with moles."""
        index = self._pick(rng, pool, count)
        faces, skin = self.faces.select(index), self._skin(index)
        images = faces.pixels()
        if rng.random() < 0.3:
            moles = [sample_blemishes(rng, count=(0, 0), mole_probability=1.0) for _ in index]
            images = paint(images, moles, faces.landmarks, by_kind=False, skin=skin).target
        planes = self._augment(rng, torch.cat((images, skin), 1))
        planes = self._window(rng, planes, count, guide=3)
        return _relight(planes[:, :3], rng.random((count, 4)))

    def _pick(self, rng: np.random.Generator, pool: np.ndarray, count: int) -> list[int]:
        """Indices of as many faces as `count` windows need."""
        faces = -(-count // self.windows) if self.crop else count
        return [int(i) for i in pool[rng.integers(len(pool), size=faces)]]

    def _skin(self, index: Sequence[int]) -> Tensor:
        """The faces' paintable skin, computed once for each face."""
        for face in index:
            if face not in self._skins:
                one = self.faces.select([face])
                self._skins[face] = paintable_skin(one.pixels(), one.landmarks)[0].half()
        return torch.stack([self._skins[face] for face in index]).float()

    def _blemishes(self, rng: np.random.Generator, face: int) -> Sequence[Blemish]:
        if self.paintings:
            version = int(rng.integers(self.paintings))
            rng = np.random.default_rng((self.seed, face, version))
        return sample_blemishes(rng)

    def _augment(self, rng: np.random.Generator, planes: Tensor) -> Tensor:
        """Mirrors each face, moves the batch by whole pixels, and enlarges some batches."""
        mirrored = torch.as_tensor(rng.random(len(planes)) < 0.5, device=planes.device)
        planes = torch.where(mirrored[:, None, None, None], planes.flip(-1), planes)
        size = planes.shape[-1]
        if rng.random() < 0.25:
            side = int(size / rng.uniform(1.0, self.zoom))
            top, left = (int(offset) for offset in rng.integers(0, size - side + 1, size=2))
            window = planes[..., top : top + side, left : left + side]
            planes = F.interpolate(window, (size, size), mode="bilinear", align_corners=False)
        return planes

    def _window(self, rng: np.random.Generator, planes: Tensor, count: int, guide: int) -> Tensor:
        """`count` windows of the faces in turn; most lie at a point drawn by the plane `guide`."""
        size, side = planes.shape[-1], self.crop
        if not side or side >= size:
            return planes
        windows = []
        for i in range(count):
            face = planes[i % len(planes)]
            weights = F.avg_pool2d(face[guide][None], 8)[0].flatten().double().cpu().numpy()
            corner = rng.integers(0, size - side + 1, size=2)
            if weights.sum() > 0 and rng.random() < 0.8:
                cell = int(rng.choice(weights.size, p=weights / weights.sum()))
                row, column = divmod(cell, size // 8)
                centre = np.array([row, column]) * 8 + rng.integers(-side // 3, side // 3, size=2)
                corner = (centre - side // 2).clip(0, size - side)
            top, left = int(corner[0]), int(corner[1])
            windows.append(face[:, top : top + side, left : left + side])
        return torch.stack(windows)


def _relight(images: Tensor, numbers: np.ndarray) -> Tensor:
    """Random exposure, contrast and white balance, B 4 numbers in [0, 1]; rounded to 8 bits."""
    drawn = torch.as_tensor(numbers, dtype=images.dtype, device=images.device)
    gamma, warmth, gain, tint = drawn[:, :, None, None, None].unbind(1)
    gamma = torch.exp((gamma - 0.4) * 0.5)
    warmth, tint = (warmth - 0.5) * 0.12, (tint - 0.5) * 0.05
    colour = torch.cat((1 + warmth, 1 + tint, 1 - warmth), 1) * (0.75 + 0.35 * gain)
    image = ((images + 1) / 2).clamp_min(1e-4) ** gamma * colour
    return to_8_bits(image * 2 - 1)
