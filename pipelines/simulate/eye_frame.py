"""One eye's own coordinates, and how much larger a flow makes the eyes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .landmarks import BROWS, EYE_CORNERS, EYES, IRISES
from .warp import move_points, to_pixels

_BALANCE = 0.15  # largest departure of one eye's strength from the mean
_LIDS = (((159, 145), (158, 153), (160, 144)), ((386, 374), (385, 380), (387, 373)))
_CLOSED = 0.05  # an eye's height counts as at least this share of its width


class EyeFrame(NamedTuple):
    """One eye per photo, in pixels.

    Attributes:
        lids: B 16 2, the eyelids' outline.
        brow: B 10 2.
        iris: B 2, centre of the iris.
        centre: B 2, middle of the eyelids' outline.
        right: B 2, unit vector along the eye's axis.
        half_width: B, half the distance of the corners.
        strength: B, this eye's magnification.
    """

    lids: Tensor
    brow: Tensor
    iris: Tensor
    centre: Tensor
    right: Tensor
    half_width: Tensor
    strength: Tensor

    def offset(self, position: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets along the eye's axis and downwards from `centre`, in half widths: B h w each."""
        x, y = (position - centre[:, :, None, None]).unbind(1)
        right_x, right_y = self.right[:, :, None, None].unbind(1)
        size = self.half_width[:, None, None]
        return (x * right_x + y * right_y) / size, (y * right_x - x * right_y) / size

    def flow(self, u: Tensor, v: Tensor) -> Tensor:
        """A flow in half widths along the eye's axes, as B 2 h w in pixels."""
        right_x, right_y = self.right[:, :, None, None].unbind(1)
        size = self.half_width[:, None, None]
        return (
            torch.stack((u * right_x - v * right_y, u * right_y + v * right_x), 1) * size[:, None]
        )


def eye_frames(
    points: Tensor, amount: Tensor, balance: Tensor, height: int, width: int
) -> Iterator[EyeFrame]:
    """The frame of each eye; `balance` (B in [0, 1]) shares `amount` (B) out between them."""
    points = to_pixels(points, height, width)
    tilt = _BALANCE * (2 * balance - 1)
    eyes = zip(EYES, BROWS, IRISES, EYE_CORNERS, (1 + tilt, 1 - tilt), strict=True)
    for lids, brow, iris, (left, right), share in eyes:
        axis = points[:, right] - points[:, left]
        length = axis.norm(dim=-1).clamp_min(1e-3)
        yield EyeFrame(
            lids=points[:, lids],
            brow=points[:, brow],
            iris=points[:, iris],
            centre=points[:, lids].mean(1),
            right=axis / length[:, None],
            half_width=length / 2,
            strength=amount * share,
        )


def enlargement(flow: Tensor, points: Tensor, height: int, width: int) -> Tensor:
    """How much larger a warp makes the eyes.

    Args:
        flow: B 2 H W in pixels, backward.
        points: B 478 2 in shares of width and height, of the photo before the warp.
        height: H.
        width: W.

    Returns:
        B: the mean over both eyes of the relative growth of their width, corner to corner, and of
        their height, lid to lid.
    """
    before = to_pixels(points, height, width)
    pairs = [
        pair for corner, lids in zip(EYE_CORNERS, _LIDS, strict=True) for pair in (corner, *lids)
    ]
    indices = [index for pair in pairs for index in pair]
    after = move_points(before[:, indices], flow)
    start = _spans(before[:, indices])
    end = _spans(after)
    width_growth = end[..., 0] / start[..., 0].clamp_min(1e-3) - 1
    open_height = start[..., 1].maximum(_CLOSED * start[..., 0]).clamp_min(1e-3)
    height_growth = (end[..., 1] - start[..., 1]) / open_height
    return ((width_growth + height_growth) / 2).mean(1)


def _spans(points: Tensor) -> Tensor:
    """Width and height of both eyes, B 2 2, from their pairs of points one after the other."""
    lengths = (points[:, 1::2] - points[:, ::2]).norm(dim=-1).unflatten(1, (2, 4))
    return torch.stack((lengths[..., 0], lengths[..., 1:].mean(-1)), dim=-1)
