"""Which faces of whole photos a node works on: its inputs, and where those faces are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ..pipelines.mofrr.clips import Frames as Photos
from ..pipelines.photos.faces import Alignment
from ..pipelines.photos.finder import FaceFinder
from . import host
from .face_crops import Frames, read_faces
from .host import io
from .photos import read_landmarks, read_rectangles

FRAMED, ALL, LARGEST, NUMBERED, IN_BOXES = "as framed", "all", "largest", "by number", "in boxes"
FOUND, BY_SIZE, BY_PLACE = "as found", "largest first", "left to right"
PASS, FAIL, IGNORE = "pass through", "error", "do not look"
NO_FACE = "no face found"
LOOKED_AT = 8  # photos that the host's detector gets at once
MOST = 64  # faces of a picture that can be counted to


class FaceChoice(NamedTuple):
    """The values of `choice_inputs`."""

    faces: str = FRAMED
    order: str = FOUND
    number: int = 1
    no_face: str = PASS

    def of(self, faces: Sequence[Alignment]) -> list[Alignment]:
        """Those faces of a picture that are meant, in the order asked for."""
        keys = {BY_SIZE: lambda face: -face.side, BY_PLACE: lambda face: _centre(face)[0]}
        ordered = sorted(faces, key=keys[self.order]) if self.order in keys else list(faces)
        if self.faces == LARGEST:
            return sorted(faces, key=lambda face: -face.side)[:1]
        if self.faces == NUMBERED:
            return ordered[self.number - 1 : self.number]
        return ordered


class FoundFaces(NamedTuple):
    """Where the faces are."""

    frames: Frames
    by: str  # what found them

    @property
    def number(self) -> int:
        """Of faces in all pictures."""
        return sum(map(len, self.frames))


def faces_input(options: Sequence[str], tooltip: str, **more: Any) -> Any:
    """Which faces."""
    return io.Combo.Input(
        "faces", options=list(options), default=options[0], tooltip=tooltip, **more
    )


def choice_inputs(no_face: Sequence[str], **more: Any) -> list[Any]:
    """How faces are counted, which one is meant, and what happens where there is none."""
    return [
        io.Combo.Input(
            "order",
            options=[FOUND, BY_SIZE, BY_PLACE],
            default=FOUND,
            optional=True,
            tooltip="How faces are counted; as found keeps the boxes' order, else largest first.",
            **more,
        ),
        io.Int.Input(
            "number",
            default=1,
            min=1,
            max=MOST,
            optional=True,
            tooltip="Which face of each picture, counted from 1, where faces is by number.",
            **more,
        ),
        no_face_input(no_face, **more),
    ]


def no_face_input(options: Sequence[str], **more: Any) -> Any:
    """What happens where there is no face."""
    return io.Combo.Input(
        "no_face",
        options=list(options),
        default=options[0],
        optional=True,
        tooltip=(
            "A picture without a face: pass it through unchanged and say so in the report, or stop "
            "with an error"
            + ("; do not look takes every picture for a face." if IGNORE in options else ".")
        ),
        **more,
    )


def restored_faces_inputs() -> list[Any]:
    """The inputs of a node that works on pictures of one face, or on the faces of photos."""
    options = (FRAMED, ALL, LARGEST, NUMBERED, IN_BOXES)
    tooltip = (
        "as framed: one face fills each picture, or boxes or landmarks are connected. Else faces "
        "are looked for, each is worked on by itself and pasted back: all, the largest, one by "
        "its number, or those inside the boxes."
    )
    chosen = faces_input(options, tooltip, optional=True)
    return [chosen, *choice_inputs((PASS, FAIL, IGNORE), advanced=True)]


def find_faces(
    pixels: Photos, choice: FaceChoice, boxes: Any, landmarks: Any, margin: float = 1.0
) -> FoundFaces | None:
    """The faces of photos B 3 H W that are meant; None where each photo is filled by one.

    Raises:
        ValueError: none was found and that is to be an error, or inputs that do not fit.
    """
    named = None if choice.faces == IN_BOXES else read_faces(boxes, landmarks, len(pixels), margin)
    if named is None and choice.faces == FRAMED:
        return None
    found = _look(pixels, margin) if named is None else FoundFaces(named, "what is connected")
    frames = found.frames
    if choice.faces == IN_BOXES:
        frames = _inside(frames, boxes, len(pixels))
    found = found._replace(frames=[choice.of(frame) for frame in frames])
    if not found.number and choice.no_face == FAIL:
        raise ValueError(
            f"{NO_FACE}; connect boxes or landmarks that name one, choose other faces, or set "
            f"no_face to {PASS}"
        )
    return found


def faceless(pixels: Photos, choice: FaceChoice, clip: bool = False) -> list[bool]:
    """Of photos that a face should fill, whether each shows none.

    Args:
        pixels: B 3 H W.
        choice: whether to look, and what to do.
        clip: the photos are frames of one clip, of which three are looked at.

    Raises:
        ValueError: a photo shows none and that is to be an error.
    """
    finder = None if choice.no_face == IGNORE else _finder()
    if finder is None:
        return [False] * len(pixels)
    places = sorted({0, len(pixels) // 2, len(pixels) - 1}) if clip else range(len(pixels))
    seen = [finder.sees(pixels[place : place + 1][0]) for place in places]
    empty = [not any(seen)] * len(pixels) if clip else [not each for each in seen]
    if any(empty) and choice.no_face == FAIL:
        raise ValueError(f"picture {empty.index(True) + 1}: {NO_FACE}; expected one that fills it")
    return empty


def _look(pixels: Photos, margin: float) -> FoundFaces:
    """Faces of the host's own detector, else of dlib's."""
    found: list[list[Alignment]] = []
    for start in range(0, len(pixels), LOOKED_AT):
        part = pixels[start : start + LOOKED_AT]
        marks = host.find_landmarks(part.movedim(1, -1))
        if marks is None:
            return _look_by_dlib(pixels, margin)
        found += read_landmarks(marks, len(part), margin)
    return FoundFaces(found, "the host's MediaPipe")


def _look_by_dlib(pixels: Photos, margin: float) -> FoundFaces:
    finder = _finder()
    if finder is None:
        raise ValueError(
            "neither boxes nor landmarks are connected, and dlib, which finds faces, is not "
            "installed; connect one of them, or run: pip install dlib-bin"
        )
    found = []
    for place in range(len(pixels)):
        host.check_interrupted()
        found.append(finder.find(pixels[place : place + 1][0], margin))
    return FoundFaces(found, finder.name)


def _finder() -> FaceFinder | None:
    try:
        return FaceFinder()
    except ImportError:
        return None


def _centre(face: Alignment) -> tuple[float, float]:
    x, y = face.corners().mean(0).tolist()
    return x, y


def _inside(frames: Frames, boxes: Any, batch: int) -> Frames:
    """The faces whose centre lies in one of the boxes of their picture."""
    if boxes is None:
        raise ValueError(f"faces is {IN_BOXES}, but no boxes are connected")
    kept = []
    for frame, rectangles in zip(frames, read_rectangles(boxes, batch), strict=True):
        inside = [
            face
            for face in frame
            for x, y in [_centre(face)]
            if any(r.x <= x <= r.x + r.width and r.y <= y <= r.y + r.height for r in rectangles)
        ]
        kept.append(inside)
    return kept
