"""Training batches made on the fly: faces as bytes on the device, retouched and augmented there."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ...pipelines.simulate import bank
from ...pipelines.simulate.recipe import OPERATIONS, Export, Recipe, sample_recipe
from ...pipelines.simulate.simulator import Retouched, retouch
from ..settings import setting
from .faces import FacesConfig, FaceSet, to_signed


@dataclass(frozen=True, kw_only=True)
class RetouchConfig(FacesConfig):
    """How faces are varied and retouched."""

    operations: tuple[str, ...] = setting(OPERATIONS, "all that photos get, in the outputs' order")
    export_probability: float = setting(
        0.15, "share of the photos compressed or resized after retouching", least=0, most=1
    )
    min_degree: float = setting(0.15, "degrees are drawn from here to 1", least=0, most=1)
    vary_light: float = setting(
        0.5, "share of the faces whose exposure and white balance vary", least=0, most=1
    )
    vary_capture: float = setting(
        0.6, "share of the faces whose sharpness and noise vary", least=0, most=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.operations:
            raise ValueError("operations must name at least one")
        if unknown := set(self.operations) - set(bank.ALGORITHMS):
            raise ValueError(
                f"operations names {sorted(unknown)}; the simulator has {tuple(bank.ALGORITHMS)}"
            )

    def check_operation(self, operation: str, choices: Collection[str]) -> None:
        """Raises ValueError unless the operation is one of the choices that photos get."""
        known = tuple(name for name in self.operations if name in choices)
        if operation not in known:
            raise ValueError(f"this needs operation=NAME, one of {known}; got {operation!r}")

    def source(self, faces: FaceSet) -> "RetouchSource":
        """Draws and retouches those faces."""
        return RetouchSource(
            faces,
            self.operations,
            export_probability=self.export_probability,
            min_degree=self.min_degree,
            vary_light=self.vary_light,
            vary_capture=self.vary_capture,
        )


@dataclass(frozen=True)
class RetouchSource:
    """Draws augmented faces and retouches them; the same generator gives the same batch.

    Attributes:
        faces: the training faces, on the device.
        operations: what photos are retouched with, in the order of the networks' outputs.
        split: algorithms to draw from: "seen" (training), "unseen" or "all".
        export_probability: chance that a photo is compressed or resized after retouching.
        min_degree: degrees are drawn evenly from here to 1.
        max_shift: faces are shifted by up to this many pixels.
        vary_light: share of the faces whose exposure and white balance vary.
        vary_capture: share of the faces whose sharpness and noise vary, as between cameras.
    """

    faces: FaceSet
    operations: tuple[str, ...] = OPERATIONS
    split: str = "seen"
    export_probability: float = 0.15
    min_degree: float = 0.15
    max_shift: int = 10
    vary_light: float = 1.0
    vary_capture: float = 0.0

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Tensor, Tensor | None]:
        """Faces B 3 S S in [-1, 1] and their landmarks B 478 2 in [0, 1], augmented."""
        index = torch.as_tensor(rng.integers(len(self.faces), size=count))
        device = self.faces.images.device
        images = to_signed(self.faces.images[index.to(device)])
        points = self.faces.landmarks
        points = None if points is None else points[index.to(device)].clone()

        mirrored = torch.as_tensor(rng.random(count) < 0.5, device=device)
        images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
        if points is not None:
            points[mirrored, :, 0] = 1 - points[mirrored, :, 0]
        numbers = torch.as_tensor(rng.random((count, 4)), device=device)
        if self.vary_light:
            images = blend(images, vary_light(images, numbers), numbers[:, 3] < self.vary_light)
        if self.vary_capture:
            images = blend(images, vary_capture(images, rng), rng.random(count) < self.vary_capture)
        return self.shift(rng, images, points)

    def shift(
        self, rng: np.random.Generator, images: Tensor, points: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Moves the whole batch by whole pixels (so that no resampling leaves a trace)."""
        size, margin = images.shape[-1], self.max_shift
        top, left = (int(offset) for offset in rng.integers(0, 2 * margin + 1, size=2))
        padded = F.pad(images, (margin,) * 4, mode="reflect")
        images = padded[..., top : top + size, left : left + size]
        if points is not None:
            points = points + points.new_tensor([margin - left, margin - top]) / size
        return images, points

    def recipe(self, rng: np.random.Generator, operations: Sequence[str]) -> Recipe:
        """A random recipe with exactly these operations, perhaps exported."""
        return sample_recipe(
            rng,
            operations,
            split=self.split,
            degrees=(self.min_degree, 1.0),
            export_probability=self.export_probability,
        )


def blend(images: Tensor, varied: Tensor, chosen: Tensor | NDArray[np.bool_]) -> Tensor:
    """The chosen rows of `varied`, rounded to 8 bits; the other rows as they are."""
    chosen = torch.as_tensor(chosen, device=images.device)[:, None, None, None]
    return torch.where(chosen, to_8_bits(varied), images)


def vary_capture(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Randomly softened or sharpened, with noise of a random strength and grain, B 3 H W."""
    shape = (len(images), 1, 1, 1)
    sharpness, strength, grain, grey = (
        torch.as_tensor(rng.random(shape), dtype=images.dtype, device=images.device)
        for _ in range(4)
    )
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    images = images + (1.6 * sharpness - 0.9) * (images - blurred)

    noise = torch.as_tensor(rng.standard_normal(images.shape, dtype=np.float32))
    noise = noise.to(images)
    noise = noise + (grey > 0.5) * (noise.mean(dim=1, keepdim=True) * 3**0.5 - noise)
    coarse = F.avg_pool2d(F.pad(noise, (1, 1, 1, 1), mode="replicate"), 3, stride=1) * 3
    noise = noise + grain * (coarse - noise)
    return images + 0.04 * strength.square() * noise


def vary_light(images: Tensor, numbers: Tensor) -> Tensor:
    """Slightly random exposure and white balance of B 3 H W in [-1, 1]; numbers B 4 in [0, 1]."""
    numbers = numbers.to(images.dtype)[:, :, None, None, None]
    gamma = torch.exp((numbers[:, 0] - 0.5) * 0.2)
    warmth = (numbers[:, 1] - 0.5) * 0.05
    gain = 1 + (numbers[:, 2] - 0.6) * 0.1
    image = ((images + 1) / 2).clamp_min(1e-4) ** gamma * gain
    tint = torch.cat((1 + warmth, torch.ones_like(warmth), 1 - warmth), dim=1)
    return (image * tint).clamp(0, 1) * 2 - 1


def to_8_bits(images: Tensor) -> Tensor:
    """Rounded to the 256 levels of a photo file, [-1, 1] -> [-1, 1].

    Untouched photos lie on these levels; nothing between them may give a retouched one away.
    """
    return ((images.clamp(-1, 1) + 1) * 127.5).round() / 127.5 - 1


def random_subset(
    rng: np.random.Generator, operations: Sequence[str] = OPERATIONS, least: int = 2
) -> list[str]:
    """At least `least` of the operations, the number drawn evenly."""
    count = int(rng.integers(least, len(operations) + 1)) if least < len(operations) else least
    return [str(operations[int(i)]) for i in rng.choice(len(operations), size=count, replace=False)]


def without_export(recipe: Recipe) -> Recipe:
    """The same steps, saved without loss: what restoration aims at."""
    return replace(recipe, export=Export())


def retouch_to_8_bits(
    images: Tensor,
    recipes: Sequence[Recipe],
    points: Tensor | None,
    operations: Sequence[str] = OPERATIONS,
) -> Retouched:
    """`retouch`, its photos as they come out of a file."""
    with torch.autocast(images.device.type, enabled=False):
        retouched = retouch(images, recipes, points, operations)
    return retouched._replace(image=to_8_bits(retouched.image))


def retouch_and_target(
    images: Tensor,
    points: Tensor | None,
    recipes: Sequence[Recipe],
    operation: str | None,
    operations: Sequence[str] = OPERATIONS,
) -> tuple[Retouched, Tensor]:
    """Retouched photos, and the photos as they were without one operation (None: without any).

    Photos that do not have the operation are their own target, compression included.
    """
    retouched = retouch_to_8_bits(images, recipes, points, operations)
    if operation is None:
        return retouched, images
    target = retouched.image.clone()
    rows = [i for i, r in enumerate(recipes) if any(s.operation == operation for s in r.steps)]
    if rows:
        recipes = [without_export(recipes[i]).without(operation) for i in rows]
        points = None if points is None else points[rows]
        with torch.autocast(images.device.type, enabled=False):
            target[rows] = retouch(images[rows], recipes, points, operations).image
    return retouched, target
