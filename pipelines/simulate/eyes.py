"""Eye enlarging: differently built flows that magnify each eye about its centre.

Every algorithm maps (points B 478 2, degrees B, variations B 4, height, width) to the backward
flow, B 2 H W in pixels. A degree stands for a strength log-uniformly: up to 0.85 what vendors
use, above it what free engines do at full slider; degree 0 moves nothing. The variations choose
centres, reach, shape and the balance of the two eyes; `effect` measures what came of it.

The five in this file are smooth throughout; `eye_laws` holds engines' own radial laws, kinks
included. Held out of training are the Gaussians through the eyelids and the power law.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .eye_frame import EyeFrame, enlargement, eye_frames
from .eye_laws import elliptic_law, power_law, quadratic_law, ring_law, smoothstep_law
from .scattered import gaussian_interpolation, gaussian_window
from .strength import Span
from .warp import smooth_flow

SAMPLES = 96  # flow samples along the shorter side of the photo
WIDENING = Span(0.003, 0.046, 0.15)
GAIN = {
    "radial": 1.25,
    "elliptic": 1.45,
    "per_axis": 1.6,
    "plateau": 1.25,
    "landmark_rbf": 1.15,
}
"""Magnification in the middle of the eye (share by which it shrinks what is sampled) over
`WIDENING`."""
HELD_OUT = ("landmark_rbf", "power_law")


def _both_eyes(
    name: str,
    points: Tensor,
    degrees: Tensor,
    variations: Tensor,
    size: tuple[int, int],
    field: Callable[[EyeFrame, Tensor], Tensor],
) -> Tensor:
    """Sum of `field(eye, position)` over the two eyes, as a full-size flow."""
    amount = GAIN[name] * WIDENING.at(degrees)
    left, right = eye_frames(points, amount, variations[:, 2], *size)
    return smooth_flow(
        lambda position: field(left, position) + field(right, position), *size, points, SAMPLES
    )


def _magnified(
    name: str,
    points: Tensor,
    degrees: Tensor,
    variations: Tensor,
    size: tuple[int, int],
    window: Callable[[Tensor, Tensor], Tensor],
    about: Callable[[EyeFrame], Tensor] = lambda eye: eye.centre,
    widening: Tensor | float = 1.0,
) -> Tensor:
    """Each eye magnified about a point, as a full-size flow.

    Args:
        name: the algorithm's, in `GAIN`.
        points: B 478 2 in shares of width and height.
        degrees: B.
        variations: B 4.
        size: height and width of the photo.
        window: (u, v), offsets along and across the eye in half widths, -> share of its strength.
        about: an eye's point that stays where it is, B 2.
        widening: motion along the eye over motion across it, B 1 1.
    """

    def field(eye: EyeFrame, position: Tensor) -> Tensor:
        u, v = eye.offset(position, about(eye))
        gain = -eye.strength[:, None, None] * window(u, v)
        return eye.flow(widening * gain * u, gain * v)

    return _both_eyes(name, points, degrees, variations, size, field)


def _between(low: float, high: float, share: Tensor) -> Tensor:
    """Numbers from `low` to `high`, as B 1 1."""
    return (low + (high - low) * share)[:, None, None]


def radial(points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int) -> Tensor:
    """Round magnification about the iris, falling to zero at a fixed radius."""
    radius = _between(2.2, 2.6, variations[:, 0])
    sharpness = _between(1.2, 1.6, variations[:, 1])

    def window(u: Tensor, v: Tensor) -> Tensor:
        inside = (1 - (u.square() + v.square()) / radius.square()).clamp_min(0)
        return inside.pow(sharpness)

    size = height, width
    return _magnified("radial", points, degrees, variations, size, window, lambda eye: eye.iris)


def elliptic(
    points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int
) -> Tensor:
    """Gaussian magnification about the eye's middle, longer along its axis than across."""
    along = _between(1.05, 1.3, variations[:, 0])
    across = _between(0.75, 0.95, variations[:, 1])

    def window(u: Tensor, v: Tensor) -> Tensor:
        return gaussian_window(((u / along).square() + (v / across).square()) / 2)

    return _magnified("elliptic", points, degrees, variations, (height, width), window)


def per_axis(
    points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int
) -> Tensor:
    """The eye opens more than it widens: separate gains in a raised-cosine window."""
    widening = _between(0.5, 0.8, variations[:, 0])
    reach = _between(0.9, 1.1, variations[:, 1])

    def window(u: Tensor, v: Tensor) -> Tensor:
        return _raised_cosine(u / (2.7 * reach)) * _raised_cosine(v / (2.4 * reach))

    size = height, width
    return _magnified("per_axis", points, degrees, variations, size, window, widening=widening)


def _raised_cosine(x: Tensor) -> Tensor:
    return (1 + (torch.pi * x.clamp(-1, 1)).cos()) / 2


def plateau(points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int) -> Tensor:
    """Even magnification of the whole eye, let out over a band around its eyelids."""
    flat = _between(0.4, 0.7, variations[:, 0])
    tall = _between(0.7, 0.9, variations[:, 1])

    def window(u: Tensor, v: Tensor) -> Tensor:
        distance = (u.square() + (v / tall).square()).sqrt()
        out = ((2.6 - distance) / (2.6 - flat)).clamp(0, 1)
        return out * out * out * (out * (out * 6 - 15) + 10)

    return _magnified("plateau", points, degrees, variations, (height, width), window)


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
    "quadratic_law": quadratic_law,
    "power_law": power_law,
    "ring_law": ring_law,
    "smoothstep_law": smoothstep_law,
    "elliptic_law": elliptic_law,
}

effect = enlargement
"""How much larger a flow makes the eyes: the mean growth of their width and height."""
