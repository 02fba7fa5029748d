"""Depth of field: what is nearer or farther than the eyes is soft, by lens or by portrait mode.

A lens makes things softer with their distance, ears and hair already a little; a phone's portrait
mode blurs all but the person, up to an outline of its own that is seldom quite right.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .filters import blur
from .landmarks import CHIN, JAW

_LEVELS = 3
"""Blurs between none and the widest, among which each place's own is mixed."""
_GRID = 64
"""Cells along each side of the grid on which outlines are drawn."""
_GAMMA = 2.2
_HEAD = (0.64, 0.76)
"""Half axes of an ellipse about hair and ears, in face widths and in heights, forehead to chin."""


class Focus(NamedTuple):
    """What of a photo is sharp; lengths in radii of the head, measured from its middle.

    Attributes:
        widest: standard deviation of the widest blur, in shares of the face's width.
        inner: where softness begins; below 1 the sides of the face are soft already.
        edge: over how much it grows to the widest.
        body: whether neck and shoulders are as sharp as the head.
        ragged: standard deviation of what the outline is off.
    """

    widest: float
    inner: float
    edge: float
    body: bool
    ragged: float


def sample_focus(rng: np.random.Generator) -> Focus:
    """A lens (blurs of .6 to 5 % of the face's width) or a portrait mode (to 10 %)."""
    widest = 0.01 * 10 ** float(rng.random())
    if rng.random() < 0.5:
        widest *= 0.5 + 0.1 * float(rng.random())
        inner, edge = float(rng.uniform(0.55, 1.05)), float(rng.uniform(0.2, 0.9))
        return Focus(widest, inner, edge, bool(rng.random() < 0.5), 0.02)
    inner, edge = float(rng.uniform(0.95, 1.1)), float(rng.uniform(0.03, 0.12))
    return Focus(widest, inner, edge, True, float(rng.uniform(0.01, 0.06)))


def out_of_focus(photo: Tensor, points: Tensor, focus: Focus, rng: np.random.Generator) -> Tensor:
    """The photo with what is out of focus softened, in linear light as lenses do it.

    Args:
        photo: 1 3 H W in [-1, 1].
        points: 478 2, mesh points in shares of width and height.
        focus: what is sharp.
        rng: draws how the outline is off.

    Returns:
        1 3 H W in [-1, 1].
    """
    height, width = photo.shape[-2:]
    places = points * points.new_tensor([width, height])
    face = float((places[JAW[-1]] - places[JAW[0]]).norm())
    rows, columns = ((torch.arange(_GRID) + 0.5) / _GRID * side for side in (height, width))
    here = torch.stack(torch.broadcast_tensors(columns, rows[:, None]), dim=-1)
    radius = _from_head(here, places, face)
    if focus.body:
        radius = torch.minimum(radius, _from_body(here, places, face))
    off = torch.as_tensor(rng.normal(0, focus.ragged, (1, 1, 9, 9)), dtype=photo.dtype)
    radius = radius + F.interpolate(off, radius.shape, mode="bicubic")[0, 0]
    share = ((radius - focus.inner) / focus.edge).clamp(0, 1)[None, None]
    share = F.interpolate(share, (height, width), mode="bilinear", align_corners=False)
    return _mixed(photo, share, focus.widest * face)


def _from_head(here: Tensor, places: Tensor, face: float) -> Tensor:
    """How far places h w 2 are from the middle of the head: h w, 1 at hair and ears."""
    up = places[10] - places[CHIN]
    tall = up.norm()
    offset = here - (places[CHIN] + 0.62 * up)
    along = offset @ (up / tall) / (_HEAD[1] * tall)
    across = offset @ torch.stack((-up[1], up[0])).div(tall) / (_HEAD[0] * face)
    return (along.square() + across.square()).sqrt()


def _from_body(here: Tensor, places: Tensor, face: float) -> Tensor:
    """The same for a neck below the chin that widens to shoulders."""
    offset = (here - places[CHIN]) / face
    down = offset[..., 1]
    half = 0.32 + 1.6 * (down - 0.25).clamp(0, 0.6)
    return offset[..., 0].abs() / half + 4 * (0.05 - down).clamp_min(0)


def _mixed(photo: Tensor, share: Tensor, widest: float) -> Tensor:
    """Each place from the two blurs next to its own; share 1 1 H W of the widest in pixels."""
    light = (photo * 0.5 + 0.5).clamp(0, 1) ** _GAMMA
    place = share * _LEVELS
    mixed = light * (1 - place).clamp_min(0)
    for level in range(1, _LEVELS + 1):
        weight = (1 - (place - level).abs()).clamp_min_(0)
        if bool(weight.any()):
            mixed += weight * blur(light, light.new_tensor([widest * level / _LEVELS]))
    return mixed.clamp(0, 1) ** (1 / _GAMMA) * 2 - 1
