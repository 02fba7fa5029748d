"""Face slimming by moved shapes: least squares on a grid, a bent contour, a head in its pose.

`moving_least_squares` follows Schaefer, McPhail, Warren (2006): affine, similarity or rigid.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from .jaw_frame import JawFrame
from .landmarks import BROWS, EYES, FACE_OVAL, FOREHEAD, JAW, LIPS, NOSE, canonical_mesh
from .strength import Span, between, bump, further_numbers, smoothstep
from .warp import between_nodes, node_grid, pixel_grid, smooth_flow, within_border

SAMPLES = 64  # flow samples along the shorter side of the photo
NARROWING = Span(0.008, 0.04, 0.10)
SHORTENING = 0.5  # largest rise of the chin, as a share of the jaw's narrowing
GRID = (10.0, 40.0)  # cells of the least squares grid, in pixels of a photo of 512 px

_BALANCE = 0.25
_PINNED = (*NOSE, *LIPS[::4], *EYES[0][::4], *EYES[1][::4], *BROWS[0][::3], *BROWS[1][::3])
_OUTLINE = 2  # points between two neighbours of the jaw line
_SOFT = 0.05  # how softly the nearest point of the contour is chosen, in face widths
_KERNEL = 0.10  # Gaussian that spreads a vertex's motion, in face widths
_STILL = 0.25  # weight of what lies outside the head against it


def _profile(places: Tensor, free: Tensor) -> Tensor:
    """How much each place of the jaw line moves in, B N in [0, 1]: corner, chin side, cheekbone.

    Args:
        places: B N from -1 (left ear) over 0 (chin) to 1.
        free: B 3 in [0, 1), how much of each is asked for.
    """
    away = places.abs()
    corner = bump(away, 0.1, 0.5, 0.95)
    beside = bump(away, 0.02, 0.25, 0.6)
    cheek = bump(away, 0.45, 0.75, 1.0)
    parts = torch.stack((corner, beside, cheek), dim=1)
    weights = torch.cat((0.4 + 0.6 * free[:, :1], free[:, 1:2], 0.8 * free[:, 2:3]), dim=1)
    total = (parts * weights[..., None]).sum(1)
    return total / total.amax(1, keepdim=True).clamp_min(1e-3)


def _jaw_motion(
    frame: JawFrame, amount: Tensor, balance: Tensor, free: Tensor, lift: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Points along the jaw line and how they move, B N 2 each, in pixels.

    The last of the four numbers in `free` raises or lowers the chin along with it.
    """
    places = torch.linspace(-1, 1, count, device=amount.device, dtype=amount.dtype)
    places = places.expand(len(amount), count)
    anchors = frame.contour((places + 1) / 2 * (len(JAW) - 1))
    motion = frame.sides(amount, balance, _BALANCE)
    sides = torch.where(places < 0, motion[:, :1], motion[:, 1:])

    target = frame.centre - (lift * frame.chin)[:, None] * frame.down
    inward = target[:, None] - anchors
    inward = inward / inward.norm(dim=-1, keepdim=True).clamp_min(1e-3)
    chin = motion.amin(1) * SHORTENING * (1.4 * free[:, 3] - 0.4)
    rise = (chin[:, None] * (1 - smoothstep(places.abs() / 0.3)))[..., None] * frame.down[:, None]
    return anchors, (sides * _profile(places, free[:, :3]))[..., None] * inward - rise


def moving_least_squares(
    points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int
) -> Tensor:
    """The jaw line moves, features and the photo's border stay; solved on a mesh of 10 to 40 px."""
    frame = JawFrame.of(points, height, width)
    free = further_numbers(variations, 6)
    lift = between(0.0, 0.6, variations[:, 0])
    amount = 1.3 * NARROWING.at(degrees)
    jaw, motion = _jaw_motion(frame, amount, variations[:, 2], free, lift, len(JAW))
    still = torch.cat(
        (frame.points[:, (*_PINNED, *FOREHEAD[2:-2:2])], _border(jaw, height, width)), 1
    )
    targets = torch.cat((jaw, still), dim=1)
    moved = torch.cat((jaw + motion, still), dim=1)

    cell = GRID[0] * (GRID[1] / GRID[0]) ** variations[:, 1] * (min(height, width) / 512)
    nodes = node_grid(cell, height, width)
    maps = _mls_maps(moved, targets, between(1.0, 2.0, free[:, 4]), frame.width)
    flow = maps(nodes, (3 * free[:, 5]).floor()) * (degrees > 0)[:, None, None, None]
    pixels = pixel_grid(height, width, points)
    return within_border(between_nodes(flow, cell, height, width), pixels, height, width)


def _border(like: Tensor, height: int, width: int) -> Tensor:
    """Sixteen points around the photo's border, B 16 2."""
    turn = torch.arange(16, device=like.device, dtype=like.dtype) * (torch.pi / 8) + 1e-4
    ring = torch.stack((turn.cos(), turn.sin()), dim=-1)
    ring = ring / ring.abs().amax(-1, keepdim=True)
    size = like.new_tensor([width - 1, height - 1])
    return ((ring + 1) / 2 * size).expand(len(like), -1, -1)


def _mls_maps(
    sources: Tensor, targets: Tensor, alpha: Tensor, scale: Tensor
) -> Callable[[Tensor, Tensor], Tensor]:
    """The maps of moving least squares that take `sources` to `targets` (B N 2, pixels).

    Schaefer et al. 2006: eq. 5 (affine), 6 and 7 (similarity), 8 (rigid).

    Args:
        sources: B N 2.
        targets: B N 2.
        alpha: B, weights fall with distance to the power -2 alpha.
        scale: B, length in pixels by which the sums are kept well scaled.

    Returns:
        Function of positions (B 2 h w) and the kind of each sample (B: 0 affine, 1 similarity,
        2 rigid) to the flow there, B 2 h w.
    """
    unit = scale[:, None, None]
    middle = targets.mean(1, keepdim=True)
    p, q = (sources - middle) / unit, (targets - middle) / unit
    products = (p[..., :, None] * p[..., None, :], p[..., :, None] * q[..., None, :])
    terms = torch.cat((torch.ones_like(p[..., :1]), p, q, *(x.flatten(2) for x in products)), -1)

    def flow(position: Tensor, kind: Tensor) -> Tensor:
        place = (position.flatten(2).transpose(1, 2) - middle) / unit
        distance = torch.cdist(place, p).square() + 1e-3
        sums = distance.pow(-alpha[:, None, None]) @ terms
        sums = sums / sums[..., :1]
        mean_p, mean_q = sums[..., 1:3], sums[..., 3:5]
        pp = sums[..., 5:9].unflatten(-1, (2, 2)) - mean_p[..., :, None] * mean_p[..., None, :]
        pq = sums[..., 9:13].unflatten(-1, (2, 2)) - mean_p[..., :, None] * mean_q[..., None, :]
        matrix = _mls_matrix(pp, pq, kind[:, None, None, None])
        mapped = ((place - mean_p)[..., None, :] @ matrix)[..., 0, :] + mean_q
        return ((mapped - place) * unit).transpose(1, 2).unflatten(2, position.shape[-2:])

    return flow


def _mls_matrix(pp: Tensor, pq: Tensor, kind: Tensor) -> Tensor:
    """The best affine (0), similarity (1) or rigid (2) matrix by the moments, each B P 2 2."""
    trace = pp[..., 0, 0] + pp[..., 1, 1]
    determinant = pp[..., 0, 0] * pp[..., 1, 1] - pp[..., 0, 1].square()
    swapped = torch.stack((pp[..., 1, 1], -pp[..., 0, 1], -pp[..., 1, 0], pp[..., 0, 0]), dim=-1)
    affine = (swapped / determinant[..., None].clamp_min(1e-9)).unflatten(-1, (2, 2)) @ pq

    even = pq[..., 0, 0] + pq[..., 1, 1]
    odd = pq[..., 0, 1] - pq[..., 1, 0]
    turn = torch.stack((even, odd, -odd, even), dim=-1).unflatten(-1, (2, 2))
    similar = turn / trace[..., None, None].clamp_min(1e-9)
    rigid = turn / (even.square() + odd.square()).sqrt()[..., None, None].clamp_min(1e-9)
    return torch.where(kind == 0, affine, torch.where(kind == 1, similar, rigid))


def contour_spline(
    points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int
) -> Tensor:
    """The jaw line shifts along its normals; the shift dies out on both of its sides.

    The variations weigh jaw corner, chin and cheekbone, and set both reaches (0.15 to 0.4 face
    widths) and the balance of the sides.
    """
    frame = JawFrame.of(points, height, width)
    free = further_numbers(variations, 6)
    lift = between(0.0, 0.4, free[:, 4])
    amount = 1.35 * NARROWING.at(degrees)
    count = _OUTLINE * (len(JAW) - 1) + 1
    contour, motion = _jaw_motion(frame, amount, variations[:, 2], free, lift, count)
    size = frame.width[:, None, None]
    inner = between(0.2, 0.4, variations[:, 0])[:, None, None] * size
    outer = between(0.2, 0.4, variations[:, 1])[:, None, None] * size

    def field(position: Tensor) -> Tensor:
        place = position.flatten(2).transpose(1, 2)
        distance = torch.cdist(place.expand(len(contour), -1, -1), contour)
        nearest = distance.amin(-1, keepdim=True)
        weight = torch.softmax((nearest - distance) / (_SOFT * size), dim=-1)
        shift = weight @ motion
        away = place - weight @ contour
        inside = smoothstep(
            (away * -_outwards(frame, place)).sum(-1, keepdim=True) / (0.04 * size) + 0.5
        )
        reach = outer + (inner - outer) * inside
        fade = smoothstep(1 - nearest / reach)
        return -(fade * shift).transpose(1, 2).unflatten(2, position.shape[-2:])

    return smooth_flow(field, height, width, points, SAMPLES)


def _outwards(frame: JawFrame, place: Tensor) -> Tensor:
    """Unit vectors, B P 2, from the middle of the face to places."""
    middle = frame.points[:, FACE_OVAL].mean(1, keepdim=True)
    offset = place - middle
    return offset / offset.norm(dim=-1, keepdim=True).clamp_min(1e-3)


def head_morph(
    points: Tensor, degrees: Tensor, variations: Tensor, height: int, width: int
) -> Tensor:
    """A head model's vertices drawn to its middle plane in the head's own pose, then reprojected.

    The pose is the affine camera that takes the mean head to the landmarks, so on a turned face
    the motion is foreshortened as the head is. What moves between vertices is their local mean.
    """
    frame = JawFrame.of(points, height, width)
    free = further_numbers(variations, 3)
    head = _head().to(points)
    camera = torch.linalg.lstsq(
        torch.nn.functional.pad(head, (0, 1), value=1.0).expand(len(points), -1, -1),
        frame.points[:, :468],
    ).solution[:, :3]
    weight = _morph_weight(head, variations[:, 0], variations[:, 1])
    tilt = 2 * _BALANCE * (variations[:, 2:3] - 0.5)
    weight = weight * (1 - tilt * (head[:, 0] / 0.3).clamp(-1, 1))
    depth = between(0.0, 0.5, free[:, 0])[:, None]
    pull = 1.6 * NARROWING.at(degrees)[:, None] * weight
    change = torch.stack((-pull * head[:, 0], pull * 0, -pull * depth * head[:, 2]), dim=-1)
    motion = change @ camera
    moved = frame.points[:, :468] + motion

    def field(position: Tensor) -> Tensor:
        narrow = 0.5 / (_KERNEL * frame.width[:, None, None]).square()
        columns = torch.exp(
            -(position[:, 0, 0][..., None] - moved[:, None, :, 0]).square() * narrow
        )
        rows = torch.exp(
            -(position[:, 1, :, 0][..., None] - moved[:, None, :, 1]).square() * narrow
        )
        values = torch.cat((motion, torch.ones_like(motion[..., :1])), dim=-1).transpose(1, 2)
        sums = (rows[:, None] * values[:, :, None]) @ columns.transpose(1, 2)[:, None]
        return -sums[:, :2] / (sums[:, 2:] + 468 * _STILL * 0.02)

    return smooth_flow(field, height, width, points, SAMPLES)


def _morph_weight(head: Tensor, top: Tensor, reach: Tensor) -> Tensor:
    """Share of the pull at each vertex, B 468: the lower, outer face; eyes and nose hardly."""
    x, y = head[:, 0].abs()[None], head[:, 1][None]
    start = between(-0.12, 0.02, top)[:, None]
    across = smoothstep((x / between(0.2, 0.26, reach)[:, None] - 0.3) / 0.7)
    return across * smoothstep((y - start) / 0.2)


@lru_cache(maxsize=1)
def _head() -> Tensor:
    """The mean head's 468 vertices, 468 3, in crop widths; z grows away from the viewer.

    Depth is that of an upright ellipsoid with a nose on it.
    """
    mesh = canonical_mesh()[:468] - 0.5
    x, y = mesh.unbind(-1)
    down = y - 0.13
    shell = (1 - (x / 0.31).square() - (down / 0.5).square()).clamp_min(0.02).sqrt()
    nose = torch.exp(-(x / 0.045).square() - ((y - 0.09) / 0.075).square())
    return torch.stack((x, y, 0.3 - 0.38 * shell - 0.06 * nose), dim=-1)
