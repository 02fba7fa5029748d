"""Faces in a photo: where they are, aligned crops of them, and pasting edited crops back.

A crop is framed as FFHQ's are: where the mean face of `canonical_mesh` would stand. What is pasted
back is the change of the crop, not the crop, so photo pixels that nothing changed keep every bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..simulate.landmarks import BROWS, EYE_CORNERS, EYES, IRISES, LIPS, NOSE, canonical_mesh

STABLE = tuple(sorted({*EYES[0], *EYES[1], *IRISES, *BROWS[0], *BROWS[1], *LIPS, *NOSE}))
"""Mesh points that move little with retouching of the outline: what faces are aligned by."""
FIVE = (*reversed(EYE_CORNERS[1]), *EYE_CORNERS[0], 2)
"""dlib's five points as mesh points: corners of the eye on the right of the photo, outer first,
of the one on its left, outer first, and below the nose."""
MAX_CROP = 1024
MAX_SAMPLES = 16384  # along the side of a crop, of which pixels are the means
AT_ONCE = 2**20  # samples, or pixels of a photo, that are worked on together


@dataclass(frozen=True)
class FaceBox:
    """A face's bounding box in pixels of its photo, brows to chin and ear to ear.

    Raises:
        ValueError: a side that is not positive, or a number that is not finite.
    """

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        numbers = (self.x, self.y, self.width, self.height)
        if not all(map(math.isfinite, numbers)) or self.width <= 0 or self.height <= 0:
            raise ValueError(
                f"a face box x, y, width, height = {numbers} came; expected finite numbers in "
                "pixels, width and height above 0"
            )


class Alignment(NamedTuple):
    """Where a square crop lies in its photo: shares of the crop -> pixels, turned and scaled.

    x = left + across_x * u - across_y * v;  y = top + across_y * u + across_x * v.
    """

    left: float  # the crop's upper left corner
    top: float
    across_x: float  # the crop's upper edge as a vector, in pixels
    across_y: float

    @property
    def side(self) -> float:
        """Side of the crop in pixels of the photo."""
        return math.hypot(self.across_x, self.across_y)

    def to_photo(self, shares: Tensor) -> Tensor:
        """Points ... 2 in shares of the crop -> pixels of the photo."""
        u, v = shares.unbind(-1)
        x = self.left + self.across_x * u - self.across_y * v
        y = self.top + self.across_y * u + self.across_x * v
        return torch.stack((x, y), dim=-1)

    def to_crop(self, pixels: Tensor) -> Tensor:
        """Points ... 2 in pixels of the photo -> shares of the crop."""
        x, y = pixels[..., 0] - self.left, pixels[..., 1] - self.top
        square = self.side**2
        u = (x * self.across_x + y * self.across_y) / square
        v = (y * self.across_x - x * self.across_y) / square
        return torch.stack((u, v), dim=-1)

    def corners(self) -> Tensor:
        """The crop's corners in pixels of the photo, 4 2."""
        return self.to_photo(torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))


def align_box(box: FaceBox, margin: float = 1.0) -> Alignment:
    """The upright crop in which the mean face fills `box`; `margin` 1.2 shows 20 % more."""
    mesh = canonical_mesh()
    low, high = mesh.amin(0), mesh.amax(0)
    width, height = (high - low).tolist()
    side = max(box.width / width, box.height / height) * margin
    middle_u, middle_v = ((low + high) / 2).tolist()
    middle_u, middle_v = (0.5 + (place - 0.5) / margin for place in (middle_u, middle_v))
    left = box.x + box.width / 2 - middle_u * side
    top = box.y + box.height / 2 - middle_v * side
    return Alignment(left, top, side, 0.0)


def align_points(points: Tensor, indices: Sequence[int], margin: float = 1.0) -> Alignment:
    """The crop that brings points closest to the mean face's: shifted, turned and scaled.

    Args:
        points: n 2, pixels of the photo.
        indices: for each point its index in the 478-point mesh; n of them, at least two.
        margin: 1.2 shows 20 % more around the face.

    Raises:
        ValueError: another shape, or points that all coincide.
    """
    if points.ndim != 2 or points.shape != (len(indices), 2) or len(indices) < 2:
        raise ValueError(
            f"points of shape {tuple(points.shape)} came; expected {len(indices)} 2 (x, y in "
            "pixels), at least two points"
        )
    target = points.double()
    source = (canonical_mesh()[list(indices)].double() - 0.5) / margin + 0.5
    target_mean, source_mean = target.mean(0), source.mean(0)
    a, b = source - source_mean, target - target_mean
    if float(b.square().sum()) == 0 or not bool(target.isfinite().all()):
        raise ValueError("face points that all coincide, or are not finite, give no alignment")
    power = a.square().sum()
    across_x = float((a * b).sum() / power)
    across_y = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / power)
    turned = Alignment(0.0, 0.0, across_x, across_y).to_photo(source_mean)
    left, top = (target_mean - turned).tolist()
    return Alignment(left, top, across_x, across_y)


def align_mesh(points: Tensor, margin: float = 1.0) -> Alignment:
    """The crop of a face with mesh points 478 2 (or 468 2, without irises) in pixels."""
    indices = [index for index in STABLE if index < len(points)]
    if points.ndim != 2 or len(points) not in (468, 478):
        raise ValueError(
            f"face landmarks of shape {tuple(points.shape)} came; expected the 478 (or 468) points "
            "of the MediaPipe face mesh, x and y in pixels"
        )
    return align_points(points[indices, :2], indices, margin)


def crop_side(alignments: Sequence[Alignment]) -> int:
    """A side for crops that loses no detail of any face: a multiple of 32, at most 1024."""
    largest = max((alignment.side for alignment in alignments), default=256.0)
    return int(min(MAX_CROP, max(64, math.ceil(largest / 32) * 32)))


def crop(photo: Tensor, alignments: Sequence[Alignment], side: int) -> Tensor:
    """Cut aligned square crops out of a photo; beyond its edges the last pixels repeat.

    Args:
        photo: C H W.
        alignments: n of them.
        side: of the crops in pixels. Where this reduces a face, pixels are averaged (of faces
            above 16384 px, samples of them). Memory does not grow with the faces.

    Returns:
        n C side side.
    """
    if not alignments:
        return photo.new_zeros(0, len(photo), side, side)
    return torch.stack([_crop_one(photo, alignment, side) for alignment in alignments])


def _crop_one(photo: Tensor, alignment: Alignment, side: int) -> Tensor:
    most = max(1, MAX_SAMPLES // side)
    over = max(1, math.ceil(min(alignment.side / side - 0.01, most)))
    whole = photo[None].float()
    steps = (torch.arange(side * over, dtype=torch.float32, device=photo.device) + 0.5) / (
        side * over
    )
    size = steps.new_tensor([photo.shape[-1], photo.shape[-2]])
    bands = []
    for rows in steps.split(over * max(1, AT_ONCE // (side * over * over))):
        v, u = torch.meshgrid(rows, steps, indexing="ij")
        pixels = alignment.to_photo(torch.stack((u, v), dim=-1))
        grid = (pixels / size * 2 - 1)[None]
        fine = F.grid_sample(whole, grid, padding_mode="border", align_corners=False)
        bands.append(F.avg_pool2d(fine, over)[0].to(photo.dtype))
    return torch.cat(bands, dim=1)


def feather_window(side: int, feather: float) -> Tensor:
    """A mask 1 side side that is 0 at the edges and rises smoothly to 1 over `feather` sides."""
    place = (torch.arange(side, dtype=torch.float32) + 0.5) / side
    distance = torch.minimum(place, 1 - place) - 0.5 / side
    ramp = (distance / max(feather, 1e-6)).clamp(0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    return (ramp[:, None] * ramp[None])[None]


def paste(
    photo: Tensor,
    alignments: Sequence[Alignment],
    before: Tensor,
    after: Tensor,
    feather: float = 0.1,
    match_colour: bool = True,
) -> tuple[Tensor, Tensor]:
    """Bring the changes of crops back into their photo.

    Args:
        photo: C H W in [0, 1].
        alignments: n, as the crops were cut.
        before: n C s s, the crops as they were cut.
        after: n C t t, the crops as they came back; another side is resampled to s.
        feather: width of the soft edge, as a share of the crop's side, above 0 and up to 0.5.
        match_colour: take out the change that a crop's rim shows on average, so that a crop whose
            colours shifted as a whole leaves no visible square.

    Returns:
        The photo, and C = 1 mask H W in [0, 1] of how much of the crops each pixel received. Where
        the mask, or the change, is 0 the photo has every bit that it had; where crops overlap it
        receives the mean of their changes.

    Raises:
        ValueError: as many crops as faces did not come back, or feather is out of its range.
    """
    if not (len(alignments) == len(before) == len(after)):
        raise ValueError(
            f"{len(after)} crops came back for {len(alignments)} faces ({len(before)} crops were "
            "cut); paste the same number, in the same order"
        )
    if not 0 < feather <= 0.5:
        raise ValueError(f"feather is {feather}; expected a share of the crop in (0, 0.5]")
    changes, weights = torch.zeros_like(photo), photo.new_zeros(1, *photo.shape[-2:])
    for alignment, old, new in zip(alignments, before, after, strict=True):
        if new.shape != old.shape:
            shape = (old.shape[-2], old.shape[-1])
            new = F.interpolate(new[None], shape, mode="bilinear", antialias=True)[0]
        window = feather_window(old.shape[-1], feather).to(old)
        change = new - old
        if match_colour:
            change = _without_rim_shift(change, window)
        _add(changes, weights, alignment, change * window, window)
    for rows in _bands(photo):
        change = changes[:, rows] / weights[:, rows].clamp_min(1)
        pasted = (photo[:, rows] + change).clamp_(0, 1)
        changes[:, rows] = torch.where(change != 0, pasted, photo[:, rows])
    return changes, weights.clamp_max_(1)


def _bands(photo: Tensor) -> Iterator[slice]:
    """Rows of a photo C H W that are worked on together."""
    height, width = photo.shape[-2:]
    step = max(1, AT_ONCE // max(1, width))
    yield from (slice(top, min(top + step, height)) for top in range(0, height, step))


def _without_rim_shift(change: Tensor, window: Tensor) -> Tensor:
    rim = ((window > 0) & (window < 0.5)).to(change)
    shift = (change * rim).sum((1, 2)) / rim.sum().clamp_min(1)
    return change - shift[:, None, None] if bool(shift.any()) else change


def _add(
    changes: Tensor, weights: Tensor, alignment: Alignment, change: Tensor, window: Tensor
) -> None:
    """Add a change, already times its window, and the window to a photo's planes, in place."""
    height, width = changes.shape[-2:]
    corners = alignment.corners()
    left, top = (max(0, math.floor(v)) for v in corners.amin(0).tolist())
    right, bottom = (math.ceil(v) + 1 for v in corners.amax(0).tolist())
    right, bottom = min(width, right), min(height, bottom)
    if right <= left or bottom <= top:
        return
    x = torch.arange(left, right, device=changes.device, dtype=torch.float32) + 0.5
    y = torch.arange(top, bottom, device=changes.device, dtype=torch.float32) + 0.5
    planes = torch.cat((change, window))[None].float()
    for band in _bands(changes[:, top:bottom, left:right]):
        rows, columns = torch.meshgrid(y[band], x, indexing="ij")
        grid = alignment.to_crop(torch.stack((columns, rows), dim=-1)) * 2 - 1
        part = F.grid_sample(planes, grid[None], padding_mode="zeros", align_corners=False)[0]
        changes[:, top:bottom, left:right][:, band] += part[:-1].to(changes)
        weights[:, top:bottom, left:right][:, band] += part[-1:].to(weights)
