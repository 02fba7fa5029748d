"""Where smoothers act, how they even out light, and how their result is put over the photo."""

from __future__ import annotations

import torch
from torch import Tensor

from .colour import unit
from .draws import number
from .edit import Edit, blend
from .filters import enlarge, gaussian, per_sample, reduce
from .landmarks import FaceRegions
from .regions import around_face, replace, select, skin_region, take

FACE = (0.0, 0.0)
"""Shares of the whole picture and of skin by a colour rule, for engines with a face mask only."""
FACE_OR_SKIN = (0.0, 0.5)
PICTURE_OR_SKIN = (0.5, 0.5)
ANYWHERE = (0.2, 0.5)

_LEAK = 0.4  # the most that eyes, brows and lips receive of the edit inside a face mask
_EVENING_WIDTH = 0.06  # of the light's evening out, in heights of the crop
_EVENING = (0.05, 0.30)  # share of the broad variation of light that is taken, where any is


def smoothed(
    images: Tensor,
    smooth: Tensor,
    degrees: Tensor,
    variations: Tensor,
    face: FaceRegions,
    shares: tuple[float, float] = FACE,
) -> Edit:
    """Puts a smoothed picture over the photo; half of the samples have their light evened too.

    Args:
        images: B 3 H W in [-1, 1].
        smooth: B 3 H W in [0, 1].
        degrees: B in [0, 1].
        variations: B 4 in [0, 1]; the first chooses the region, the last the leak.
        face: Soft masks of the same size.
        shares: How much of [0, 1] means the whole picture, and how much skin by a colour rule;
            of the rest, half means the face with neck and ears, half the face alone.
    """
    draw = number(variations, 5)
    share = _EVENING[0] + (_EVENING[1] - _EVENING[0]) * (2 * draw - 1).clamp_min(0)
    share = share * degrees.sqrt()
    smooth = replace(
        smooth,
        draw > 0.5,
        lambda rows: even(take(smooth, rows), select(face, rows), take(share, rows)),
    )
    return blend(images, smooth, _region(images, variations, face, shares), degrees)


def _region(
    images: Tensor, variations: Tensor, face: FaceRegions, shares: tuple[float, float]
) -> Tensor:
    """The mask that the first variation chooses: B 1 H W in [0, 1]."""
    choice = variations[:, 0]
    skin = ((choice - shares[0]) / max(shares[1], 1e-6)).clamp_max(0.999)
    in_face = (choice - sum(shares)) / max(1 - sum(shares), 1e-6)

    def make_rule(rows: Tensor) -> Tensor:
        return skin_region(unit(take(images, rows)), select(face, rows), take(skin, rows))

    def make_face(rows: Tensor) -> Tensor:
        wide = take(in_face, rows) < 0.5
        return _face_mask(take(images, rows), take(variations, rows), select(face, rows), wide)

    mask = replace(torch.ones_like(images[:, :1]), (skin >= 0) & (in_face < 0), make_rule)
    return replace(mask, in_face >= 0, make_face)


def _face_mask(images: Tensor, variations: Tensor, face: FaceRegions, wide: Tensor) -> Tensor:
    """The face's skin, features by the last variation, neck and ears where `wide`."""
    mask = torch.maximum(face.skin, face.oval * per_sample(_LEAK * variations[:, 3]))

    def add_neck(rows: Tensor) -> Tensor:
        around = around_face(unit(take(images, rows)), select(face, rows))
        return torch.maximum(take(mask, rows), around)

    return replace(mask, wide, add_neck)


def even(smooth: Tensor, face: FaceRegions, share: Tensor) -> Tensor:
    """Evens out light and redness: brings the broad variation of the skin nearer to its mean.

    Each channel is multiplied by (mean / local mean) ** share, both means taken over the skin.
    """
    small, skin = reduce(smooth, 4), reduce(face.skin, 4) + 1e-4
    sigma = share.new_full(share.shape, _EVENING_WIDTH * small.shape[-2])
    local = gaussian(small * skin, sigma) / gaussian(skin, sigma).clamp_min(1e-8)
    mean = (small * skin).sum((2, 3), True) / skin.sum((2, 3), True)
    gain = ((mean + 0.05) / (local + 0.05)) ** per_sample(share)
    return smooth * enlarge(gain, smooth.shape[-2:])
