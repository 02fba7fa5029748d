"""The photos that BPFRe is judged on: painted faces, by kind of blemish, and hard cases."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...pipelines.simulate.blemishes.painter import KINDS, Painted, paint, sample_blemishes
from ..data.faces import FaceSet
from ..data.retouching import to_8_bits

HARD_CASES = ("dim light", "occlusion", "large pose")


def paint_condition(faces: FaceSet, condition: str, seed: int, first: int) -> Painted:
    """The faces with the blemishes of a condition; face i is painted by (seed, first + i).

    Args:
        faces: a batch.
        condition: "all", one of `KINDS`, or one of `HARD_CASES`.
        seed: of the run.
        first: index of the batch's first face in the set.
    """
    images = faces.pixels()
    wishes = []
    for row in range(len(faces)):
        rng = np.random.default_rng((seed, first + row))
        kinds = (condition,) if condition in KINDS else KINDS
        count = (1, 1) if condition in KINDS else (3, 6)
        wishes.append(sample_blemishes(rng, kinds, count=count, mole_probability=0.8))
    painted = paint(images, wishes, faces.landmarks, by_kind=False)
    if condition == "dim light":
        painted = painted._replace(image=_dim(painted.image), target=_dim(painted.target))
    if condition == "occlusion":
        painted = _occlude(painted, seed, first)
    return painted._replace(image=to_8_bits(painted.image), target=to_8_bits(painted.target))


def _dim(images: Tensor) -> Tensor:
    """A third of the light, with the noise of a short exposure left out."""
    return ((images + 1) / 2) ** 1.3 * 0.7 - 1


def _occlude(painted: Painted, seed: int, first: int) -> Painted:
    """A grey bar with a soft edge, a fifth of the photo wide, across the face at a random slope."""
    images = painted.image
    size = images.shape[-1]
    place = torch.linspace(-1, 1, size, device=images.device)
    covers = []
    for row in range(len(images)):
        rng = np.random.default_rng((seed, first + row, 1))
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.25, 0.25)
        distance = place[None] * np.cos(angle) + place[:, None] * np.sin(angle) - offset
        covers.append(torch.sigmoid((0.2 - distance.abs()) * 60)[None])
    cover = torch.stack(covers).to(images)
    visible = painted.mask * (1 - cover)
    return Painted(
        images * (1 - cover) - 0.3 * cover,
        painted.target * (1 - cover) - 0.3 * cover,
        visible,
        painted.moles * (1 - cover[:, 0]),
    )


def select_large_pose(faces: FaceSet, share: float = 0.25) -> FaceSet:
    """The faces turned the most: the nose's tip farthest from the middle between the ears."""
    if faces.landmarks is None:
        raise ValueError("poses need landmarks: put landmarks_<folder>.npz beside the folder")
    points = faces.landmarks
    left, right, nose = points[:, 234, 0], points[:, 454, 0], points[:, 4, 0]
    turn = ((nose - (left + right) / 2) / (right - left)).abs()
    count = max(1, round(share * len(faces)))
    return faces.select(sorted(turn.argsort(descending=True)[:count].tolist()))
