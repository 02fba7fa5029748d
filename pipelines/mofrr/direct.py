"""Experts that answer at once, at the photos' own size: what they do, applied to its own pixels."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import Tensor

from ...models.mofrr.contract import DirectExpert, Expert
from ...models.mofrr.native_view import NativeView, look
from ...models.mofrr.warping import warp_smoothly
from ...models.resampling import line_matrix
from ..photos.arrays import to_working_size
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

    def applied(self, photo: Tensor, strength: float) -> AppliedEdit:
        """A part of the edit applied to photos B 3 H W in [-1, 1] of its size."""
        photo = take(photo, self.rows)
        edit = self if strength == 1 else self.scaled(strength)
        residual = photo.new_zeros(1).expand_as(photo) if edit.residual is None else edit.residual
        flow = None if edit.flow is None else spread(edit.flow, photo)
        return AppliedEdit(self.rows, photo, flow, residual, self.degree, direct=True)


def spread(flow: Tensor, photo: Tensor) -> Tensor:
    """A flow n 2 h w in thousandths of the sides -> n 2 H W in pixels of the photo, bicubic."""
    height, width = photo.shape[-2:]
    pixels = flow * (flow.new_tensor([width, height]) / 1000).view(1, 2, 1, 1)
    rows, columns = (
        line_matrix(before, after, "bicubic", flow.device, flow.dtype)
        for before, after in zip(flow.shape[-2:], (height, width), strict=True)
    )
    return (rows @ pixels) @ columns.T


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


def compose(photo: Tensor, edits: Mapping[str, AppliedEdit]) -> Tensor:
    """What direct edits do together: residuals first, then one warp by the sum of the flows.

    Args:
        photo: B 3 H W in [-1, 1].
        edits: direct ones.

    Returns:
        B 3 H W, the change on the [-1, 1] scale; exactly zero where no expert ran.
    """
    edited, flow, moves = photo, None, []
    for edit in edits.values():
        if edit.adds:
            edited = _added(edited, edit.rows, edit.residual)
        if edit.flow is not None:
            moves.append(edit.rows)
            if flow is None and len(edit.rows) < len(photo):
                flow = photo.new_zeros(len(photo), 2, *photo.shape[-2:])
            flow = edit.flow if flow is None else _added(flow, edit.rows, edit.flow)
    if flow is not None:
        moved = torch.cat(moves).unique()
        warped = warp_smoothly(take(edited, moved), take(flow, moved))
        edited = warped if len(moved) == len(photo) else edited.index_copy(0, moved, warped)
    return edited - photo


def _added(planes: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """A batch with values added to some of its rows."""
    return planes + values if len(rows) == len(planes) else planes.index_add(0, rows, values)
