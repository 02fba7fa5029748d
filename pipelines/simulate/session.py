"""One visit to a beauty app: its engine's order and by-products, and any of its operations.

An engine does things in an order of its own (texture, then tone, then finishing; warps first or
last, sampled once or one after the other), and much of what it does has no name among the
operations: sharpening, grading, a rosy tint. Those by-products are the session's, whatever
operations are switched on, so they stay in a photo whose operations are undone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from . import bank, effects
from .landmarks import FaceRegions
from .recipe import SPLITS, VARIATIONS, Step
from .warp import compose_flows, invert_flow, linear_mesh, warp_image

MESH_CELLS = (20, 200)
"""Cells along the shorter side of the meshes on which engines draw warped photos."""

Finish = tuple[str, float, tuple[float, ...]]
"""A by-product: its name among `FINISHES`, its amount in [0, 1] and its variations."""


@dataclass(frozen=True)
class Session:
    """What an app would do to a photo.

    Attributes:
        steps: by operation what its slider does, in the engine's order of photometric steps.
        finishes: by-products, applied after the photometric steps of every version.
        warps_first: whether structure is moved before the photometric steps.
        resampled_once: whether warps are joined and the photo is sampled once.
        resampling: how warps sample, one of `warp.MODES`.
        mesh_cells: cells along the shorter side of a textured mesh, linear in between, that warps
            are drawn on; 0 = each pixel has its own motion.
    """

    steps: Mapping[str, Step] = field(default_factory=dict)
    finishes: tuple[Finish, ...] = ()
    warps_first: bool = False
    resampled_once: bool = True
    resampling: str = "bilinear"
    mesh_cells: int = 0


class Versions(NamedTuple):
    """V versions of one photo, each with some of a session's operations; K operations.

    Attributes:
        image: V 3 H W in [-1, 1].
        undoing: K 2 H W in pixels, the flow that undoes each operation of the session; zeros for
            photometric ones.
        effects: V K, the effect sizes, 0 where an operation was not applied; see `effects`.
    """

    image: Tensor
    undoing: Tensor
    effects: Tensor


def sample_session(
    rng: np.random.Generator,
    operations: Sequence[str],
    *,
    split: str = "seen",
    degrees: tuple[float, float] = (0.05, 1.0),
) -> Session:
    """Draw an app: an algorithm and a slider for each operation, an order, and by-products.

    Args:
        rng: source of all randomness.
        operations: those that the app offers.
        split: "seen" algorithms (training), "unseen" ones (held out), or "all".
        degrees: range of the degrees, drawn with more of the strong ones.

    Raises:
        ValueError: for an unknown operation or split.
    """
    if split not in SPLITS:
        raise ValueError(f"Expected a split among {SPLITS}, got {split!r}.")
    names = [name for name in operations if name not in bank.GEOMETRIC]
    if rng.random() < 0.7:  # texture before tone in most engines
        names.sort(key=lambda name: name in bank.TONAL)
    else:
        names = [names[i] for i in rng.permutation(len(names))]
    names += [name for name in operations if name in bank.GEOMETRIC]
    steps = {name: _sample_step(rng, name, split, degrees) for name in names}
    return Session(
        steps,
        _sample_finishes(rng),
        warps_first=bool(rng.random() < 0.3),
        resampled_once=bool(rng.random() < 0.5),
        **_sample_resampling(rng),
    )


def _sample_resampling(rng: np.random.Generator) -> dict[str, Any]:
    """How the engine samples: bilinear mostly, some on a mesh, few to the nearest pixel."""
    chance = rng.random()
    if chance < 0.15:
        low, high = MESH_CELLS
        return {"mesh_cells": round(low * (high / low) ** float(rng.random()))}
    if chance < 0.2:
        return {"resampling": "nearest"}
    return {"resampling": "bicubic" if chance < 0.4 else "bilinear"}


def _sample_step(
    rng: np.random.Generator, operation: str, split: str, degrees: tuple[float, float]
) -> Step:
    choices = {"seen": bank.seen, "unseen": bank.unseen, "all": bank.algorithms}[split](operation)
    algorithm = choices[rng.integers(len(choices))]
    variation = tuple(float(v) for v in rng.random(VARIATIONS))
    low, high = degrees
    degree = low + (high - low) * float(rng.random()) ** 0.6  # apps are opened to be seen at work
    return Step(operation, algorithm, degree, variation)


def _sample_finishes(rng: np.random.Generator) -> tuple[Finish, ...]:
    drawn = []
    for name, probability in bank.FINISHES.items():
        if rng.random() < probability:
            variation = tuple(float(v) for v in rng.random(VARIATIONS))
            drawn.append((name, float(rng.random()), variation))
    return tuple(drawn)


@torch.no_grad()
def perform(
    session: Session, photo: Tensor, points: Tensor, choices: Sequence[Collection[str]]
) -> Versions:
    """Versions of a photo, each with those of the session's operations that are chosen for it.

    Args:
        session: the app.
        photo: 1 3 H W in [-1, 1].
        points: 1 478 2, mesh points in shares of width and height.
        choices: for each version the operations switched on.

    Raises:
        ValueError: for a chosen operation that the session does not have.
    """
    if unknown := {name for chosen in choices for name in chosen} - set(session.steps):
        raise ValueError(
            f"The session has the operations {list(session.steps)}, not {sorted(unknown)}."
        )
    operations = list(session.steps)
    flows = _flows(session, points, *photo.shape[-2:])
    measured = photo.new_zeros(len(choices), len(operations))
    image = photo.repeat(len(choices), 1, 1, 1)
    if session.warps_first:
        image = _move(image, session, flows, choices)
    for place, name in enumerate(operations):
        rows = [row for row, chosen in enumerate(choices) if name in chosen]
        if not rows:
            continue
        if name in flows:
            measured[rows, place] = effects.of_motion(name, flows[name], points)
            continue
        before = image[rows]
        image[rows] = after = _paint(session.steps[name], before, points)
        measured[rows, place] = effects.of_change(name, before, after, points)
    image = _finish(image, session, points)
    if not session.warps_first:
        image = _move(image, session, flows, choices)
    undoing = photo.new_zeros(len(operations), 2, *photo.shape[-2:])
    for place, name in enumerate(operations):
        if name in flows:
            undoing[place] = invert_flow(flows[name])[0]
    return Versions(image.clamp_(-1, 1), undoing, measured)


def _flows(session: Session, points: Tensor, height: int, width: int) -> dict[str, Tensor]:
    """The flow 1 2 H W of each geometric operation."""
    flows = {}
    for name, step in session.steps.items():
        if name in bank.GEOMETRIC:
            degree, variation = _settings(step, points)
            algorithm = bank.ALGORITHMS[name][step.algorithm]
            flow = algorithm(points, degree, variation, height, width)
            if session.mesh_cells:
                flow = linear_mesh(flow, torch.tensor([session.mesh_cells]))
            flows[name] = flow
    return flows


def _settings(step: Step, like: Tensor) -> tuple[Tensor, Tensor]:
    return like.new_tensor([step.degree]), like.new_tensor([step.variation])


def _paint(step: Step, images: Tensor, points: Tensor) -> Tensor:
    """A photometric step on N versions N 3 H W."""
    count = len(images)
    degree, variation = (x.expand(count, *x.shape[1:]) for x in _settings(step, points))
    points = points.expand(count, -1, -1)
    height, width = images.shape[-2:]
    face = FaceRegions(points, height, width, images)
    return bank.ALGORITHMS[step.operation][step.algorithm](images, degree, variation, face).image


def _finish(images: Tensor, session: Session, points: Tensor) -> Tensor:
    points = points.expand(len(images), -1, -1)
    height, width = images.shape[-2:]
    for name, amount, variation in session.finishes:
        face = FaceRegions(points, height, width, images)
        amounts = points.new_full((len(images),), amount)
        variations = points.new_tensor([variation]).expand(len(images), -1)
        images = bank.finish(name)(images, amounts, variations, face)
    return images


def _move(
    images: Tensor,
    session: Session,
    flows: Mapping[str, Tensor],
    choices: Sequence[Collection[str]],
) -> Tensor:
    """Warps each version by the flows chosen for it, versions of one choice together."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for row, chosen in enumerate(choices):
        groups.setdefault(tuple(name for name in flows if name in chosen), []).append(row)
    for names, rows in groups.items():
        chain = [flows[name] for name in names]
        if session.resampled_once and len(chain) > 1:
            joined = chain[0]
            for flow in chain[1:]:
                joined = compose_flows(joined, flow)
            chain = [joined]
        for flow in chain:
            spread = flow.expand(len(rows), -1, -1, -1)
            images[rows] = warp_image(images[rows], spread, session.resampling)
    return images
