"""Face slimming as engines' shaders do it: drags within discs, and a pinch about the mouth.

The drags are Gustafsson's local translation (1993) as photo editors apply it, one image pass
after the other, and the chain of translations in which each works on the coordinates that the
one before it gave. Both change the photo far from evenly where discs overlap.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .jaw_frame import JawFrame
from .landmarks import CHIN, JAW
from .strength import Span, between, further_numbers, smoothstep
from .warp import smooth_flow

SAMPLES = 128  # flow samples along the shorter side of the photo
NARROWING = Span(0.005, 0.04, 0.13)  # of the jaw, by drags
SLIDER = Span(0.03, 0.25, 1.0)  # of the chained engine
PINCH = Span(0.007, 0.045, 0.10)  # of the jaw, by the pinch
ONE_SIDED = 0.05  # share of the chained photos in which one side alone is slimmed

_BALANCE = 0.25
_SLOTS = 4  # drags per side at most
_TARGETS = (4, 0, 168)  # nose tip, lip, bridge: where drags may point to
_ENGINE_PLACES = (3.4, 5.2, 7.5)  # near the mouth's height, jaw corner, beside the chin
_ENGINE_OUTSIDE = (0.13, 0.33, 0.33)  # how far these stand outside the contour, in eye distances
_MOST_PINCH = 0.4


def _discs(position: Tensor, centre: Tensor) -> Tensor:
    """Squared distance, B 1 h w, of positions (B 2 h w) from centres (B 2)."""
    return (position - centre[:, :, None, None]).square().sum(1, keepdim=True)


def _cell(value: Tensor) -> Tensor:
    """B -> B 1 1 1."""
    return value[:, None, None, None]


def local_translation(
    points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int
) -> Tensor:
    """One to four drags on each side, each an image pass of its own, towards the nose or lips."""
    frame = JawFrame.of(points, height, width)
    free = further_numbers(variations, 5)
    centres, weights = _drags(frame, variations[:, 0], free)
    mix = torch.stack((free[:, 2], 1 - free[:, 2], free[:, 3] - 0.5), dim=-1)
    target = (frame.points[:, _TARGETS] * (mix / mix.sum(1, keepdim=True))[..., None]).sum(1)
    inward = (target[:, None] - centres) / (target[:, None] - centres).norm(
        dim=-1, keepdim=True
    ).clamp_min(1e-3)
    motion = frame.sides(NARROWING.at(degrees), variations[:, 2], _BALANCE)
    radius = (between(0.25, 0.5, variations[:, 1]) * frame.width).maximum(5 * motion.amax(1))
    shape = between(0.3, 4.0, free[:, 4]).maximum(5 * motion.amax(1) / radius)

    response = _response(frame, centres, weights, inward, radius, shape)
    pulls = inward * (weights * (motion / response).repeat_interleave(_SLOTS, 1))[..., None]

    def field(position: Tensor) -> Tensor:
        place = position
        for centre, pull in zip(centres.unbind(1), pulls.unbind(1), strict=True):
            share = _gustafsson(_discs(place, centre), radius, shape)
            place = place - share * pull[:, :, None, None]
        return place - position

    return smooth_flow(field, height, width, points, SAMPLES)


def _drags(frame: JawFrame, height: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (B 8 2, the left side first) of the drags, and their weights (B 8, 0: none)."""
    count = (_SLOTS * free[:, :1]).floor() + 1
    slot = torch.arange(_SLOTS, device=height.device, dtype=height.dtype)[None]
    gap = between(1.0, 1.6, free[:, 1:2])
    places = between(3.6, 5.6, height)[:, None] + gap * (slot - (count - 1) / 2)
    places = places.clamp(1.5, 9.0)
    weights = (slot < count).to(height) * between(0.7, 1.3, free[:, 1:2]).pow(slot)
    centres = frame.contour(torch.cat((places, len(JAW) - 1 - places), dim=1))
    return centres, weights.repeat(1, 2)


def _gustafsson(distance: Tensor, radius: Tensor, shape: Tensor) -> Tensor:
    """Share of the drag at squared distances, 1 in the middle and 0 from the radius on.

    With s = R^2 - d^2 it is ((1 + k) s / (s + k R^2))^2; k is the squared length of the drag over
    R^2 in the original, a slider in its descendants.
    """
    room = (1 - distance / _cell(radius).square()).clamp_min(0)
    k = _cell(shape)
    return ((1 + k) * room / (room + k)).square()


def _response(
    frame: JawFrame,
    centres: Tensor,
    weights: Tensor,
    inward: Tensor,
    radius: Tensor,
    shape: Tensor,
) -> Tensor:
    """How far drags of unit length move each side's jaw line inwards where they do most, B 2."""
    shares = []
    for side, sign in ((slice(0, _SLOTS), 1.0), (slice(_SLOTS, None), -1.0)):
        jaw = JAW[2:10] if sign > 0 else JAW[11:19]
        contour = frame.points[:, jaw].transpose(1, 2)[..., None]
        total = contour.new_zeros(len(contour), len(jaw))
        for centre, weight, unit in zip(
            centres[:, side].unbind(1),
            weights[:, side].unbind(1),
            inward[:, side].unbind(1),
            strict=True,
        ):
            share = _gustafsson(_discs(contour, centre), radius, shape)[:, 0, :, 0]
            across = sign * (unit * frame.right).sum(-1)
            total = total + share * (weight * across.clamp_min(0.65))[:, None]
        shares.append(total.amax(1))
    return torch.stack(shares, dim=1).clamp_min(0.6)


def chained(points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int) -> Tensor:
    """Three translations per side, left and right in turn, each on the last one's coordinates.

    The variation of the balance also leaves one side out altogether, as slips in engines do.
    """
    frame = JawFrame.of(points, height, width)
    free = further_numbers(variations, 4)
    slider = SLIDER.at(degrees)
    angle = torch.pi / between(25.0, 30.0, variations[:, 0])
    reach = 0.15 * 2 * frame.eyes * slider * between(0.8, 1.2, free[:, 0])
    radius = 0.4 * 2 * frame.eyes * between(0.85, 1.15, variations[:, 1])
    lengths = torch.stack((angle.sin(), (2 * angle).sin(), (2 * angle).sin()), dim=1)
    pulls = lengths * reach[:, None]
    shift = between(-0.5, 0.5, free[:, 1])[:, None]
    left = pulls.new_tensor(_ENGINE_PLACES)[None] + shift
    ends = frame.contour(torch.cat((left, len(JAW) - 1 - left), dim=1)).unflatten(1, (2, 3))
    size = frame.half_widths.minimum(frame.half_width[:, None]) / frame.half_width[:, None]
    sides = _engine_sides(variations[:, 2]) * size

    def field(position: Tensor) -> Tensor:
        place = position
        for step in range(len(_ENGINE_PLACES)):
            for side in range(2):
                start, opposite = ends[:, side, step], ends[:, 1 - side, step]
                unit = (opposite - start) / (opposite - start).norm(dim=-1, keepdim=True)
                centre = start - _ENGINE_OUTSIDE[step] * frame.eyes[:, None] * unit
                pull = pulls[:, step] * sides[:, side]
                place = _translate(place, centre, unit, radius, pull)
        return place - position

    return smooth_flow(field, height, width, points, SAMPLES)


def _engine_sides(balance: Tensor) -> Tensor:
    """How often each side is pulled, B 2: both about once, or one side alone twice."""
    tilt = _BALANCE / 2 * (2 * balance - 1)
    left = torch.where(balance < ONE_SIDED / 2, torch.zeros_like(tilt), 1 + tilt)
    right = torch.where(balance > 1 - ONE_SIDED / 2, torch.zeros_like(tilt), 1 - tilt)
    alone = (left * right == 0).to(tilt)
    return torch.stack((left, right), dim=1) * (1 + 0.6 * alone)[:, None]


def _translate(place: Tensor, centre: Tensor, unit: Tensor, radius: Tensor, pull: Tensor) -> Tensor:
    """P - a D u with a = ((R^2 - r^2) / (R^2 - r^2 + (r - D)^2))^2 inside R."""
    squared = _discs(place, centre)
    room = (_cell(radius).square() - squared).clamp_min(0)
    miss = (squared.clamp_min(1e-6).sqrt() - _cell(pull)).square()
    share = (room / (room + miss).clamp_min(1e-6)).square()
    return place - share * _cell(pull) * unit[:, :, None, None]


def radial_pinch(
    points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int
) -> Tensor:
    """The lower face shrinks about the nose or the mouth: p' = c + (p - c) / (1 - a (1 - rho)^2).

    The variations place the centre, set the radius, the balance, and whether the eyes are spared.
    """
    frame = JawFrame.of(points, height, width)
    free = further_numbers(variations, 3)
    chin = frame.points[:, CHIN] - frame.points[:, 4]
    centre = frame.points[:, 4] + between(0.0, 0.55, variations[:, 0])[:, None] * chin
    radius = between(0.75, 1.1, variations[:, 1]) * frame.width
    spared = (free[:, 0] < 0.7).to(radius)
    motion = frame.sides(PINCH.at(degrees), variations[:, 2], _BALANCE) / frame.half_width[:, None]
    rho = (0.42 * frame.width / radius)[:, None]
    left, right = (motion / (1 - rho).square()).clamp_max(_MOST_PINCH).unbind(1)

    def field(position: Tensor) -> Tensor:
        offset = position - centre[:, :, None, None]
        room = (1 - _discs(position, centre).clamp_min(1e-6).sqrt() / _cell(radius)).clamp_min(0)
        u, v = frame.coordinates(position)
        turn = smoothstep(u[:, None] / _cell(frame.width) + 0.5)
        amount = _cell(left) + (_cell(right) - _cell(left)) * turn
        lower = smoothstep(v[:, None] / _cell(frame.chin) / 1.6 + 1.0)
        amount = amount * (1 - _cell(spared) * (1 - lower))
        return offset * (1 / (1 - amount * room.square()) - 1)

    return smooth_flow(field, height, width, points, SAMPLES)
