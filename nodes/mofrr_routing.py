"""What travels on a MOFRR_ROUTING socket: a verdict, and the wishes that change it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..models.mofrr.contract import ESTIMATED
from ..pipelines.arguments import check_fraction
from ..pipelines.mofrr.components import SHARED
from ..pipelines.mofrr.routing import Estimate, Routing, check_experts, decide
from ..pipelines.operations import OPERATIONS, label
from .host import io
from .inputs import share_input

RoutingSocket = io.Custom("MOFRR_ROUTING")
AUTO, ON, OFF = "auto", "on", "off"
DECISIONS: dict[str, bool | None] = {AUTO: None, ON: True, OFF: False}
Wishes = tuple[dict[str, bool | None], dict[str, float]]  # operations, and degrees that are given


@dataclass(frozen=True)
class Verdict:
    """Which operations are to be undone on each of B pictures.

    Attributes:
        estimate: the router's.
        available: of each of K operations whether the model has the expert.
        wishes: of each operation True, False or None: the router decides.
        degrees: of each operation in [0, 1]; NaN: to be estimated.
        clip: whether the pictures are frames of one clip, treated alike.
        side: the pictures' shorter side in pixels, None where it is not known.
        faceless: of each picture whether it shows no face; empty: nobody looked.
    """

    estimate: Estimate
    available: Mapping[str, bool]
    wishes: tuple[bool | None, ...]
    degrees: tuple[float, ...]
    clip: bool = False
    side: int | None = None
    faceless: tuple[bool, ...] = ()

    @property
    def operations(self) -> tuple[str, ...]:
        """K names."""
        return tuple(self.available)

    @property
    def routing(self) -> Routing:
        """What follows for each picture, B K each."""
        return decide(self.estimate, self.wishes, self.degrees, tuple(self.available.values()))

    @classmethod
    def of(
        cls,
        pipe: Any,
        routing: Routing,
        clip: bool,
        wishes: Wishes | None = None,
        faceless: Sequence[bool] = (),
    ) -> Verdict:
        """A pipeline's routing, and the wishes that it followed; none on pictures without a face.

        See `edited` for what it raises.
        """
        count, estimate = len(pipe.operations), routing.estimate
        if any(faceless):
            told = torch.ones_like(routing.active) if estimate.told is None else estimate.told
            estimate = estimate._replace(told=told & ~torch.tensor(faceless)[:, None])
        free = cls(estimate, pipe.available, (None,) * count, (ESTIMATED,) * count, clip)
        free = replace(free, side=routing.side, faceless=tuple(faceless))
        return free if wishes is None else free.edited(*wishes)

    def edited(self, wishes: Mapping[str, bool | None], degrees: Mapping[str, float]) -> Verdict:
        """The verdict with operations forced on or off, and degrees set; what is not stays.

        Raises:
            ValueError: an operation is forced on that the model has no expert for.
        """
        pairs = zip(self.operations, self.wishes, self.degrees, strict=True)
        chosen = [
            (own if (wish := wishes.get(name)) is None else wish, degrees.get(name, degree))
            for name, own, degree in pairs
        ]
        check_experts([wish for wish, _ in chosen], self.available, has_router=True)
        return replace(
            self,
            wishes=tuple(wish for wish, _ in chosen),
            degrees=tuple(degree for _, degree in chosen),
        )

    def running(self, name: str) -> Tensor:
        """On which pictures an expert runs, B bool; the shared one where any other does."""
        if name == SHARED:
            return self.routing.active.any(dim=1)
        return self.routing.active[:, self.operations.index(name)]

    def bars(self, worked: Tensor | None = None, ran: Tensor | None = None) -> list[dict[str, Any]]:
        """What the frontend draws: for each picture each operation's numbers.

        Args:
            worked: B K, degrees that the experts worked with.
            ran: B K, where they did.
        """
        routing = self.routing
        degrees = routing.degrees
        if worked is not None and ran is not None:
            degrees = torch.where(ran, worked, degrees)
        told = torch.ones_like(routing.active)
        told = told if self.estimate.told is None else self.estimate.told
        rows = zip(routing.probabilities, degrees, routing.active, told, strict=True)
        bars = [
            {"operations": self._bars_of(*row), **photo}
            for row, photo in zip(rows, self._photos(), strict=True)
        ]
        for picture, empty in zip(bars, self.faceless, strict=False):
            if empty:
                picture["faceless"] = True
        return bars

    def _photos(self) -> list[dict[str, Any]]:
        """What the verdict stands on: each picture's size, and JPEG quality as its pixels show.

        None for both where the router does not read pictures at their own size.
        """
        if self.estimate.quality is None:
            return [{"side": None, "quality": None}] * len(self.estimate.probabilities)
        found = self.estimate.quality.tolist()
        qualities = [None if math.isnan(quality) else round(quality) for quality in found]
        return [{"side": self.side, "quality": each} for each in qualities]

    def _bars_of(
        self, probabilities: Tensor, degrees: Tensor, active: Tensor, told: Tensor
    ) -> list[dict[str, Any]]:
        return [
            {
                "operation": name,
                "probability": round(float(probabilities[place]), 4),
                "threshold": round(self.estimate.thresholds[place], 4),
                "degree": None if degrees[place].isnan() else round(float(degrees[place]), 4),
                "active": bool(active[place]),
                "told": bool(told[place]),
            }
            for place, name in enumerate(self.operations)
        ]


def leave_alone(pictures: list[dict[str, Any]], reasons: Sequence[str | None]) -> None:
    """Marks in the bars the pictures of which nothing was undone, whatever was found, and why."""
    for picture, reason in zip(pictures, reasons, strict=True):
        for bar in picture["operations"] if reason else ():
            if bar["active"]:
                bar.update(active=False, left_alone=reason)


def report(pictures: list[dict[str, Any]]) -> str:
    """The bars as text, a line for each operation of each picture."""
    lines = []
    for number, picture in enumerate(pictures, 1):
        if len(pictures) > 1 or "label" in picture:
            lines.append(picture.get("label", f"picture {number}"))
        if picture.get("faceless"):
            lines.append("no face found: there is nothing to judge")
            if not any(bar["active"] for bar in picture["operations"]):
                continue
        for bar in picture["operations"]:
            degree = "estimated by its expert" if bar["degree"] is None else f"{bar['degree']:.2f}"
            reason = f" since {bar['left_alone']}" if "left_alone" in bar else ""
            undone = f"undone, degree {degree}" if bar["active"] else f"left alone{reason}"
            verdict = (
                f"probability {bar['probability']:.2f} (threshold {bar['threshold']:.2f})"
                if bar["told"]
                else "too small or too compressed to tell"
            )
            lines.append(f"{label(bar['operation'])}: {verdict}, {undone}")
        if picture["side"] is not None:
            quality = picture["quality"]
            saved = "no trace of JPEG" if quality is None else f"last saved at JPEG {quality}"
            lines.append(f"{picture['side']} px, {saved}")
    return "\n".join(lines)


def decision_inputs() -> list[Any]:
    """A switch and a degree for each operation, as inputs of a node."""
    inputs: list[Any] = [
        io.Combo.Input(
            name,
            options=list(DECISIONS),
            default=AUTO,
            tooltip=f"Undo {label(name)}: auto leaves it to the router, on and off decide it.",
        )
        for name in OPERATIONS
    ]
    tooltip = "How strong the {} is: 1 is the strongest, 0 lets it be estimated."
    return inputs + [
        share_input(f"{name}_degree", 0.0, tooltip.format(label(name)), advanced=True)
        for name in OPERATIONS
    ]


def read_decisions(given: Mapping[str, Any], operations: Sequence[str]) -> Wishes:
    """The values of `decision_inputs`: wishes, and the degrees that are not to be estimated.

    Args:
        given: by input.
        operations: those that the model knows.

    Raises:
        ValueError: an operation is on that the model does not know.
    """
    wishes = {name: DECISIONS[given[name]] for name in OPERATIONS}
    strangers = [name for name, wish in wishes.items() if wish and name not in operations]
    if strangers:
        raise ValueError(
            f"{', '.join(strangers)} is on, but the model knows {', '.join(operations)} only; set "
            "it to auto, or load a model that knows it"
        )
    known = [name for name in OPERATIONS if name in operations]
    degrees = {name: check_fraction(f"{name}_degree", given[f"{name}_degree"]) for name in known}
    return (
        {name: wishes[name] for name in known},
        {name: degree for name, degree in degrees.items() if degree > 0},
    )
