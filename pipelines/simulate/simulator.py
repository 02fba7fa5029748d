"""Apply recipes to photos, with the ground truth of what was done: flows, masks, degrees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from . import bank
from .export import apply_export
from .landmarks import FaceRegions, canonical_mesh
from .recipe import OPERATIONS, Recipe, Step
from .warp import compose_flows, invert_flow, warp_image

VISIBLE_MOTION = 0.1  # pixels at 256 px; less than this does not count as changed


class Retouched(NamedTuple):
    """Retouched photos and their ground truth; K operations in the order asked for.

    Attributes:
        image: B 3 H W in [-1, 1].
        flows: B K 2 H W in pixels, the flow that undoes each operation where it is the only one
            undone: restored(p) = image(p + flow(p)); zeros for photometric operations.
        masks: B K H W in [0, 1], where each operation changed the photo, in its final geometry.
        degrees: B K in [0, 1].
    """

    image: Tensor
    flows: Tensor
    masks: Tensor
    degrees: Tensor


@torch.no_grad()
def retouch(
    images: Tensor,
    recipes: Sequence[Recipe],
    landmarks: Tensor | None = None,
    operations: Sequence[str] = OPERATIONS,
) -> Retouched:
    """Retouch each photo by its recipe; the same arguments always give the same result.

    Photos whose recipe is empty, or has degree 0 throughout, come back unchanged to the bit
    unless it exports them. Landmarks stay those of the untouched face in every step, so undoing
    an operation is `retouch(images, [recipe.without(operation), ...], landmarks)`.

    Args:
        images: B 3 H W in [-1, 1], RGB.
        recipes: one per photo.
        landmarks: B 478 2 in shares of width and height; None: the mean face of aligned crops.
        operations: the operations K that the ground truth lists.

    Returns:
        The retouched photos with their ground truth.

    Raises:
        ValueError: For arguments of another shape, or a recipe with an operation not listed.
    """
    operations = tuple(operations)
    points = _check(images, recipes, landmarks, operations)
    batch, _, height, width = images.shape
    truth = Retouched(
        image=images.clone(),
        flows=images.new_zeros(batch, len(operations), 2, height, width),
        masks=images.new_zeros(batch, len(operations), height, width),
        degrees=images.new_tensor([recipe.degrees(operations) for recipe in recipes]),
    )

    for position in range(max((len(recipe.steps) for recipe in recipes), default=0)):
        for (operation, algorithm), rows in _groups(recipes, position).items():
            steps = [recipes[row].steps[position] for row in rows]
            apply = _move if operation in bank.GEOMETRIC else _paint
            earlier = [_applied(recipes[row].steps[:position], operations) for row in rows]
            job = _Job(rows, steps, points[rows], operations.index(operation), earlier)
            apply(truth, job, bank.ALGORITHMS[operation][algorithm])
    return truth._replace(image=apply_export(truth.image, [recipe.export for recipe in recipes]))


def _check(
    images: Tensor, recipes: Sequence[Recipe], landmarks: Tensor | None, operations: Sequence[str]
) -> Tensor:
    """Validate the arguments of `retouch`; returns the landmarks to use, B 478 2."""
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"Expected photos of shape B 3 H W, got {tuple(images.shape)}.")
    if len(recipes) != len(images):
        raise ValueError(f"Expected one recipe per photo, got {len(recipes)} for {len(images)}.")
    listed = {step.operation for recipe in recipes for step in recipe.steps}
    if extra := listed - set(operations):
        raise ValueError(
            f"Recipes use {sorted(extra)}, which `operations` {operations} lacks; add it."
        )
    if landmarks is None:
        return canonical_mesh().to(images).expand(len(images), -1, -1)
    if landmarks.shape != (len(images), 478, 2):
        raise ValueError(
            f"Expected landmarks of shape {(len(images), 478, 2)}, got {tuple(landmarks.shape)}."
        )
    return landmarks.to(images)


def _groups(recipes: Sequence[Recipe], position: int) -> dict[tuple[str, str], list[int]]:
    """Rows of the batch by what they do at one position of their recipes, degree 0 left out."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, recipe in enumerate(recipes):
        if position < len(recipe.steps) and recipe.steps[position].degree > 0:
            step = recipe.steps[position]
            groups[step.operation, step.algorithm].append(row)
    return groups


def _applied(steps: Sequence[Step], operations: Sequence[str]) -> set[int]:
    """Positions in `operations` of what the steps really do."""
    return {operations.index(step.operation) for step in steps if step.degree > 0}


class _Job(NamedTuple):
    """One algorithm on the rows of the batch that ask for it.

    Attributes:
        rows: the rows, N of them.
        steps: their steps.
        points: N 478 2.
        channel: the operation's place in the ground truth.
        earlier: for each row the places of the operations already applied to it.
    """

    rows: list[int]
    steps: list[Step]
    points: Tensor
    channel: int
    earlier: list[set[int]]

    def settings(self) -> tuple[Tensor, Tensor]:
        """Degrees N and variations N 4."""
        degrees = self.points.new_tensor([step.degree for step in self.steps])
        return degrees, self.points.new_tensor([step.variation for step in self.steps])


def _paint(truth: Retouched, job: _Job, algorithm: bank.Algorithm) -> None:
    """Apply a photometric algorithm in place."""
    images = truth.image[job.rows]
    height, width = images.shape[-2:]
    face = FaceRegions(job.points, height, width, images)
    edit = algorithm(images, *job.settings(), face)
    truth.image[job.rows] = edit.image
    truth.masks[job.rows, job.channel] = edit.mask[:, 0]


def _move(truth: Retouched, job: _Job, algorithm: bank.Algorithm) -> None:
    """Apply a geometric algorithm in place; earlier ground truth moves along."""
    flow = algorithm(job.points, *job.settings(), *truth.image.shape[-2:])
    inverse = invert_flow(flow)

    for mode, smooth in (("bilinear", False), ("bicubic", True)):
        local = [i for i, step in enumerate(job.steps) if (step.variation[-1] >= 0.5) == smooth]
        if local:
            rows = [job.rows[i] for i in local]
            truth.image[rows] = warp_image(truth.image[rows], flow[local], mode).clamp_(-1, 1)
    for channel in range(truth.masks.shape[1]):
        local = [i for i, done in enumerate(job.earlier) if channel in done]
        if local:
            rows = [job.rows[i] for i in local]
            _carry_along(truth, rows, channel, flow[local], inverse[local])
    truth.flows[job.rows, job.channel] = inverse
    truth.masks[job.rows, job.channel] = _motion_mask(inverse)


def _carry_along(
    truth: Retouched, rows: list[int], channel: int, flow: Tensor, inverse: Tensor
) -> None:
    """Bring one operation's ground truth into the geometry after a later warp, in place.

    If g undoes the operation before the warp w, then inverse(w) . g . w undoes it after.
    """
    undoing = truth.flows[rows, channel]
    if undoing.any():
        undoing = compose_flows(inverse, compose_flows(undoing, flow))
        truth.flows[rows, channel] = undoing
        truth.masks[rows, channel] = _motion_mask(undoing)
    else:
        truth.masks[rows, channel] = warp_image(truth.masks[rows, channel][:, None], flow)[:, 0]


def _motion_mask(flow: Tensor) -> Tensor:
    """Soft indicator, B H W, of motion above what can be seen."""
    visible = VISIBLE_MOTION * min(flow.shape[-2:]) / 256
    return (flow.square().sum(1).sqrt() / visible - 0.5).clamp(0, 1)
