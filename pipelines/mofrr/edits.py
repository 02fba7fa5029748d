"""What experts answer with: edits at working size, and the same applied to photos of any size."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ...models.mofrr.warping import warp
from ..photos.arrays import reduce_to, to_shape
from ..photos.tiles import Window


def take(planes: Tensor, rows: Tensor) -> Tensor:
    """The rows of a batch (ascending, none twice); without a copy where that is all of them."""
    return planes if len(rows) == len(planes) else planes[rows]


def put(planes: Tensor, rows: Tensor, values: Tensor) -> None:
    """The opposite of `take`: writes the values into those rows of the batch."""
    if len(rows) == len(planes):
        planes.copy_(values)
    else:
        planes[rows] = values


class ExpertEdit(NamedTuple):
    """What one expert would do to the n photos of a batch on which it ran, at working size."""

    rows: Tensor  # n, their places in the batch
    flow: Tensor | None  # n 2 h w, pixels (x, y), backward; None where the expert moves nothing
    residual: Tensor  # n 3 h w, on the [-1, 1] scale
    degree: Tensor  # n in [0, 1], the degree the expert worked with; NaN for the shared expert

    @classmethod
    def joined(cls, parts: Sequence["ExpertEdit"]) -> "ExpertEdit":
        """The edits of one expert as one, in their order."""
        if len(parts) == 1:
            return parts[0]
        flows = [part.flow for part in parts if part.flow is not None]
        rows, residual, degree = (
            torch.cat([getattr(part, field) for part in parts])
            for field in ("rows", "residual", "degree")
        )
        return cls(rows, torch.cat(flows) if flows else None, residual, degree)

    def each(self, function: Callable[[Tensor], Tensor]) -> "ExpertEdit":
        """The edit with a function applied to every tensor of it."""
        flow = None if self.flow is None else function(self.flow)
        rows, residual, degree = (function(x) for x in (self.rows, self.residual, self.degree))
        return ExpertEdit(rows, flow, residual, degree)

    def of(self, rows: Tensor, device: torch.device) -> "ExpertEdit | None":
        """The part of it that is of some photos, counted from 0 then; None where there is none."""
        own, places = (self.rows[:, None] == rows).nonzero(as_tuple=True)
        if not len(own):
            return None
        part = self if len(own) == len(self.rows) else self.each(lambda field: field[own])
        return part._replace(rows=places).each(lambda field: field.to(device))

    def placed(self, rows: Tensor) -> "ExpertEdit":
        """The edit of some photos of a batch, brought to where `rows`, their places there, are."""
        return self.each(lambda x: x.to(rows.device))._replace(rows=rows[self.rows.to(rows.device)])

    def cropped(self, height: int, width: int) -> "ExpertEdit":
        """The edit of photos that had been padded to its size."""
        flow = None if self.flow is None else self.flow[..., :height, :width]
        return self._replace(flow=flow, residual=self.residual[..., :height, :width])

    def scaled(self, strength: float) -> "ExpertEdit":
        """The edit at a part of its strength."""
        if strength == 1:
            return self
        flow = None if self.flow is None else self.flow * strength
        return self._replace(flow=flow, residual=self.residual * strength)

    def resized(self, height: int, width: int) -> "ExpertEdit":
        """The edit for photos of another size."""
        flow, residual = self.flow, to_shape(self.residual, (height, width))
        if flow is not None:
            scale = flow.new_tensor([width / flow.shape[-1], height / flow.shape[-2]])
            flow = to_shape(flow, (height, width)) * scale.view(1, 2, 1, 1)
        return self._replace(flow=flow, residual=residual)

    def applied(self, photo: Tensor, strength: float) -> "AppliedEdit":
        """A part of the edit at the size of photos B 3 H W in [-1, 1], and applied to them."""
        height, width = photo.shape[-2:]
        small = self.scaled(strength)
        scale = height / small.residual.shape[-2], width / small.residual.shape[-1]
        whole = small.resized(height, width).on(take(photo, self.rows))
        return whole._replace(scale=scale, small=small)

    def on(self, photo: Tensor) -> "AppliedEdit":
        """The edit applied to n photos of its size, n 3 h w."""
        warped = photo if self.flow is None else warp(photo, self.flow)
        return AppliedEdit(self.rows, warped, self.flow, self.residual, self.degree)


class AppliedEdit(NamedTuple):
    """An edit at the photos' size, times the strength: image = warp(photo, flow) + residual."""

    rows: Tensor  # n, places in the batch
    warped: Tensor  # n 3 H W, the photos moved by the flow
    flow: Tensor | None  # n 2 H W; None where nothing moves
    residual: Tensor  # n 3 H W
    degree: Tensor  # n
    scale: tuple[float, float] = (1.0, 1.0)  # H, W of the photos / those the expert worked on
    small: ExpertEdit | None = None  # the edit at working size, times the strength, where it fits

    @classmethod
    def joined(cls, parts: Sequence["AppliedEdit"]) -> "AppliedEdit":
        """The edits of one expert as one, in their order."""
        if len(parts) == 1:
            return parts[0]
        flows = [part.flow for part in parts if part.flow is not None]
        rows, warped, residual, degree = (
            torch.cat([getattr(part, field) for part in parts])
            for field in ("rows", "warped", "residual", "degree")
        )
        flow = torch.cat(flows) if flows else None
        first = parts[0]
        return cls(rows, warped, flow, residual, degree, first.scale)

    def whole(self) -> "AppliedEdit":
        """It with everything made: itself."""
        return self

    @property
    def image(self) -> Tensor:
        """The photos as this expert alone restores them, n 3 H W around [-1, 1], not clamped."""
        return self.warped + self.residual

    @property
    def shown_flow(self) -> Tensor:
        """The flow n 2 H W: zeros, which take no memory, where nothing moves."""
        if self.flow is not None:
            return self.flow
        count, _, height, width = self.warped.shape
        return self.warped.new_zeros(1).expand(count, 2, height, width)

    def change(self, photo: Tensor) -> Tensor:
        """Image minus photo, n 3 H W, of the n photos n 3 H W."""
        if self.flow is None:
            return self.residual
        return (self.warped - photo).add_(self.residual)

    def small_change(self, change: Tensor, photo: Tensor) -> Tensor:
        """The change n 3 h w of the photos reduced to working size n 3 h w.

        Args:
            change: at full size, reduced where the edit at working size is not at hand.
            photo: the n photos, reduced.
        """
        height, width = photo.shape[-2:]
        small = self.small
        if small is None or small.residual.shape[-2:] != (height, width) or self.scale == (1, 1):
            return reduce_to(change, (height, width))
        return small.on(photo).change(photo)

    def cut(self, place: Window) -> "AppliedEdit":
        """The part of it in a window of the photos."""
        flow = None if self.flow is None else place.of(self.flow)
        warped, residual = place.of(self.warped), place.of(self.residual)
        return self._replace(warped=warped, flow=flow, residual=residual, small=None)

    def averaged(self, num_samples: int) -> "AppliedEdit":
        """The mean over the samples of each photo, which follow one another in the batch."""
        if num_samples == 1:
            return self
        rows = self.rows[::num_samples] // num_samples

        def mean(planes: Tensor) -> Tensor:
            return planes.unflatten(0, (len(rows), num_samples)).mean(1)

        warped, residual, degree = (mean(x) for x in (self.warped, self.residual, self.degree))
        flow = None if self.flow is None else mean(self.flow)
        return AppliedEdit(rows, warped, flow, residual, degree, self.scale)
