"""Candidates as pictures: a photo, what is made of it, samples, how far they differ, the truth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image

from ...pipelines.photos.arrays import to_signed, to_unit
from ...pipelines.photos.drawings import map_picture, panel, stacked, to_picture
from ...pipelines.simulate.effects import FELT
from ..data.native_capture import NativeFaces
from .conditions import face_seed
from .evaluate_native import decibels
from .native_candidates import UNITS
from .native_world import Photo, World, photos_of

SHOWN = 3
"""How many samples are shown."""
WHITE = 16 / 255
"""What of `uncertainty` is shown white."""


def candidate_panel(
    pipe: Any, faces: NativeFaces, world: World, *, photos: int = 12, seed: int = 0
) -> Image.Image | None:
    """One row for each photo: as it came, the image, samples, uncertainty, the truth.

    Faces, operations and families of algorithms change from row to row; the operation is given,
    its degree is not. Over each picture stands its PSNR in dB against the truth.

    Args:
        pipe: a MoFRRPipeline with a router and experts that answer at once.
        faces: whom the photos show; people that training has not seen.
        world: how photos are made.
        photos: rows at most; fewer where operations changed too little to be felt.
        seed: of the samples.

    Returns:
        The picture, as wide as its largest row; None where operations changed no face so much that
        it can be felt.
    """
    rows = [_row(pipe, photo, seed) for photo in _photos(pipe, faces, world, photos)]
    return stacked(rows) if rows else None


def _photos(pipe: Any, faces: NativeFaces, world: World, count: int) -> Iterator[Photo]:
    names = [name for name in pipe.operations if name in UNITS]
    for row, (face, side) in enumerate(world.shown(faces, count)):
        name, split = names[row % len(names)], world.splits[row // len(names) % len(world.splits)]
        for photo in photos_of(face, side, split, world, tuple(pipe.operations)):
            if photo.condition == name and photo.effects[name] >= FELT[name]:
                yield photo


@torch.no_grad()
def _row(pipe: Any, photo: Photo, seed: int) -> Image.Image:
    image = photo.image.to(pipe.device)
    output = pipe(
        to_unit(image),
        operations={photo.condition},
        num_samples=SHOWN,
        generator=torch.Generator().manual_seed(face_seed(seed, photo.condition)),
        output_type="pt",
    )
    samples = [to_signed(each.image[None]) for each in output.candidates[0]]
    target = photo.target.to(image)
    shown = [("photo", image), ("image", to_signed(output.images))]
    shown += [(f"sample {number}", each) for number, each in enumerate(samples, 1)]
    named = [
        (f"{name} {decibels(each, target):.1f} dB", to_picture(each[0])) for name, each in shown
    ]
    spread = map_picture(output.uncertainty[0, 0], WHITE)
    return panel([*named, ("uncertainty", spread), ("truth", to_picture(target[0]))])
