"""Face slimming: differently built flows that make the lower face narrower.

Every algorithm maps (points B 478 2, degrees B, variations B 4, height, width) to the backward
flow, B 2 H W in pixels. A degree stands for a strength log-uniformly: up to 0.85 what vendors
use, above it what free engines do at full slider; degree 0 moves nothing. The variations choose
places, radii, shapes and the balance of the two sides; `effect` measures what came of it.

The five in this file move all of the jaw at once; `slimming_drags` and `slimming_meshes` hold
engines' own ways. Held out of training are inverse-distance interpolation and the whole family
of moving least squares.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .jaw_frame import JawFrame, narrowing
from .landmarks import FACE_OVAL, JAW
from .scattered import shepard_interpolation, thin_plate_spline
from .slimming_drags import chained, local_translation, radial_pinch
from .slimming_meshes import contour_spline, head_morph, moving_least_squares
from .strength import Span, between, bump
from .warp import smooth_flow

SAMPLES = 48  # flow samples along the shorter side of the photo
NARROWING = Span(0.005, 0.04, 0.10)
GAIN = {
    "local_pulls": 1.15,
    "smooth_field": 1.3,
    "thin_plate": 1.3,
    "polar": 1.3,
    "shepard": 1.35,
}
"""Largest motion over `NARROWING`, as a share of half the jaw's width."""
HELD_OUT = ("shepard", "moving_least_squares")

_PULLED = ((58, 172, 136, 150), (288, 397, 365, 379))
_PINNED = (33, 133, 362, 263, 70, 300, 10, 4, 98, 327, 61, 291, 0, 17)
_OUTSIDE = 0.2  # how far outside the jaw line the pulls stand, in half widths
_BALANCE = 0.15  # largest departure of one side's strength from the mean


def _motion(name: str, degrees: Tensor, balance: Tensor, frame: JawFrame) -> Tensor:
    """Largest motion in pixels on the left and on the right, B 2; `balance` is B in [0, 1]."""
    return frame.sides(GAIN[name] * NARROWING.at(degrees), balance, _BALANCE)


def local_pulls(
    points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int
) -> Tensor:
    """Four local translations on each side (Gustafsson's interactive warp), added up."""
    frame = JawFrame.of(points, height, width)
    radius = between(0.7, 0.9, variations[:, 1]) * frame.half_width
    lift = between(-0.2, 0.8, variations[:, 0]) * frame.chin
    strength = _motion("local_pulls", degrees, variations[:, 2], frame) / 2

    def field(position: Tensor) -> Tensor:
        flow = torch.zeros((), dtype=position.dtype, device=position.device)
        for side, indices in enumerate(_PULLED):
            inward = frame.inward(indices, lift)
            pulls = inward * strength[:, side, None, None]
            anchors = frame.points[:, indices] - _OUTSIDE * frame.half_width[:, None, None] * inward
            for pull, anchor in zip(pulls.unbind(1), anchors.unbind(1), strict=True):
                flow = flow + _translation(position, anchor, pull, radius)
        return flow

    return smooth_flow(field, height, width, points, SAMPLES)


def _translation(position: Tensor, anchor: Tensor, pull: Tensor, radius: Tensor) -> Tensor:
    """Backward flow of one local translation by `pull` within `radius` of `anchor`."""
    distance = (position - anchor[:, :, None, None]).square().sum(1, keepdim=True)
    room = (radius.square()[:, None, None, None] - distance).clamp_min(0)
    share = room / (room + pull.square().sum(1)[:, None, None, None] + 1e-6)
    fade = room / radius.square()[:, None, None, None]
    return -(share * fade).square() * pull[:, :, None, None]


def smooth_field(
    points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int
) -> Tensor:
    """Contraction along the line of the eyes, windowed in face coordinates."""
    frame = JawFrame.of(points, height, width)
    motion = _motion("smooth_field", degrees, variations[:, 2], frame)
    left, right = motion[:, :, None, None].unbind(1)
    left_width, right_width = frame.half_widths[:, :, None, None].unbind(1)
    shift = between(-0.3, 0.3, variations[:, 0])[:, None, None]
    reach = between(0.85, 1.15, variations[:, 1])[:, None, None]

    def field(position: Tensor) -> Tensor:
        u, v = frame.coordinates(position)
        across = u / torch.where(u < 0, left_width, right_width)
        along = v / frame.chin[:, None, None] + shift
        window = bump(across.abs() / reach, 0.4, 1.05, 2.0) * bump(along, -1.9, 0.3, 2.2)
        outward = window * torch.where(u < 0, -left, right)
        return outward[:, None] * frame.right[:, :, None, None]

    return smooth_flow(field, height, width, points, SAMPLES)


def polar(points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int) -> Tensor:
    """Radial contraction about the mouth, measured against the face's outline in that direction."""
    frame = JawFrame.of(points, height, width)
    motion = _motion("polar", degrees, variations[:, 2], frame)
    left, right = motion[:, :, None, None].unbind(1)
    corner = between(1.0, 1.3, variations[:, 0])[:, None, None]
    reach = between(0.9, 1.15, variations[:, 1])[:, None, None]
    outline = frame.points[:, FACE_OVAL] - frame.centre[:, None]
    outline_u = (outline * frame.right[:, None]).sum(-1)
    outline_v = (outline * frame.down[:, None]).sum(-1)

    def field(position: Tensor) -> Tensor:
        u, v = frame.coordinates(position)
        distance = (u.square() + v.square()).sqrt().clamp_min(1e-3)
        contour = _contour(u / distance, v / distance, outline_u, outline_v)
        angle = torch.atan2(u.abs(), v)
        window = bump(distance / contour / reach, 0.35, 1.0, 2.1)
        window = window * bump(angle / corner, 0.05, 1.0, 2.3)
        radial = window * torch.where(u < 0, left, right) / distance
        flow_u, flow_v = radial * u, radial * v
        return (
            flow_u[:, None] * frame.right[:, :, None, None]
            + flow_v[:, None] * frame.down[:, :, None, None]
        )

    return smooth_flow(field, height, width, points, SAMPLES)


def _contour(cosine: Tensor, sine: Tensor, outline_u: Tensor, outline_v: Tensor) -> Tensor:
    """Distance of the outline in each direction (B h w), smoothed over about 15 degrees."""
    radius = (outline_u.square() + outline_v.square()).sqrt()
    total = torch.zeros_like(cosine)
    weighted = torch.zeros_like(cosine)
    for u, v, r in zip(outline_u.unbind(1), outline_v.unbind(1), radius.unbind(1), strict=True):
        u, v, r = (x[:, None, None] for x in (u / r, v / r, r))
        weight = torch.exp(14 * (cosine * u + sine * v - 1))
        total = total + weight
        weighted = weighted + weight * r
    return weighted / total.clamp_min(1e-12)


def _controls(
    name: str, degrees: Tensor, variations: Tensor, frame: JawFrame
) -> tuple[Tensor, Tensor]:
    """Control points and their backward flows (B N 2 each): the jaw moves, face and ring stay."""
    place = torch.linspace(-1, 1, len(JAW), device=degrees.device, dtype=degrees.dtype)
    top = between(0.4, 0.65, variations[:, 0])[:, None]
    weight = bump(place.abs() / top, 0.0, 1.0, 1.9)
    motion = _motion(name, degrees, variations[:, 2], frame)
    motion = torch.where(place < 0, motion[:, :1], motion[:, 1:])
    moved = -(motion * weight)[..., None] * frame.inward(JAW, 0.3 * frame.chin)

    middle = frame.points[:, FACE_OVAL].mean(1, keepdim=True)
    reach = between(1.7, 2.1, variations[:, 1])[:, None, None]
    ring = middle + reach * (frame.points[:, FACE_OVAL[::3]] - middle)
    far = middle + 1.6 * reach * (frame.points[:, FACE_OVAL[::4]] - middle)
    fixed = torch.cat((frame.points[:, _PINNED], ring, far), dim=1)
    anchors = torch.cat((frame.points[:, JAW], fixed), dim=1)
    return anchors, torch.cat((moved, torch.zeros_like(fixed)), dim=1)


def thin_plate(
    points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int
) -> Tensor:
    """Thin-plate spline through the moved jaw line, the still inner face and a still ring."""
    frame = JawFrame.of(points, height, width)
    anchors, motions = _controls("thin_plate", degrees, variations, frame)
    spline = thin_plate_spline(anchors, motions, frame.half_width, 1e-2)
    return smooth_flow(spline, height, width, points, SAMPLES)


def shepard(points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int) -> Tensor:
    """Inverse-distance interpolation of the jaw line's motion and the still points."""
    frame = JawFrame.of(points, height, width)
    anchors, motions = _controls("shepard", degrees, variations, frame)
    mean = shepard_interpolation(anchors, motions, 0.3 * frame.half_width)
    return smooth_flow(mean, height, width, points, SAMPLES)


ALGORITHMS: dict[str, Callable[[Tensor, Tensor, Tensor, int, int], Tensor]] = {
    "local_pulls": local_pulls,
    "smooth_field": smooth_field,
    "thin_plate": thin_plate,
    "polar": polar,
    "shepard": shepard,
    "local_translation": local_translation,
    "chained": chained,
    "radial_pinch": radial_pinch,
    "moving_least_squares": moving_least_squares,
    "contour_spline": contour_spline,
    "head_morph": head_morph,
}

effect = narrowing
"""How much slimmer a flow makes a face: the narrowing of its jaw in shares of its width."""
