"""Which part of the data, and of every step's batch, a process of a distributed run takes."""

from __future__ import annotations

import os
from typing import NamedTuple


class Share(NamedTuple):
    """One of several equal parts.

    Attributes:
        place: which, from 0.
        parts: of how many.
    """

    place: int = 0
    parts: int = 1

    @classmethod
    def of_process(cls) -> Share:
        """This process's part, as `accelerate launch` and `torchrun` say it; else the whole."""
        return cls(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))

    def span(self, total: int) -> range:
        """The places of this part's items among all, which lie together.

        Raises:
            ValueError: there are fewer items than parts.
        """
        if total < self.parts:
            raise ValueError(f"{total} items cannot be shared by {self.parts} processes")
        return range(total * self.place // self.parts, total * (self.place + 1) // self.parts)

    def of_batch(self, size: int) -> int:
        """This part of a step's batch.

        Raises:
            ValueError: the batch cannot be cut into equal parts.
        """
        if size % self.parts:
            below = size - size % self.parts
            near = f"{below} or {below + self.parts}" if below else str(self.parts)
            raise ValueError(
                f"batch_size={size} is the batch of all {self.parts} processes together, which "
                f"take equal parts: set it to {near}"
            )
        return size // self.parts


WHOLE = Share()
