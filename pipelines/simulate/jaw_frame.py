"""The jaw's own coordinates, and how much narrower a flow makes the lower face."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .landmarks import CHIN, IRISES, JAW
from .warp import move_points, to_pixels

_PAIRS = tuple((JAW[i], JAW[-1 - i]) for i in range(1, 9))


class JawFrame(NamedTuple):
    """Face coordinates around the mouth, in pixels; u runs to the right, v to the chin.

    Attributes:
        points: B 478 2.
        centre: B 2, midway between the mouth's corners.
        right: B 2, unit vector along the line of the eyes.
        down: B 2, unit vector towards the chin.
        half_widths: B 2, from the centre to the jaw line on the left and on the right.
        chin: B, from the centre to the chin.
        width: B, face width from ear to ear, or twice the jaw's wider side on a turned face.
        eyes: B, distance of the irises, or what it is on a frontal face of that width.
    """

    points: Tensor
    centre: Tensor
    right: Tensor
    down: Tensor
    half_widths: Tensor
    chin: Tensor
    width: Tensor
    eyes: Tensor

    @classmethod
    def of(cls, points: Tensor, height: int, width: int) -> JawFrame:
        """The frame of each face; a profile's hidden side is at least a third of the other."""
        points = to_pixels(points, height, width)
        eyes = points[:, [362, 263]].mean(1) - points[:, [33, 133]].mean(1)
        right = eyes / eyes.norm(dim=-1, keepdim=True).clamp_min(1e-3)
        down = torch.stack((-right[:, 1], right[:, 0]), dim=-1)
        centre = points[:, [61, 291]].mean(1)
        jaw = points[:, [172, 397]] - centre[:, None]
        half_widths = (jaw * right[:, None]).sum(-1) * jaw.new_tensor([-1.0, 1.0])
        half_widths = half_widths.maximum(half_widths.amax(1, keepdim=True) / 3)
        chin = ((points[:, CHIN] - centre) * down).sum(-1)
        face = (points[:, JAW[-1]] - points[:, JAW[0]]).norm(dim=-1)
        face = face.maximum(2 * half_widths.amin(1))
        irises = (points[:, IRISES[1]] - points[:, IRISES[0]]).norm(dim=-1)
        irises = irises.maximum(0.35 * face)
        return cls(points, centre, right, down, half_widths, chin, face, irises)

    @property
    def half_width(self) -> Tensor:
        """B: half the width of the jaw."""
        return self.half_widths.mean(1)

    def coordinates(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets u and v, each B h w in pixels, of positions 1 2 h w."""
        offset = position - self.centre[:, :, None, None]
        u = (offset * self.right[:, :, None, None]).sum(1)
        return u, (offset * self.down[:, :, None, None]).sum(1)

    def inward(self, indices: tuple[int, ...], lift: Tensor) -> Tensor:
        """Unit vectors, B N 2, from mesh points to a spot `lift` (B) pixels above the mouth."""
        target = self.centre - lift[:, None] * self.down
        offset = target[:, None] - self.points[:, indices]
        return offset / offset.norm(dim=-1, keepdim=True).clamp_min(1e-3)

    def sides(self, amount: Tensor, balance: Tensor, most: float) -> Tensor:
        """Motion in pixels on the left and on the right, B 2.

        Args:
            amount: B, motion as a share of half the jaw's width.
            balance: B in [0, 1], 0.5 treats both sides alike.
            most: largest departure of one side from the mean.
        """
        tilt = most * (2 * balance - 1)
        size = self.half_widths.minimum(self.half_width[:, None])
        return amount[:, None] * size * torch.stack((1 + tilt, 1 - tilt), dim=-1)

    def contour(self, places: Tensor) -> Tensor:
        """Points of the jaw line, B N 2, at `places` (B N): 0 left ear, 10 chin, 20 right ear."""
        jaw = self.points[:, JAW]
        places = places.clamp(0, len(JAW) - 1)
        first = places.floor().clamp_max(len(JAW) - 2)
        index = first.long()[..., None].expand(-1, -1, 2)
        share = (places - first)[..., None]
        return jaw.gather(1, index) * (1 - share) + jaw.gather(1, index + 1) * share


def narrowing(flow: Tensor, points: Tensor, height: int, width: int) -> Tensor:
    """How much narrower a warp makes the lower face, where it narrows it most.

    Args as for `eye_frame.enlargement`.

    Returns:
        B: the largest loss of width between facing points of the jaw and cheek contour, in shares
        of the face's width from ear to ear; negative where every such width grows.
    """
    before = to_pixels(points, height, width)
    left, right = (list(side) for side in zip(*_PAIRS, strict=True))
    after = move_points(before[:, left + right], flow)
    start = (before[:, right] - before[:, left]).norm(dim=-1)
    end = (after[:, len(left) :] - after[:, : len(left)]).norm(dim=-1)
    face = (before[:, JAW[-1]] - before[:, JAW[0]]).norm(dim=-1)
    return (start - end).amax(1) / face.clamp_min(1e-3)
