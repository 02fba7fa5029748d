"""Pools of natural skin: faces, and what a classical retoucher finds on them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ...pipelines.bpfre.marks import LINE_SHARE
from ...pipelines.simulate.blemishes.painter import KINDS, paint, sample_blemishes
from ...pipelines.simulate.natural.retoucher import survey
from ..settings import setting
from .faces import to_bytes
from .material import Material, faces_note
from .native_capture import Face, NativeFaces, open_faces
from .pools import PoolConfig, Simulate

SKIN_STEP = 4
"""Maps of skin are kept on a grid this much coarser."""
_AS_SPOTS = ("acne", "scars", "spots")
_AS_LINES = ("wrinkles",)
_TRIES = 5
logger = logging.getLogger(__name__)


class NaturalSkinItem(NamedTuple):
    """Faces of one size and what is on them, bytes that stand for [0, 1] but for the photo.

    Attributes:
        photo: n 3 S S uint8, RGB; some with painted blemishes beside their own.
        skin: n 1 S/4 S/4 uint8, where tone may change.
        spots: n 1 S S uint8, share of each place that is a spot's.
        salience: n 1 S S uint8, how evident that spot is, where there is one.
        lines: n 1 S S uint8, share of each place that is to be filled as a line.
    """

    photo: Tensor
    skin: Tensor
    spots: Tensor
    salience: Tensor
    lines: Tensor


@dataclass(frozen=True)
class NaturalSource:
    """Looks at faces drawn by their shares, some of them painted first.

    Attributes:
        faces: the faces, at their own sizes.
        side: to which they are brought.
        painted: the share of faces with painted blemishes.
    """

    faces: NativeFaces
    side: int
    painted: float

    def __call__(self, rng: np.random.Generator, count: int) -> NaturalSkinItem:
        """`count` items, fields with a leading dimension."""
        items = [self._one(rng) for _ in range(count)]
        return NaturalSkinItem(*(torch.cat(fields) for fields in zip(*items, strict=True)))

    def _one(self, rng: np.random.Generator) -> NaturalSkinItem:
        """One item; a face that fails is named, and another one drawn."""
        for _ in range(_TRIES - 1):
            face = self.faces.read(self.faces.draw(rng))
            try:
                return self.look(face, rng)
            except (ArithmeticError, IndexError, RuntimeError, ValueError) as error:
                logger.warning("%s left out: %r", face.name, error)
        return self.look(self.faces.read(self.faces.draw(rng)), rng)

    def look(self, face: Face, rng: np.random.Generator) -> NaturalSkinItem:
        """A face brought to size, perhaps mirrored or painted, and what is on it."""
        photo = brought(face.pixels[None].float() / 127.5 - 1, self.side)
        points = face.points[None]
        found = survey(photo, points)
        spots, salience = found.marks.spots[None, None], found.marks.salience[None, None]
        salience = (salience / spots.clamp_min(1e-3)).clamp(0, 1)
        lines = LINE_SHARE * found.marks.lines[None, None]
        if rng.random() < self.painted:
            painted = paint(photo, [sample_blemishes(rng)], points)
            photo = painted.image
            drawn = _drawn(painted.masks, _AS_SPOTS)
            spots, salience = torch.maximum(spots, drawn), torch.where(drawn > 0.3, 1.0, salience)
            lines = torch.maximum(lines, _drawn(painted.masks, _AS_LINES))
        skin = F.avg_pool2d(found.skin, SKIN_STEP)
        maps = (_bytes(each) for each in (skin, spots, salience, lines))
        return NaturalSkinItem(to_bytes(photo), *maps)


def brought(photo: Tensor, side: int) -> Tensor:
    """B 3 s s brought to a side: by area means, or bicubic where it is smaller."""
    if photo.shape[-1] == side:
        return photo
    if photo.shape[-1] > side:
        return F.interpolate(photo, (side, side), mode="area")
    return F.interpolate(photo, (side, side), mode="bicubic", align_corners=False).clamp(-1, 1)


def _drawn(masks: Tensor, kinds: tuple[str, ...]) -> Tensor:
    return torch.stack([masks[:, KINDS.index(kind)] for kind in kinds]).amax(0)[:, None]


def _bytes(plane: Tensor) -> Tensor:
    return (plane.clamp(0, 1) * 255).round().to(torch.uint8)


@dataclass(frozen=True, kw_only=True)
class NaturalPool(PoolConfig):
    """Settings of a pool of natural skin: an item is a face and its maps (1.6 MB at 512 px)."""

    sources: tuple[str, ...] = setting(
        (),
        "folders in --faces with their shares, as real:0.7,drawn/a*:0.3; empty = its own files",
    )
    without: tuple[str, ...] = setting((), "patterns of file names to leave out, as london_*")
    side: int = setting(512, "side in pixels that faces are brought to", least=32)
    smallest: int = setting(448, "side in pixels below which stored faces are left out", least=1)
    painted: float = setting(0.25, "share of faces with painted blemishes", least=0, most=1)

    def simulator(self, material: Material) -> Simulate:
        """Makes `NaturalSkinItem`s.

        Raises:
            ValueError: no faces are named, or all of them are too small.
        """
        if material.faces is None:
            raise ValueError("this needs folders of faces: name them with --faces")
        if self.side % SKIN_STEP:
            raise ValueError(f"side must be a multiple of {SKIN_STEP}, got {self.side}")
        faces = open_faces(material.faces, self.sources, self.without)
        return NaturalSource(large_enough(faces, self.smallest), self.side, self.painted)

    def note(self, faces: Path) -> dict[str, Any]:
        """What pool.json says of the faces."""
        if not self.sources:
            return faces_note(faces)
        places = [source.partition(":")[0].partition("/")[0] for source in self.sources]
        return {place: faces_note(faces / place) for place in places}


def large_enough(faces: NativeFaces, smallest: int) -> NativeFaces:
    """The faces whose files have at least this side.

    Raises:
        ValueError: there is none.
    """
    kept = [i for i, path in enumerate(faces.files) if _side(path) >= smallest]
    if not kept:
        raise ValueError(f"no face has a side of {smallest} pixels or more: lower `smallest`")
    shares = faces.shares[kept]
    return NativeFaces(
        tuple(faces.files[i] for i in kept), faces.points[kept], shares / shares.sum()
    )


def _side(path: Path) -> int:
    with Image.open(path) as picture:
        return min(picture.size)
