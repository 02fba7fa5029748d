"""Eye enlarging by engines' radial laws: p' = c + s(rho) (p - c) within a radius R, exactly.

The laws differ most in the middle of the eye: the quadratic one is strongest there, the power law
has a cusp, the ring law leaves the iris as it is. Their kinks are kept: every pixel near the eyes
is evaluated. The right eye works on the coordinates that the left one gave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .eye_frame import EyeFrame, eye_frames
from .strength import Span, between, further_numbers
from .warp import exact_flow

QUADRATIC = Span(0.01, 0.145, 0.40)
POWER = Span(0.02, 0.30, 1.0)
RING = Span(0.02, 0.28, 1.0)
SMOOTHSTEP = Span(0.006, 0.08, 0.26)

_CORE = 0.02  # the power law's cusp is cut off within this share of its radius

_Law = Callable[[Tensor, Tensor], Tensor]


def _quadratic(rho: Tensor, amount: Tensor) -> Tensor:
    """S = 1 - a (1 - rho)^2 within about half the distance of the eyes."""
    return 1 - amount * (1 - rho).square()


def _power(rho: Tensor, amount: Tensor) -> Tensor:
    """S = rho^(0.24 i): a cusp in the middle of the eye."""
    return rho.clamp_min(_CORE).pow(0.24 * amount)


def _ring(rho: Tensor, amount: Tensor) -> Tensor:
    """S = 1 - k rho (1 - rho)^2 within about two eye widths: brow and nose move along."""
    return 1 - amount * rho * (1 - rho).square()


def _smoothstep(rho: Tensor, amount: Tensor) -> Tensor:
    """S = 1 - a (1 - rho^2 (3 - 2 rho)) within 1 to 1.5 eye widths."""
    return 1 - amount * (1 - rho.square() * (3 - 2 * rho))


@dataclass(frozen=True)
class RoundLaw:
    """One law within a circle around each eye; an algorithm, to be called as all of them.

    Attributes:
        law: (rho B h w, amount B 1 1) -> s(rho).
        span: the law's strength at a degree.
        reach: least and largest radius, in eye widths.
    """

    law: _Law
    span: Span
    reach: tuple[float, float]

    def __call__(
        self, points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int
    ) -> Tensor:
        """The flow, B 2 H W in pixels."""
        reach = between(*self.reach, variations[:, 0])
        amount = self.span.at(degrees)
        return _enlarge(self.law, points, amount, reach, variations, (height, width))


quadratic_law = RoundLaw(_quadratic, QUADRATIC, (0.85, 1.2))
power_law = RoundLaw(_power, POWER, (0.8, 1.3))
ring_law = RoundLaw(_ring, RING, (1.6, 2.4))
smoothstep_law = RoundLaw(_smoothstep, SMOOTHSTEP, (1.0, 1.5))


def elliptic_law(
    points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int
) -> Tensor:
    """The quadratic, ring or smoothstep law in an ellipse that is turned with the eye.

    Some open the eye more than they widen it, as sliders named after the eye's height do.
    """
    free = further_numbers(variations, 6)
    kind = (3 * free[:, 4]).floor()
    shapes = ((_quadratic, QUADRATIC, 1.1), (_ring, RING, 1.4), (_smoothstep, SMOOTHSTEP, 1.0))
    ratio = between(0.6, 0.9, variations[:, 1])
    reach = between(1.1, 1.6, variations[:, 0]) * torch.where(kind == 1, 1.3, 1.0)

    def law(rho: Tensor, balance: Tensor) -> Tensor:
        scale = torch.zeros_like(rho)
        for index, (shape, span, gain) in enumerate(shapes):
            amount = gain * span.at(degrees)[:, None, None] * balance
            scale = torch.where(kind[:, None, None] == index, shape(rho, amount), scale)
        return scale

    widening = torch.where(free[:, 5] < 0.5, 1.0, between(0.5, 1.0, 2 * free[:, 5] - 1))
    one = torch.ones_like(degrees)
    return _enlarge(law, points, one, reach, variations, (height, width), ratio, widening)


def _enlarge(
    law: _Law,
    points: Tensor,
    amount: Tensor,
    reach: Tensor,
    variations: Tensor,
    size: tuple[int, int],
    ratio: Tensor | None = None,
    widening: Tensor | None = None,
) -> Tensor:
    """The flow of one law over both eyes.

    Args:
        law: (rho B h w, amount B 1 1) -> s(rho).
        points: B 478 2 in shares of width and height.
        amount: B, the law's strength.
        reach: B, its radius along the eye in eye widths.
        variations: B 4; the second and third choose radius, centre and balance of the eyes.
        size: height and width of the photo.
        ratio: B, the radius across the eye over the one along it; None: round.
        widening: B, motion along the eye over motion across it; None: alike.
    """
    free = further_numbers(variations, 4)
    ratio = torch.ones_like(reach) if ratio is None else ratio
    widening = torch.ones_like(reach) if widening is None else widening
    eyes = list(eye_frames(points, amount, variations[:, 2], *size))
    shift = between(-0.08, 0.08, variations[:, 1])
    centres = [_centre(eye, free[:, 0], shift) for eye in eyes]
    radii = [reach * 2 * half for half in _half_widths(eyes, free)]

    def field(position: Tensor) -> Tensor:
        place = position
        for eye, centre, radius in zip(eyes, centres, radii, strict=True):
            u, v = eye.offset(place, centre)
            along = (radius / eye.half_width)[:, None, None]
            rho = ((u.square() + (v / ratio[:, None, None]).square()).sqrt() / along).clamp_max(1)
            change = torch.where(rho < 1, law(rho, eye.strength[:, None, None]) - 1, 0.0)
            place = place + eye.flow(change * u * widening[:, None, None], change * v)
        return place - position

    ends = [(c - r[:, None], c + r[:, None]) for c, r in zip(centres, radii, strict=True)]
    low = torch.minimum(ends[0][0], ends[1][0])
    return exact_flow(field, *size, low, torch.maximum(ends[0][1], ends[1][1]))


def _centre(eye: EyeFrame, choice: Tensor, shift: Tensor) -> Tensor:
    """The iris, the eyelids' middle or between, B 2, moved up or down by `shift` eye widths."""
    share = (2 * choice - 0.5).clamp(0, 1)[:, None]
    down = torch.stack((-eye.right[:, 1], eye.right[:, 0]), dim=-1)
    middle = share * eye.iris + (1 - share) * eye.centre
    return middle + (shift * 2 * eye.half_width)[:, None] * down


def _half_widths(eyes: list[EyeFrame], free: Tensor) -> tuple[Tensor, Tensor]:
    """The eye size that sets each radius: each eye's own, or (in a half) one eye's for both."""
    left, right = (eye.half_width for eye in eyes)
    one = torch.where(free[:, 2] < 0.25, left, right)
    one = torch.where(free[:, 2] < 0.5, one, torch.maximum(left, right))
    same = free[:, 1] < 0.5
    return torch.where(same, one, left), torch.where(same, one, right)
