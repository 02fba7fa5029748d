"""Index sets of the 478-point MediaPipe face mesh, and soft regions of a face built on them."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from .canonical_mesh import POINTS

FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""The face's outline, clockwise in the photo from the top of the forehead."""
FOREHEAD = (127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389, 356)
"""The upper part of the outline, from the left of the photo to its right."""
JAW = (
    234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288,
    361, 323, 454,
)  # fmt: skip
"""The lower part of the outline, ear to ear, from the left of the photo to its right."""
CHIN = 152
EYES = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (362, 382, 381, 380, 374, 373, 390, 249, 263, 466, 388, 387, 386, 385, 384, 398),
)
"""Eyelid outlines: the eye on the left of the photo, then the one on its right."""
EYE_CORNERS = ((33, 133), (362, 263))
"""Corners of each eye, from the left of the photo to its right."""
IRISES = (468, 473)
"""Iris centres, in the order of `EYES`."""
BROWS = (
    (70, 63, 105, 66, 107, 55, 65, 52, 53, 46),
    (300, 293, 334, 296, 336, 285, 295, 282, 283, 276),
)
LIPS = (
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185,
)  # fmt: skip
"""Outer outline of the lips."""
NOSE = (168, 6, 197, 195, 5, 4, 1, 98, 2, 327)
"""Bridge from the eyes down to the tip, then the base of the nose."""
USED = tuple(sorted({*FACE_OVAL, *EYES[0], *EYES[1], *IRISES, *BROWS[0], *BROWS[1], *LIPS, *NOSE}))
"""Every index that the simulator reads."""

_REDUCTION = 4  # masks are smooth, so they are evaluated on a grid this much coarser


def canonical_mesh() -> Tensor:
    """The mean face of an aligned crop: 478 x 2, in shares of the crop's width and height."""
    return torch.tensor(POINTS, dtype=torch.float32).view(478, 2) / 10_000


def soft_polygon(
    vertices: Tensor, height: int, width: int, feather: Tensor, inset: float = 0.0
) -> Tensor:
    """Polygons as soft masks, from the signed distance to their outlines.

    Args:
        vertices: B N 2, in shares of width and height; concave outlines are fine.
        height: height of the mask in pixels.
        width: width of the mask in pixels.
        feather: B, half the width of the soft edge, in pixels.
        inset: how far inside the outline the mask is one half, as a multiple of `feather`.

    Returns:
        B 1 H W in [0, 1].
    """
    size = (-(-height // _REDUCTION), -(-width // _REDUCTION))
    scale = vertices.new_tensor([width, height])
    rows = (torch.arange(size[0], device=vertices.device) + 0.5) * (height / size[0])
    columns = (torch.arange(size[1], device=vertices.device) + 0.5) * (width / size[1])
    position = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)

    distance = _signed_distance(position.flatten(0, 1), vertices * scale)
    soft = (distance / feather[:, None] - inset).clamp(-1, 1) / 2 + 0.5
    soft = (soft * soft * (3 - 2 * soft)).view(-1, 1, *size)
    return F.interpolate(soft, (height, width), mode="bilinear", align_corners=False)


def _signed_distance(position: Tensor, vertices: Tensor) -> Tensor:
    """Distance to closed outlines, positive inside: (P 2, B N 2) -> B P."""
    x, y = position.unbind(-1)
    nearest = position.new_full((len(vertices), len(position)), torch.inf)
    inside = torch.zeros_like(nearest, dtype=torch.bool)
    for start, end in zip(vertices.unbind(1), vertices.roll(-1, 1).unbind(1), strict=True):
        x0, y0 = start[:, :1], start[:, 1:]
        dx, dy = end[:, :1] - x0, end[:, 1:] - y0
        px, py = x - x0, y - y0
        share = ((px * dx + py * dy) / (dx * dx + dy * dy).clamp_min(1e-12)).clamp(0, 1)
        nearest = torch.minimum(nearest, (px - share * dx).square() + (py - share * dy).square())
        crosses = (py < 0) != (py < dy)
        inside ^= crosses & ((px * dy < py * dx) == (dy > 0))
    return torch.where(inside, 1.0, -1.0) * nearest.sqrt()


class FaceRegions:
    """Soft regions of one face per photo, each computed when first asked for.

    Args:
        points: B 478 2, mesh points in shares of width and height.
        height: height of the photos in pixels.
        width: width of the photos in pixels.
        images: B 3 H W in [-1, 1]; when given, the forehead beyond the mesh counts as skin only
            where its colour is the cheeks' (hair does not).
    """

    def __init__(
        self, points: Tensor, height: int, width: int, images: Tensor | None = None
    ) -> None:
        self.points = points
        self.height = height
        self.width = width
        self.images = images

    @cached_property
    def scale(self) -> Tensor:
        """B: width of the face, ear to ear, in pixels."""
        size = self.points.new_tensor([self.width, self.height])
        return ((self.points[:, JAW[-1]] - self.points[:, JAW[0]]) * size).norm(dim=-1)

    @cached_property
    def oval(self) -> Tensor:
        """B 1 H W: the whole face inside the mesh's outline, feathered inwards."""
        return self._polygon(self.points[:, FACE_OVAL], 0.05, inset=0.5)

    @cached_property
    def skin(self) -> Tensor:
        """B 1 H W: the oval and the forehead above it, without eyes, brows and lips, feathered."""
        whole = self._polygon(self._extended_outline(), 0.05, inset=0.5)
        if self.images is not None:
            whole = self.oval + (whole - self.oval).clamp_min(0) * self._skin_likeness(whole)
        holes = (*EYES, *BROWS, LIPS)
        kept = [1 - self._polygon(self.points[:, hole], 0.025, inset=-0.5) for hole in holes]
        return whole * torch.stack(kept).prod(0)

    def _polygon(self, vertices: Tensor, feather: float, inset: float) -> Tensor:
        feather_px = (feather * self.scale).clamp_min(1.0)
        return soft_polygon(vertices, self.height, self.width, feather_px, inset)

    def _extended_outline(self) -> Tensor:
        """The outline with its forehead raised by a sixth of the face's height."""
        outline = self.points.clone()
        up = (self.points[:, 10] - self.points[:, CHIN]) / 6
        arch = torch.linspace(-1, 1, len(FOREHEAD), device=outline.device, dtype=outline.dtype)
        outline[:, FOREHEAD] += up[:, None] * (1 - arch.square()).sqrt()[:, None]
        return outline[:, FACE_OVAL]

    def _skin_likeness(self, whole: Tensor) -> Tensor:
        """How close each pixel's colour is to the face's own, in the face's own spread."""
        weight = self.oval * whole
        total = weight.sum((2, 3), keepdim=True).clamp_min(1.0)
        mean = (self.images * weight).sum((2, 3), keepdim=True) / total
        departure = (self.images - mean).square()
        spread = (departure * weight).sum((2, 3), keepdim=True) / total + 0.01
        unlike = (departure / spread).mean(1, keepdim=True)
        return F.avg_pool2d((2 - unlike / 2).clamp(0, 1), 5, 1, 2, count_include_pad=False)
