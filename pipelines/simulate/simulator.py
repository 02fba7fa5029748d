"""Apply recipes to photos, with the ground truth of what was done: flows, masks, degrees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from . import bank
from .landmarks import FaceRegions, canonical_mesh
from .recipe import OPERATIONS, Export, Recipe, Step
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
    points = _check(images, recipes, landmarks, operations)
    batch, _, height, width = images.shape
    image = images.clone()
    flows = images.new_zeros(batch, len(operations), 2, height, width)
    masks = images.new_zeros(batch, len(operations), height, width)
    truth = Retouched(
        image, flows, masks, images.new_tensor([recipe.degrees(operations) for recipe in recipes])
    )

    for position in range(max((len(recipe.steps) for recipe in recipes), default=0)):
        for (operation, algorithm), rows in _groups(recipes, position).items():
            steps = [recipes[row].steps[position] for row in rows]
            channel = list(operations).index(operation)
            index = torch.tensor(rows, device=images.device)
            apply = _move if operation in bank.GEOMETRIC else _paint
            apply(
                truth, index, channel, steps, points[index], bank.ALGORITHMS[operation][algorithm]
            )
    if any(recipe.export != Export() for recipe in recipes):
        from .export import apply_export

        return truth._replace(image=apply_export(image, [recipe.export for recipe in recipes]))
    return truth


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


def _settings(steps: Sequence[Step], like: Tensor) -> tuple[Tensor, Tensor]:
    """Degrees B and variations B 4 of the steps."""
    degrees = like.new_tensor([step.degree for step in steps])
    return degrees, like.new_tensor([step.variation for step in steps])


def _paint(
    truth: Retouched,
    index: Tensor,
    channel: int,
    steps: Sequence[Step],
    points: Tensor,
    algorithm: bank.Algorithm,
) -> None:
    """Apply a photometric algorithm to some rows, in place."""
    images = truth.image[index]
    degrees, variations = _settings(steps, images)
    edit = algorithm(images, degrees, variations, FaceRegions(points, *images.shape[-2:], images))
    truth.image[index] = edit.image
    truth.masks[index, channel] = edit.mask[:, 0]


def _move(
    truth: Retouched,
    index: Tensor,
    channel: int,
    steps: Sequence[Step],
    points: Tensor,
    algorithm: bank.Algorithm,
) -> None:
    """Apply a geometric algorithm to some rows, in place; earlier ground truth moves along."""
    images = truth.image[index]
    degrees, variations = _settings(steps, images)
    flow = algorithm(points, degrees, variations, *images.shape[-2:])
    inverse = invert_flow(flow)

    smooth = variations[:, -1] >= 0.5
    for rows, mode in ((~smooth, "bilinear"), (smooth, "bicubic")):
        if rows.any():
            warped = warp_image(images[rows], flow[rows], mode).clamp(-1, 1)
            still = (flow[rows] == 0).all(1, keepdim=True)
            truth.image[index[rows]] = torch.where(still, images[rows], warped)
    for other in range(truth.masks.shape[1]):
        _carry_along(truth, index, other, flow, inverse)
    truth.flows[index, channel] = inverse
    truth.masks[index, channel] = _motion_mask(inverse)


def _carry_along(
    truth: Retouched, index: Tensor, other: int, flow: Tensor, inverse: Tensor
) -> None:
    """Bring one operation's ground truth into the geometry after a later warp, in place.

    If g undoes the operation before the warp w, then w . g . inverse(w) undoes it after.
    """
    rows = truth.masks[index, other].flatten(1).any(1)
    if not rows.any():
        return
    index, flow, inverse = index[rows], flow[rows], inverse[rows]
    truth.masks[index, other] = warp_image(truth.masks[index, other, None], flow)[:, 0]
    moving = truth.flows[index, other].flatten(1).any(1)
    if moving.any():
        index, flow, inverse = index[moving], flow[moving], inverse[moving]
        truth.flows[index, other] = compose_flows(
            inverse, compose_flows(truth.flows[index, other], flow)
        )


def _motion_mask(flow: Tensor) -> Tensor:
    """Soft indicator, B H W, of motion above what can be seen."""
    visible = VISIBLE_MOTION * min(flow.shape[-2:]) / 256
    return (flow.norm(dim=1) / visible - 0.5).clamp(0, 1)
