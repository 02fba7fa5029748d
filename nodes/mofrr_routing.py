"""What travels on a MOFRR_ROUTING socket: a verdict, and the wishes that change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..pipelines.mofrr.routing import Routing
from ..pipelines.simulate.recipe import OPERATIONS
from .host import io
from .inputs import share_input

RoutingSocket = io.Custom("MOFRR_ROUTING")
AUTO, ON, OFF = "auto", "on", "off"
DECISIONS = (AUTO, ON, OFF)
ESTIMATED = 0.0

WHAT = {
    "whitening": "skin whitening",
    "smoothing": "skin smoothing",
    "face_slimming": "face slimming",
    "eye_enlarging": "eye enlarging",
}


@dataclass(frozen=True)
class Verdict:
    """Which operations are to be undone on each of B pictures.

    Attributes:
        operations: K names.
        routing: probabilities, degrees, active, gates: B K each.
        thresholds: K, the router's.
        available: K, whether the model has the expert.
        clip: whether the pictures are frames of one clip, treated alike.
    """

    operations: tuple[str, ...]
    routing: Routing
    thresholds: tuple[float, ...]
    available: tuple[bool, ...]
    clip: bool = False

    def edited(self, wishes: Mapping[str, str], degrees: Mapping[str, float]) -> Verdict:
        """The verdict with operations forced on or off, and degrees set.

        Raises:
            ValueError: an operation is forced on that the model has no expert for.
        """
        fields = [field.clone() for field in self.routing]
        probabilities, chosen, active, gates = fields
        for place, name in enumerate(self.operations):
            wish, degree = wishes.get(name, AUTO), degrees.get(name, ESTIMATED)
            if wish == ON and not self.available[place]:
                raise ValueError(
                    f"{name} is on, but the model has no expert for it; set it to auto"
                )
            if wish != AUTO:
                active[:, place], gates[:, place] = wish == ON, float(wish == ON)
            if degree != ESTIMATED:
                chosen[:, place] = degree
        return replace(self, routing=Routing(probabilities, chosen, active, gates))

    def running(self, name: str) -> torch.Tensor:
        """On which pictures an expert runs, B bool; the shared one where any other does."""
        if name == "shared":
            return self.routing.active.any(dim=1)
        return self.routing.active[:, self.operations.index(name)]

    def bars(self, worked: Mapping[str, torch.Tensor] | None = None) -> list[dict[str, Any]]:
        """What the frontend draws: for each picture each operation's numbers.

        Args:
            worked: degrees that the experts worked with, B each, where they ran.
        """
        pictures = []
        for row in range(len(self.routing.active)):
            bars = []
            for place, name in enumerate(self.operations):
                degree = float(self.routing.degrees[row, place])
                if worked is not None and name in worked:
                    degree = float(worked[name][row])
                bars.append(
                    {
                        "operation": name,
                        "probability": round(float(self.routing.probabilities[row, place]), 4),
                        "threshold": round(self.thresholds[place], 4),
                        "degree": None if degree != degree else round(degree, 4),
                        "active": bool(self.routing.active[row, place]),
                    }
                )
            pictures.append({"operations": bars})
        return pictures


def report(pictures: list[dict[str, Any]]) -> str:
    """The bars as text, a line for each operation of each picture."""
    lines = []
    for number, picture in enumerate(pictures, 1):
        if len(pictures) > 1:
            lines.append(f"picture {number}")
        for bar in picture["operations"]:
            degree = "estimated by its expert" if bar["degree"] is None else f"{bar['degree']:.2f}"
            undone = f"undone, degree {degree}" if bar["active"] else "left alone"
            lines.append(
                f"{bar['operation']}: probability {bar['probability']:.2f} "
                f"(threshold {bar['threshold']:.2f}), {undone}"
            )
    return "\n".join(lines)


def decision_inputs() -> list[Any]:
    """A switch and a degree for each operation, as inputs of a node."""
    inputs: list[Any] = [
        io.Combo.Input(
            name,
            options=list(DECISIONS),
            default=AUTO,
            tooltip=f"Undo {WHAT[name]}: auto leaves it to the router, on and off decide it.",
        )
        for name in OPERATIONS
    ]
    told = "How strong the {} is: 1 is the strongest, 0 lets it be estimated."
    return inputs + [
        share_input(f"{name}_degree", ESTIMATED, told.format(WHAT[name]), advanced=True)
        for name in OPERATIONS
    ]


def read_decisions(given: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, float]]:
    """The values of `decision_inputs`: wishes and degrees by operation."""
    wishes = {name: given[name] for name in OPERATIONS}
    return wishes, {name: float(given[f"{name}_degree"]) for name in OPERATIONS}
