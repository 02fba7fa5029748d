"""What a procedure over networks needs from whoever owns the memory.

A plain call owns all it needs: `OpenRoom` does nothing. A host that loads and evicts networks,
stops on request and draws a bar brings a room of its own, and runs the same procedure in it.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")


class Work(NamedTuple):
    """Work that one network does, or that needs none."""

    network: str | None  # the component's name
    photos: int  # that could be worked on at once
    height: int  # of a photo, or a part of it, as the network sees it
    width: int
    tiles: bool = True  # whether it can be done in tiles, too
    drawing: bool = False  # whether it draws what an answer leaves, which takes more memory


class Share(NamedTuple):
    """How a work is to be done."""

    photos: int  # at once, at most
    tile: int | None  # side of the tiles that photos are cut into; None: whole
    device: torch.device | None  # where the network is; None: where the photos are


class Room(Protocol):
    """The memory in which a procedure runs."""

    holds_everything: bool
    """Whether all networks and photos may be held at once; else networks and photos take turns."""

    def split(self, work: Work, run: Callable[[Share], Result]) -> Result:
        """Makes the network ready and runs the work on it, in shares that fit."""
        ...

    def check(self) -> None:
        """Raises where the work is to stop."""
        ...

    def show(self, done: float, steps: int, estimate: Tensor | None) -> None:
        """Tells how far the work has come.

        Args:
            done: the part of it that is done, 0 .. 1; less again where some of it began anew in
                smaller shares.
            steps: of how many like steps the work consists.
            estimate: the picture so far, 3 h w around [-1, 1]; None where there is none.
        """
        ...


class OpenRoom:
    """Room for everything at once: nothing is made ready, split, stopped or shown."""

    holds_everything = True

    def split(self, work: Work, run: Callable[[Share], Result]) -> Result:
        """Runs the whole work at once, where the photos are."""
        return run(Share(max(work.photos, 1), None, None))

    def check(self) -> None:
        """Goes on."""

    def show(self, done: float, steps: int, estimate: Tensor | None) -> None:
        """Shows nothing."""


OPEN = OpenRoom()
