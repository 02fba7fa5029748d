"""Experts that answer at once, at the photos' own size: what they do, applied to its own pixels."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor

from ...models.mofrr.contract import DirectExpert, Expert
from ...models.mofrr.native_view import NativeView, look
from ...models.mofrr.warping import warp_smoothly
from ...models.resampling import line_matrix
from ..photos.arrays import reduce_to, to_signed, to_working_size
from ..photos.tiles import Window
from ..placement import dtype_of, onloaded
from ..room import Room, Share
from .edits import AppliedEdit, take
from .experts import Task


def answers_at_once(expert: Any) -> TypeGuard[DirectExpert]:
    """Whether an expert (or None) is of this kind."""
    return hasattr(expert, "answer")


def denoises(expert: Any) -> TypeGuard[Expert]:
    """Whether an expert (or None) is of the other kind."""
    return expert is not None and not answers_at_once(expert)


def draws_texture(expert: Any) -> bool:
    """Whether an expert (or None) draws texture beyond its answer."""
    return getattr(expert, "diffusion", None) is not None


class DirectEdit(NamedTuple):
    """What one expert would do to the n photos of a batch on which it ran, at their own size."""

    rows: Tensor  # n, their places in the batch
    flow: Tensor | None  # n 2 h w on a coarse grid, thousandths of the sides (x, y), backward
    residual: Tensor | None  # n 3 H W on the [-1, 1] scale, before the flow
    degree: Tensor  # n in [0, 1], the degree it was told; NaN where it found out by itself

    @classmethod
    def joined(cls, parts: Sequence["DirectEdit"]) -> "DirectEdit":
        """The edits of one expert as one, in their order."""
        flows = [part.flow for part in parts if part.flow is not None]
        residuals = [part.residual for part in parts if part.residual is not None]
        return cls(
            torch.cat([part.rows for part in parts]),
            torch.cat(flows) if flows else None,
            torch.cat(residuals) if residuals else None,
            torch.cat([part.degree for part in parts]),
        )

    def each(self, function: Callable[[Tensor], Tensor]) -> "DirectEdit":
        """The edit with a function applied to every tensor of it."""
        flow = None if self.flow is None else function(self.flow)
        residual = None if self.residual is None else function(self.residual)
        return DirectEdit(function(self.rows), flow, residual, function(self.degree))

    def of(self, rows: Tensor, device: torch.device) -> "DirectEdit | None":
        """The part of it that is of some photos, counted from 0 then; None where there is none."""
        own, places = (self.rows[:, None] == rows).nonzero(as_tuple=True)
        if not len(own):
            return None
        part = self if len(own) == len(self.rows) else self.each(lambda field: field[own])
        return part._replace(rows=places).each(lambda field: field.to(device))

    def placed(self, rows: Tensor) -> "DirectEdit":
        """The edit of some photos of a batch, brought to where `rows`, their places there, are."""
        return self.each(lambda x: x.to(rows.device))._replace(rows=rows[self.rows.to(rows.device)])

    def scaled(self, gain: float) -> "DirectEdit":
        """The edit at a multiple of its strength."""
        flow = None if self.flow is None else self.flow * gain
        residual = None if self.residual is None else self.residual * gain
        return self._replace(flow=flow, residual=residual)

    def textured(
        self,
        expert: Any,
        photo: Tensor,
        noise_of: Callable[[int], torch.Generator],
        room: Room,
        share: Share,
    ) -> "DirectEdit":
        """The edit of one sample with the texture that its expert draws.

        Args:
            expert: whose edit it is.
            photo: B 3 H W in [-1, 1], of the edit's size.
            noise_of: what draws the texture of the photo at a row.
            room: asked before every step whether to go on.
            share: how many photos at once, and where.
        """
        assert self.residual is not None
        dtype, place, drawn = dtype_of(expert), share.device or photo.device, []
        for some in torch.arange(len(self.rows), device=self.rows.device).split(share.photos):
            rows = self.rows[some]
            fields = take(photo, rows), take(self.residual, some), self.degree[some]
            fields = [field.to(place, dtype) for field in fields]
            noises = [noise_of(row) for row in rows.tolist()]
            texture = onloaded(expert).draw(*fields, noises, room.check)
            drawn.append(texture.to(self.residual))
        return self._replace(residual=self.residual + torch.cat(drawn))

    def applied(self, photo: Tensor, strength: float) -> "AppliedAtOnce":
        """A part of the edit applied to photos B 3 H W in [-1, 1] of its size."""
        return AppliedAtOnce(self.rows, take(photo, self.rows), self, strength)


class AppliedAtOnce(NamedTuple):
    """A direct edit times a strength, applied when one looks: image = warp(photo + residual).

    It has the fields of an `AppliedEdit`, made anew each time: only photo and edit are kept.
    """

    rows: Tensor  # n, places in the batch
    photo: Tensor  # n 3 H W, in [-1, 1]; with `unit` in [0, 1]
    edit: DirectEdit
    strength: float
    unit: bool = False
    scale = (1.0, 1.0)

    @property
    def degree(self) -> Tensor:
        """The degree of the edit, n."""
        return self.edit.degree

    @property
    def residual(self) -> Tensor:
        """The change n 3 H W, before the flow; zeros, which take no memory, where there is none."""
        if self.edit.residual is None:
            return self.photo.new_zeros(1).expand_as(self.photo)
        return self.edit.residual if self.strength == 1 else self.edit.residual * self.strength

    @property
    def flow(self) -> Tensor | None:
        """The flow n 2 H W in pixels; None where nothing moves."""
        if self.edit.flow is None:
            return None
        return spread(self.edit.flow * self.strength, self.photo)

    @property
    def shown_flow(self) -> Tensor:
        """The flow: zeros, which take no memory, where nothing moves."""
        flow = self.flow
        return self.photo.new_zeros(1).expand_as(self.photo[:, :2]) if flow is None else flow

    @property
    def warped(self) -> Tensor:
        """The photos moved by the flow, n 3 H W."""
        return self.whole().warped

    @property
    def image(self) -> Tensor:
        """The photos as this expert alone restores them, n 3 H W around [-1, 1], not clamped."""
        return self.whole().image

    def change(self, photo: Tensor) -> Tensor:
        """Image minus photo, n 3 H W, of the n photos n 3 H W."""
        return self.whole().change(photo)

    def small_change(self, change: Tensor, photo: Tensor) -> Tensor:
        """The change brought to the size of photos n 3 h w."""
        return reduce_to(change, (photo.shape[-2], photo.shape[-1]))

    def cut(self, place: Window) -> AppliedEdit:
        """The part of it in a window of the photos."""
        return self.whole().cut(place)

    def averaged(self, num_samples: int) -> "AppliedEdit | AppliedAtOnce":
        """The mean over the samples of each photo, which follow one another in the batch."""
        return self if num_samples == 1 else self.whole().averaged(num_samples)

    def whole(self) -> AppliedEdit:
        """It with everything made."""
        photo, flow = to_signed(self.photo) if self.unit else self.photo, self.flow
        warped = photo if flow is None else warp_smoothly(photo, flow)
        return AppliedEdit(self.rows, warped, flow, self.residual, self.degree)


AnyApplied = AppliedEdit | AppliedAtOnce


def spread(flow: Tensor, photo: Tensor) -> Tensor:
    """A flow n 2 h w in thousandths of the sides -> n 2 H W in pixels of the photo, bicubic."""
    height, width = photo.shape[-2:]
    return spread_rows(spread_down(flow, height, width), width)


def spread_down(flow: Tensor, height: int, width: int) -> Tensor:
    """The same n 2 h w -> n 2 H w: at full height, from which any rows follow."""
    pixels = flow * (flow.new_tensor([width, height]) / 1000).view(1, 2, 1, 1)
    return line_matrix(flow.shape[-2], height, "bicubic", flow.device, flow.dtype) @ pixels


def spread_rows(tall: Tensor, width: int) -> Tensor:
    """The second half of that: n 2 H w -> n 2 H W."""
    return tall @ line_matrix(tall.shape[-1], width, "bicubic", tall.device, tall.dtype).T


def answer_at_once(experts: Mapping[int, DirectExpert], task: Task) -> dict[int, DirectEdit]:
    """The edits of some experts, by their column, on the photos of a task where they are active."""
    columns = list(experts)
    touched = task.active[:, columns].any(dim=1).nonzero()[:, 0].to(task.photo.device)
    if not len(touched):
        return {}
    size = max(expert.size_requirements.working or 0 for expert in experts.values()) or None
    if task.sight is not None and task.sight.working == size:
        view = task.sight.of(touched).view
    else:
        view = look(to_working_size(take(task.photo, touched), size))
    edits = {}
    for column, expert in experts.items():
        rows = task.active[:, column].nonzero()[:, 0].to(task.photo.device)
        if len(rows):
            seen = NativeView(*(take(field, torch.searchsorted(touched, rows)) for field in view))
            edits[column] = _answer(
                expert, take(task.photo, rows), seen, task.degrees[rows, column]
            )
            edits[column] = edits[column]._replace(rows=rows)
    return edits


def _answer(expert: DirectExpert, photo: Tensor, view: NativeView, degree: Tensor) -> DirectEdit:
    dtype = dtype_of(expert)
    seen = NativeView(*(field.to(dtype) for field in view))
    given = onloaded(expert).answer(photo.to(dtype), seen, degree.to(dtype))
    flow, residual = (None if planes is None else planes.float() for planes in given)
    return DirectEdit(torch.arange(len(photo)), flow, residual, degree)
