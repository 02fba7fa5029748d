"""Eye enlarging: five differently built flows that magnify each eye about its centre.

Every algorithm maps (points B 478 2, degrees B, variations B 4, height, width) to the backward
flow, B 2 H W in pixels. The variations move the reach, the shape of the magnification and the
balance of the two eyes. `STRENGTH` holds the magnification at degree 1 in the middle of the eye
(share by which it shrinks what is sampled), calibrated so that the algorithms change a photo
about equally.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .landmarks import BROWS, EYE_CORNERS, EYES, IRISES
from .warp import gaussian_interpolation, gaussian_window, smooth_flow, to_pixels

SAMPLES = 96  # flow samples along the shorter side of the photo
STRENGTH = {
    "radial": 0.186,
    "elliptic": 0.232,
    "per_axis": 0.253,
    "plateau": 0.192,
    "landmark_rbf": 0.171,
}
HELD_OUT = ("landmark_rbf",)
_BALANCE = 0.15  # largest departure of one eye's strength from the mean


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
    name: str, points: Tensor, degrees: Tensor, balance: Tensor, height: int, width: int
) -> Iterator[EyeFrame]:
    """The frame of each eye, with the strength that `balance` (B in [0, 1]) leaves to it."""
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
            strength=STRENGTH[name] * degrees * share,
        )


def _both_eyes(
    name: str,
    points: Tensor,
    degrees: Tensor,
    variations: Tensor,
    size: tuple[int, int],
    field: Callable[[EyeFrame, Tensor], Tensor],
) -> Tensor:
    """Sum of `field(eye, position)` over the two eyes, as a full-size flow."""
    left, right = eye_frames(name, points, degrees, variations[:, 2], *size)
    return smooth_flow(
        lambda position: field(left, position) + field(right, position), *size, points, SAMPLES
    )


def _between(low: float, high: float, share: Tensor) -> Tensor:
    """Numbers from `low` to `high`, as B 1 1."""
    return (low + (high - low) * share)[:, None, None]


def radial(points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int) -> Tensor:
    """Round magnification about the iris, falling to zero at a fixed radius."""
    radius = _between(2.2, 2.6, variations[:, 0])
    sharpness = _between(1.2, 1.6, variations[:, 1])

    def field(eye: EyeFrame, position: Tensor) -> Tensor:
        u, v = eye.offset(position, eye.iris)
        inside = (1 - (u.square() + v.square()) / radius.square()).clamp_min(0)
        gain = -eye.strength[:, None, None] * inside.pow(sharpness)
        return eye.flow(gain * u, gain * v)

    return _both_eyes("radial", points, degrees, variations, (height, width), field)


def elliptic(
    points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int
) -> Tensor:
    """Gaussian magnification about the eye's middle, longer along its axis than across."""
    along = _between(1.05, 1.3, variations[:, 0])
    across = _between(0.75, 0.95, variations[:, 1])

    def field(eye: EyeFrame, position: Tensor) -> Tensor:
        u, v = eye.offset(position, eye.centre)
        distance = (u / along).square() + (v / across).square()
        gain = -eye.strength[:, None, None] * gaussian_window(distance / 2)
        return eye.flow(gain * u, gain * v)

    return _both_eyes("elliptic", points, degrees, variations, (height, width), field)


def per_axis(
    points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int
) -> Tensor:
    """The eye opens more than it widens: separate gains in a raised-cosine window."""
    widening = _between(0.5, 0.8, variations[:, 0])
    reach = _between(0.9, 1.1, variations[:, 1])

    def field(eye: EyeFrame, position: Tensor) -> Tensor:
        u, v = eye.offset(position, eye.centre)
        window = _raised_cosine(u / (2.7 * reach)) * _raised_cosine(v / (2.4 * reach))
        gain = -eye.strength[:, None, None] * window
        return eye.flow(widening * gain * u, gain * v)

    return _both_eyes("per_axis", points, degrees, variations, (height, width), field)


def _raised_cosine(x: Tensor) -> Tensor:
    return (1 + (torch.pi * x.clamp(-1, 1)).cos()) / 2


def plateau(points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int) -> Tensor:
    """Even magnification of the whole eye, let out over a band around its eyelids."""
    flat = _between(0.4, 0.7, variations[:, 0])
    tall = _between(0.7, 0.9, variations[:, 1])

    def field(eye: EyeFrame, position: Tensor) -> Tensor:
        u, v = eye.offset(position, eye.centre)
        distance = (u.square() + (v / tall).square()).sqrt()
        out = ((2.6 - distance) / (2.6 - flat)).clamp(0, 1)
        gain = -eye.strength[:, None, None] * out * out * out * (out * (out * 6 - 15) + 10)
        return eye.flow(gain * u, gain * v)

    return _both_eyes("plateau", points, degrees, variations, (height, width), field)


def landmark_rbf(
    points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int
) -> Tensor:
    """Eyelid points pushed outwards, brow and a ring held still, Gaussians in between."""
    opening = _between(0.9, 1.2, variations[:, 0])[:, :, 0]
    spread = 0.8 + 0.2 * variations[:, 1]
    turn = torch.arange(12, device=points.device, dtype=points.dtype) * (torch.pi / 6)

    def field(eye: EyeFrame, position: Tensor) -> Tensor:
        u, v = eye.offset(eye.lids.transpose(1, 2)[..., None], eye.centre)
        gain = -eye.strength[:, None]
        moved = eye.flow(gain[..., None] * u, (gain * opening)[..., None] * v)[..., 0].transpose(
            1, 2
        )
        ring = torch.stack((turn.cos(), turn.sin()), -1) * 2.5 * eye.half_width[:, None, None]
        still = torch.cat((eye.centre[:, None], eye.centre[:, None] + ring, eye.brow[:, 5:]), dim=1)
        anchors = torch.cat((eye.lids, still), dim=1)
        values = torch.cat((moved, torch.zeros_like(still)), dim=1)
        return gaussian_interpolation(anchors, values, spread * eye.half_width)(position)

    return _both_eyes("landmark_rbf", points, degrees, variations, (height, width), field)


ALGORITHMS: dict[str, Callable[[Tensor, Tensor, Tensor, int, int], Tensor]] = {
    "radial": radial,
    "elliptic": elliptic,
    "per_axis": per_axis,
    "plateau": plateau,
    "landmark_rbf": landmark_rbf,
}
