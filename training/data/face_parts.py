"""The parts of a face as maps drawn from its mesh, which a router's `PartFinder` learns."""

from __future__ import annotations

import torch
from torch import Tensor

from ...models.mofrr.face_parts import MAPS, PARTS
from ...pipelines.simulate.landmarks import (
    BROWS,
    CHIN,
    EYES,
    FACE_OVAL,
    IRISES,
    JAW,
    LIPS,
    soft_polygons,
)

_IRIS_RIMS = ((469, 470, 471, 472), (474, 475, 476, 477))
_SOFTNESS = 0.5  # of a map's outlines, in cells


def part_maps(points: Tensor) -> Tensor:
    """Maps B P 64 64 in [0, 1] in the order of `PARTS`, of meshes B 478 2 in shares of the side."""
    points = points * MAPS
    oval, eyes = points[:, FACE_OVAL], [points[:, eye] for eye in EYES]
    up = points[:, 10] - points[:, CHIN]
    middle = points[:, CHIN] + 0.5 * up
    face, lids = _draw([oval]), _draw(eyes)
    lips, brow = _draw([points[:, LIPS]]), _draw([points[:, each] for each in BROWS])
    near = _draw([_scaled(eye, eye.mean(1), 2.2) for eye in eyes])
    inner, outer = _draw([_scaled(oval, middle, 0.86)]), _draw([_scaled(oval, middle, 1.18)])
    irises, neck = _draw(_irises(points)) * lids, _draw([_neck(points, up)])
    skin = face * (1 - lids) * (1 - lips) * (1 - brow)
    height = _height(points, up)
    low, high = height < 0.33, height > 0.68
    below = height < 0.6
    maps = {
        "forehead": skin * high,
        "cheeks": skin * ~(low | high),
        "chin": skin * low,
        "eye whites": lids * (1 - irises),
        "irises": irises,
        "lips": lips,
        "brows": brow,
        "around the eyes": near * (1 - lids),
        "inside the jaw": face * (1 - inner) * below,
        "outside the jaw": outer * (1 - face) * below,
        "neck": neck * (1 - face),
        "elsewhere": 1 - torch.maximum(outer, neck),
    }
    return torch.cat([maps[part] for part in PARTS], dim=1).clamp(0, 1)


def _draw(outlines: list[Tensor]) -> Tensor:
    softness = outlines[0].new_full((len(outlines[0]),), _SOFTNESS)
    return soft_polygons(outlines, MAPS, MAPS, softness)


def _scaled(outline: Tensor, middle: Tensor, factor: float) -> Tensor:
    return middle[:, None] + factor * (outline - middle[:, None])


def _irises(points: Tensor) -> list[Tensor]:
    """Octagons about the centres of the irises, as wide as their rims."""
    turn = torch.arange(8, dtype=points.dtype) * (torch.pi / 4)
    circle = torch.stack((turn.cos(), turn.sin()), dim=-1)
    outlines = []
    for centre, rim in zip(IRISES, _IRIS_RIMS, strict=True):
        middle = points[:, centre]
        radius = (points[:, rim] - middle[:, None]).norm(dim=-1).mean(1)
        outlines.append(middle[:, None] + radius[:, None, None] * circle)
    return outlines


def _neck(points: Tensor, up: Tensor) -> Tensor:
    """From the jaw's corners down by two fifths of the face's height, a little narrower: B N 2."""
    jaw = points[:, JAW[3:-3]]
    middle = jaw.mean(1, keepdim=True)
    jaw = middle + (jaw - middle) * points.new_tensor([0.8, 1.0])
    return torch.cat((jaw, jaw.flip(1) - 0.4 * up[:, None]), dim=1)


def _height(points: Tensor, up: Tensor) -> Tensor:
    """How high each cell lies from the chin (0) to the top of the forehead (1): B 1 64 64."""
    at = torch.arange(MAPS, dtype=points.dtype) + 0.5
    here = torch.stack(torch.broadcast_tensors(at, at[:, None]), dim=-1)[None]
    offset = here - points[:, None, None, CHIN]
    return ((offset * up[:, None, None]).sum(-1) / up.square().sum(-1)[:, None, None])[:, None]
