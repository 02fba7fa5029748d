"""Clips restored a few frames at a time: filled by one face, or each person by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..pipelines.mofrr.clips import Frames, parts
from ..pipelines.mofrr.output import Restoration
from ..pipelines.mofrr.routing import Routing
from ..pipelines.mofrr.stages import Stage
from ..pipelines.photos.tracks import Track, follow
from . import host
from .clip_frames import Filled, HostFrames, Person
from .face_choice import (
    ALL,
    FAIL,
    LARGEST,
    NO_FACE,
    NUMBERED,
    PASS,
    FaceChoice,
    FoundFaces,
    find_faces,
)
from .mofrr_faces import FEATHER, Asked
from .mofrr_routing import Verdict, leave_alone


class RestoredClip(NamedTuple):
    """What came of F frames."""

    planes: tuple[Tensor, ...]  # the host's: image, difference and uncertainty
    verdict: Verdict | None  # with several people on the one who is largest
    bars: list[dict[str, Any]]  # for the clip, or each person, what the frontend draws
    told: str  # who was found, and how


class ClipRestorer:
    """Restores clips in the host's memory.

    Args:
        asked: a model and what is asked of it.
    """

    def __init__(self, asked: Asked) -> None:
        self.asked, self.pipeline = asked, asked.model.pipeline
        self.room = host.HostRoom(asked.model)

    def restore(
        self, frames: HostFrames, choice: FaceChoice, boxes: Any, landmarks: Any
    ) -> RestoredClip:
        """Restore frames that are filled by a face, or the faces in them."""
        every = choice._replace(faces=ALL) if choice.faces in (LARGEST, NUMBERED) else choice
        found = find_faces(frames, every, boxes, landmarks)
        if found is None:
            return self._framed(frames, choice)
        people = [Person(frames, track) for track in _chosen(follow(found.frames), choice)]
        if not people and choice.no_face == FAIL:
            raise ValueError(f"{NO_FACE} in more than a few frames; set no_face to {PASS}")
        if not people:
            return _as_it_came(frames, found)
        told = f"{len(people)} person(s) in {len(frames)} frames, found by {found.by}\n"
        return self._people(frames, people)._replace(told=told)

    def _framed(self, frames: HostFrames, choice: FaceChoice) -> RestoredClip:
        empty = self.asked.faceless(frames, choice, clip=True)
        self.asked = self.asked.of(empty)
        groups = parts(len(frames), frames.height * frames.width)
        routing = self._route(frames, groups)
        verdict = self._verdict(routing, empty)
        filled, bars = Filled(len(frames)), []
        for number, rows in enumerate(groups):
            result = self._part(frames[rows], routing.of(rows), (number, len(groups)))
            filled.put(rows, frames.written(rows, result.images, result.uncertainty))
            bars = bars or _bar(verdict, result, f"clip of {len(frames)} frames")
        return RestoredClip(filled.planes, verdict, bars, "")

    def _people(self, frames: HostFrames, people: Sequence[Person]) -> RestoredClip:
        largest = max(frames.height * frames.width, *(person.side**2 for person in people))
        groups = parts(len(frames), largest)
        routings = [self._route(person, parts(len(person), largest)) for person in people]
        verdicts = [self._verdict(routing, ()) for routing in routings]
        filled, bars = Filled(len(frames)), {}
        for number, rows in enumerate(groups):
            images = pixels = frames[rows]
            spread = torch.zeros_like(pixels[:, :1])
            for who, person in enumerate(people):
                faces = person.cut(pixels, rows)
                if not len(faces.crops):
                    continue
                turn = number * len(people) + who, len(groups) * len(people)
                result = self._part(faces.crops, routings[who].of(person.rows(rows)), turn)
                images, _ = faces.paste(images, result.images, FEATHER, match_colour=True)
                if result.uncertainty is not None:
                    laid = faces.lay(result.uncertainty, pixels, FEATHER)[0]
                    spread = torch.maximum(spread, laid)
                if who not in bars:
                    (bars[who],) = _bar(verdicts[who], result, f"person {who + 1}")
            filled.put(rows, frames.written(rows, images, spread))
        for who, person in enumerate(people):
            outside = None if person.visible else "its box lies outside the picture"
            leave_alone([bars[who]], [outside])
        return RestoredClip(filled.planes, verdicts[0], [bars[who] for who in sorted(bars)], "")

    def _route(self, frames: Frames, groups: Sequence[slice]) -> Routing:
        return self.pipeline.route_clip(frames, self.asked.request, groups, self.room)

    def _part(self, pixels: Tensor, routing: Routing, turn: tuple[int, int]) -> Restoration:
        """A few frames as the clip's verdict says, all from the same noise; which part of all."""
        request, generator = self.asked.request, self.asked.generator()
        room = Stage(self.room, *turn)
        return self.pipeline.restore(pixels, request, generator, room=room, routing=routing)

    def _verdict(self, routing: Routing, empty: Sequence[bool]) -> Verdict:
        return Verdict.of(self.pipeline, routing, True, self.asked.wishes, empty)


def _chosen(tracks: Sequence[Track], choice: FaceChoice) -> list[Track]:
    """Those people that are meant: who is largest in one frame may not be in the next."""
    seen = [[face for face in track if face is not None] for track in tracks]
    middles = [faces[len(faces) // 2] for faces in seen]
    return [tracks[middles.index(face)] for face in choice.of(middles)]


def _bar(verdict: Verdict, result: Restoration, label: str) -> list[dict[str, Any]]:
    """What the frontend draws of a verdict that all frames share."""
    shape = verdict.routing.active.shape
    worked, ran = (each[:1].expand(shape) for each in (result.degrees, result.active))
    return [{**verdict.bars(worked, ran)[0], "label": label, "picture": None}]


def _as_it_came(frames: HostFrames, found: FoundFaces) -> RestoredClip:
    """A clip in which nobody was found."""
    filled = Filled(len(frames))
    for rows in parts(len(frames), frames.height * frames.width):
        filled.put(rows, frames.written(rows, frames[rows], None))
    return RestoredClip(filled.planes, None, [], f"{NO_FACE} by {found.by}: nothing was done")
