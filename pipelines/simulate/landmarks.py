"""Index sets of the 478-point MediaPipe face mesh, and soft regions of a face built on them."""

from __future__ import annotations

from collections.abc import Sequence
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

_REDUCTION = 4  # regions are drawn on a grid up to this much coarser,
_SAMPLES = 64  # but with no fewer samples than these along the shorter side
_LINES = 2  # scan lines per row of that grid
_FEATHER = 0.0375  # softness of a region's edge, as a share of the face's width


def canonical_mesh() -> Tensor:
    """The mean face of an aligned crop: 478 x 2, in shares of the crop's width and height."""
    return torch.tensor(POINTS, dtype=torch.float32).view(478, 2) / 10_000


def soft_polygons(outlines: Sequence[Tensor], height: int, width: int, softness: Tensor) -> Tensor:
    """The union of polygons as one mask with Gaussian edges, one half at the outlines.

    Coverage is summed edge by edge along every row, then blurred; no pixel is visited twice.

    Args:
        outlines: for each polygon its vertices, B N 2, in pixels of the mask; either direction.
        height: height of the mask.
        width: width of the mask.
        softness: B, standard deviation of the soft edge in pixels of the mask.

    Returns:
        B 1 H W in [0, 1].
    """
    start = torch.cat(list(outlines), dim=1)
    end = torch.cat([outline.roll(-1, 1) for outline in outlines], dim=1)
    turn = torch.cat([_direction(outline) for outline in outlines], dim=1)
    coverage = _coverage(start, end, turn, height, width)

    rows = _blur_matrix(height, softness)
    columns = _blur_matrix(width, softness)
    return (rows @ coverage @ columns.transpose(1, 2))[:, None].clamp(0, 1)


def _direction(outline: Tensor) -> Tensor:
    """+1 or -1 for every edge of a polygon, by the sign of its area: B N 2 -> B N."""
    x, y = outline.unbind(-1)
    area = (x * y.roll(-1, 1) - x.roll(-1, 1) * y).sum(1, keepdim=True)
    return area.sign().expand_as(x)


def _coverage(start: Tensor, end: Tensor, turn: Tensor, height: int, width: int) -> Tensor:
    """Share of each pixel, B H W, that lies inside; edges are B N 2, from `start` to `end`."""
    (x0, y0), (x1, y1) = start[..., None].unbind(2), end[..., None].unbind(2)
    lines = _LINES * height
    y = (torch.arange(lines, device=start.device, dtype=start.dtype) + 0.5) / _LINES
    winding = ((y1 <= y).to(y) - (y0 <= y).to(y)) * turn[..., None]
    rise = torch.where(y0 == y1, torch.ones_like(y0), y1 - y0)
    crossing = x0 + (y - y0) / rise * (x1 - x0)

    x = torch.arange(width, device=start.device, dtype=start.dtype) + 1
    inside = start.new_zeros(len(start), lines, width)
    for sign, place in zip(
        winding[..., None].unbind(1), crossing[..., None].unbind(1), strict=True
    ):
        inside.addcmul_((x - place).clamp_(0, 1), sign)
    return inside.unflatten(1, (height, _LINES)).mean(2).clamp(0, 1)


def _blur_matrix(size: int, softness: Tensor) -> Tensor:
    """Gaussian blur along one axis as matrices, B size size, that keep constants."""
    place = torch.arange(size, device=softness.device, dtype=softness.dtype)
    distance = (place[:, None] - place) / softness.clamp_min(0.2)[:, None, None]
    weights = torch.exp(-0.5 * distance.square().clamp_max(60))
    return weights / weights.sum(-1, keepdim=True)


class FaceRegions:
    """Soft regions of one face per photo, each computed when first asked for.

    The regions are smooth, so they are drawn on a coarser grid and enlarged.

    Args:
        points: B 478 2, mesh points in shares of width and height.
        height: height of the photos in pixels.
        width: width of the photos in pixels.
        images: B 3 H W in [-1, 1]; when given, the forehead beyond the mesh counts as skin only
            where its colour is the face's (hair does not).
    """

    def __init__(
        self, points: Tensor, height: int, width: int, images: Tensor | None = None
    ) -> None:
        self.points = points
        self.height = height
        self.width = width
        self.images = images
        step = min(_REDUCTION, max(1, min(height, width) // _SAMPLES))
        self._grid = (-(-height // step), -(-width // step))

    @cached_property
    def scale(self) -> Tensor:
        """B: width of the face, ear to ear, in pixels."""
        size = self.points.new_tensor([self.width, self.height])
        return ((self.points[:, JAW[-1]] - self.points[:, JAW[0]]) * size).norm(dim=-1)

    @cached_property
    def oval(self) -> Tensor:
        """B 1 H W: the whole face inside the mesh's outline, feathered inwards."""
        return self._enlarge(self._coarse_oval)

    @cached_property
    def skin(self) -> Tensor:
        """B 1 H W: the oval and the forehead above it, without eyes, brows and lips, feathered."""
        whole = self._inwards([self._raised_outline()], _FEATHER)
        if self.images is not None:
            likeness = self._skin_likeness()
            whole = self._coarse_oval + (whole - self._coarse_oval).clamp_min(0) * likeness
        holes = [self.points[:, hole] for hole in (*EYES, *BROWS, LIPS)]
        return self._enlarge(whole * (1 - 2 * self._draw(holes, _FEATHER / 2)).clamp(0, 1))

    @cached_property
    def lips(self) -> Tensor:
        """B 1 H W: inside the outer outline of the lips, an open mouth included, feathered."""
        return self._enlarge(self._draw([self.points[:, LIPS]], _FEATHER / 4))

    @cached_property
    def _coarse_oval(self) -> Tensor:
        return self._inwards([self.points[:, FACE_OVAL]], _FEATHER)

    def _inwards(self, outlines: Sequence[Tensor], feather: float) -> Tensor:
        """A mask that is zero at the outline already."""
        return (2 * self._draw(outlines, feather) - 1).clamp(0, 1)

    def _draw(self, outlines: Sequence[Tensor], feather: float) -> Tensor:
        height, width = self._grid
        size = self.points.new_tensor([width, height])
        softness = feather * self.scale * (width / self.width)
        return soft_polygons([outline * size for outline in outlines], height, width, softness)

    def _enlarge(self, mask: Tensor) -> Tensor:
        size = (self.height, self.width)
        return F.interpolate(mask, size, mode="bilinear", align_corners=False)

    def _raised_outline(self) -> Tensor:
        """The outline with its forehead raised by a sixth of the face's height."""
        outline = self.points.clone()
        up = (self.points[:, 10] - self.points[:, CHIN]) / 6
        arch = torch.linspace(-1, 1, len(FOREHEAD), device=outline.device, dtype=outline.dtype)
        outline[:, FOREHEAD] += up[:, None] * (1 - arch.square()).sqrt()[:, None]
        return outline[:, FACE_OVAL]

    def _skin_likeness(self) -> Tensor:
        """How close colours are to the face's own, in the face's own spread: B 1 h w in [0, 1]."""
        assert self.images is not None
        images = F.interpolate(self.images, self._grid, mode="area")
        weight = self._coarse_oval / self._coarse_oval.sum((2, 3), keepdim=True).clamp_min(1e-6)
        mean = (images * weight).sum((2, 3), keepdim=True)
        departure = (images - mean).square()
        spread = (departure * weight).sum((2, 3), keepdim=True) + 0.01
        return (2 - (departure / spread).mean(1, keepdim=True) / 2).clamp(0, 1)
