"""Clips: judged as a whole, read a few frames at a time: memory does not grow with length.

The verdict is the mean over all frames, and so are the degrees that experts estimate. Each frame is
then restored by them, from the same noise.
"""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor

from ..photos.arrays import to_signed, working_shape
from ..room import OPEN, Room, Work
from .direct import denoises
from .estimating import estimated_degrees
from .request import Request, read_degrees, read_operations
from .restoration import MoFRRRestoration
from .routing import Estimate, Routing, decide

PIXELS_AT_ONCE = 2**22  # of frames that are worked on together
FRAMES_AT_ONCE = 16  # more make nothing quicker


class Frames(Protocol):
    """F frames of one size, made when they are asked for; a tensor F 3 H W is one, too."""

    def __len__(self) -> int:
        """F."""
        ...

    def __getitem__(self, rows: slice, /) -> Tensor:
        """Some frames in their order, n 3 H W in [0, 1]."""
        ...


def parts(frames: int, pixels: int) -> list[slice]:
    """The frames of a clip in groups of like size that are worked on together.

    Args:
        frames: of the clip.
        pixels: of one frame.
    """
    most = max(1, min(FRAMES_AT_ONCE, PIXELS_AT_ONCE // max(pixels, 1)))
    count = math.ceil(frames / most)
    ends = [frames * number // count for number in range(count + 1)] if count else [0]
    return [slice(*pair) for pair in pairwise(ends)]


class MoFRRClips(MoFRRRestoration):
    """The verdict on clips as a method of a pipeline with the parts `MoFRRPipeline` describes."""

    @torch.no_grad()
    def route_clip(
        self, frames: Frames, request: Request, groups: Sequence[slice], room: Room = OPEN
    ) -> Routing:
        """Decides what is to be undone on a clip; the same for each of its F frames.

        A group of frames is then restored by `restore` with the routing's `of(group)`.

        Args:
            frames: F 3 H W in [0, 1].
            request: what is asked of them; its `clip` is True.
            groups: as `parts` gives them.
            room: the memory to do it in.
        """
        wishes, size = (request.operations, request.degrees), request.working_size
        if len(groups) == 1:
            return self.route(to_signed(frames[groups[0]]), *wishes, size, True, room)
        estimates, side = [], None
        for rows in groups:  # what was seen of the frames is not kept
            found = self.route(to_signed(frames[rows]), *wishes, size, room=room)
            estimates.append(found.estimate)
            side = found.side
        decided = decide(
            Estimate.joined(estimates).of_clip(),
            read_operations(request.operations, self.operations),
            read_degrees(request.degrees, self.operations),
            tuple(self.available.values()),
        )._replace(side=side)
        return decided._replace(degrees=self._degrees_of(frames, decided, request, groups, room))

    def _degrees_of(
        self,
        frames: Frames,
        routing: Routing,
        request: Request,
        groups: Sequence[slice],
        room: Room,
    ) -> Tensor:
        """The degrees F K of a clip: those that denoisers estimate are the mean over all frames."""
        degrees = routing.degrees.clone()
        for place, name in enumerate(self.operations):
            expert: Any = self._expert(name)
            if not denoises(expert) or not expert.estimates_degrees:
                continue
            if routing.active[:, place].any() and degrees[:, place].isnan().any():
                size = request.working_size
                estimates = [self._estimates(name, frames[rows], size, room) for rows in groups]
                degrees[:, place] = torch.cat(estimates).mean().to(degrees)
        return degrees

    def _estimates(self, name: str, pixels: Tensor, working_size: Any, room: Room) -> Tensor:
        """What an expert makes of its degree on photos n 3 H W in [0, 1], n."""
        photo = to_signed(pixels)
        shape = working_shape(photo, self._size(working_size))
        reduce = partial(self._working, working_size=working_size)
        expert = self._expert(name)
        return room.split(
            Work(f"{name}_expert", len(photo), *shape, tiles=False),
            lambda share: estimated_degrees(expert, photo, reduce, share),
        )
