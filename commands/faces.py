"""`frr restore --faces`: find the faces of a whole photo, restore each, paste the changes back."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from . import options
from .reports import untold

if TYPE_CHECKING:
    from PIL import Image

    from ..pipelines.mofrr.output import MoFRRPipelineOutput
    from ..pipelines.mofrr.pipeline import MoFRRPipeline
    from ..pipelines.photos.detector import FaceDetector
    from ..pipelines.photos.faces import Alignment

ALL, LARGEST = "all", "largest"


class Chosen(click.ParamType):
    """`all`, `largest`, or numbers such as 1,3; face 1 is the largest."""

    name = "all|largest|1,3"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | tuple[int, ...]:
        """Read the option's value."""
        if value in (ALL, LARGEST) or isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(item) for item in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r}: expected all, largest, or numbers such as 1,3", param, ctx)
        if min(numbers) < 1 or len(set(numbers)) < len(numbers):
            self.fail(f"{value!r}: faces are numbered from 1, each named once", param, ctx)
        return numbers


def load_detector() -> FaceDetector:
    """The detector of the `identity` extra.

    Raises:
        click.ClickException: the extra is not installed.
    """
    from ..pipelines.photos.detector import FaceDetector

    try:
        return FaceDetector()
    except ImportError as error:
        raise click.ClickException(f"--faces: {error}") from error


def choose(found: Sequence[Alignment], wish: str | tuple[int, ...]) -> list[int]:
    """Places of the chosen faces among those found, the largest first.

    Raises:
        ValueError: none was found, or none of such a number.
    """
    if not found:
        raise ValueError("no face was found")
    if wish == ALL:
        return list(range(len(found)))
    numbers = (1,) if wish == LARGEST else wish
    if missing := [number for number in numbers if int(number) > len(found)]:
        raise ValueError(f"face {missing[0]} was asked for, but {len(found)} were found")
    return [int(number) - 1 for number in numbers]


def restore_faces(
    pipe: MoFRRPipeline,
    detector: FaceDetector,
    photo: Image.Image,
    wish: str | tuple[int, ...],
    **arguments: Any,
) -> tuple[Image.Image, MoFRRPipelineOutput, list[dict[str, Any]]]:
    """Restore the chosen faces of a whole photo.

    Returns:
        The photo, its alpha channel as it was; of each operation the strongest verdict on any of
        the faces, as the output of a single photo; and what was found of each face.
    """
    import torch

    from ..pipelines.photos.arrays import read_photos, to_signed, write_images
    from ..pipelines.photos.compression import estimate_quality
    from ..pipelines.photos.faces import crop, crop_side, paste

    pixels, alpha = read_photos(photo)[0]
    found = detector.find(pixels)
    places = choose(found, wish)
    faces = [found[place] for place in places]
    before = crop(pixels, faces, crop_side(faces))
    output: Any = pipe(before, output_type="pt", **arguments)
    after = output.images.to(before)
    restored = paste(pixels, faces, before, after)[0]
    picture = write_images([restored], [alpha], "pil")[0]
    records = [_record(pipe, output, row, faces[row], place) for row, place in enumerate(places)]
    spread, sides = output.uncertainty, torch.tensor([round(face.side) for face in faces])
    summary = dataclasses.replace(
        output,
        images=restored[None],
        routing=output.routing.amax(0, keepdim=True),
        degrees=output.degrees.amax(0, keepdim=True),
        active=output.active.any(0, keepdim=True),
        native_size=sides.amax(0, keepdim=True),
        quality=estimate_quality(to_signed(pixels[None])),
        told=output.told.any(0, keepdim=True),
        uncertainty=None if spread is None else torch.as_tensor(spread).mean(0, keepdim=True),
    )
    return picture, summary, records  # pyright: ignore[reportReturnType]


def _record(
    pipe: MoFRRPipeline, output: Any, row: int, face: Alignment, place: int
) -> dict[str, Any]:
    corners = [[round(number, 1) for number in corner] for corner in face.corners().tolist()]
    names = pipe.operations
    return {
        "face": place + 1,
        "corners": corners,
        "routing": options.by_name(names, output.routing[row]),
        "degrees": options.by_name(names, output.degrees[row]),
        "active": [name for name, on in zip(names, output.active[row], strict=True) if on],
        "native_size": round(face.side),
        "untold": list(untold(names, output, row)),
    }
