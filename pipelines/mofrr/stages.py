"""A part of a procedure in a room: what it shows is counted as part of the whole."""

from collections.abc import Callable

import torch

from ..room import Result, Room, Share, Work


class Stage:
    """A room for one of several like parts of a procedure.

    Args:
        room: the memory of the whole.
        number: of the part, from 0.
        count: of all parts.
    """

    def __init__(self, room: Room, number: int, count: int) -> None:
        self.room, self.number, self.count = room, number, count
        self.holds_everything = room.holds_everything

    def split(self, work: Work, run: Callable[[Share], Result]) -> Result:
        """As the room of the whole does."""
        return self.room.split(work, run)

    def check(self) -> None:
        """As the room of the whole does."""
        self.room.check()

    def show(self, done: float, steps: int, estimate: torch.Tensor | None) -> None:
        """Shows the part's share of the whole."""
        self.room.show((self.number + done) / self.count, steps * self.count, estimate)
