"""Effect sizes: how much an operation changed a photo, in units that mean the same for any engine.

Sliders differ from engine to engine; what they did can be measured. Every effect is a share of
what is a strong one, so that 0 is none and 1 is strong: for whitening a rise of the skin's L* by
`STRONG["whitening"]`, for smoothing the share of skin texture lost, for the geometric operations
the relative motion.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from . import eyes, slimming
from .colour import luma, rgb_to_lab, unit
from .filters import reduce
from .landmarks import FaceRegions

STRONG = {"whitening": 15.0, "smoothing": 0.8, "face_slimming": 0.08, "eye_enlarging": 0.20}
"""The effect that counts as 1: L* units, share of texture energy, share of the face's width,
relative growth of the eye. Of another operation the mean change of the face, on [-1, 1]."""
CHANGED = 0.2
"""The mean change that counts as 1, of operations that `STRONG` does not know."""
FELT = {"whitening": 0.08, "smoothing": 0.10, "face_slimming": 0.08, "eye_enlarging": 0.08}
"""Effects below these change a photo less than a re-save does; nobody can tell them."""


def of_change(operation: str, before: Tensor, after: Tensor, points: Tensor) -> Tensor:
    """The effect B of a photometric operation, in [0, 1].

    Args:
        operation: "whitening", "smoothing", or another one, which is measured by its mean change.
        before: B 3 H W in [-1, 1].
        after: the same photos after it.
        points: 1 or B 478 2, shares of width and height.
    """
    points = points.expand(len(before), -1, -1)
    height, width = before.shape[-2:]
    face = FaceRegions(points, height, width)
    if operation == "whitening":
        step = max(1, before.shape[-1] // 128)
        skin = reduce(face.skin, step)
        rise = _lightness(after, step) - _lightness(before, step)
        effect = _mean(rise, skin) / STRONG[operation]
    elif operation == "smoothing":
        effect = _texture_lost(before, after, face) / STRONG[operation]
    else:
        changed = _mean((after - before).abs().mean(1, keepdim=True), face.oval)
        effect = changed / STRONG.get(operation, CHANGED)
    return effect.clamp(0, 1)


def of_motion(operation: str, flow: Tensor, points: Tensor) -> Tensor:
    """The effect B of a geometric operation's flow B 2 H W in pixels, in [0, 1]."""
    measure = eyes.effect if operation == "eye_enlarging" else slimming.effect
    effect = measure(flow, points.expand(len(flow), -1, -1), *flow.shape[-2:])
    return (effect / STRONG[operation]).clamp(0, 1)


def _lightness(images: Tensor, step: int) -> Tensor:
    return rgb_to_lab(unit(reduce(images, step)))[:, :1]


def _texture_lost(before: Tensor, after: Tensor, face: FaceRegions) -> Tensor:
    """The larger share of energy lost in two octave bands of luma on skin."""
    lost = []
    for step in (1, 2):
        energies = []
        for images in (before, after):
            grey = luma(unit(reduce(images, step) if step > 1 else images))
            detail = grey - _smooth(grey)
            energies.append(_mean(detail.square(), reduce(face.skin, step)))
        lost.append(1 - energies[1] / energies[0].clamp_min(1e-7))
    return torch.maximum(*lost)


def _smooth(grey: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(grey, (1, 1, 1, 1), mode="replicate"), 3, stride=1)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean B of B 1 h w."""
    return (values * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3)).clamp_min(1e-6)
