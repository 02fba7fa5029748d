"""What MoFRR's pipeline answers with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from ..photos.arrays import stack_images, write_images
from .by_expert import ByExpert, pictures_of, planes_of
from .candidates import Candidate, Samples, offered
from .direct import AnyApplied, DirectEdit
from .edits import ExpertEdit
from .request import Generators
from .routing import Routing


class Restoration(NamedTuple):
    """A batch of B photos of one size, restored; the output is made from such batches."""

    images: Tensor  # B 3 H W in [0, 1]
    latents: Tensor | None  # B * num_samples, K + 1, 3, h, w; None where no expert ran
    routing: Routing  # on B photos
    degrees: Tensor  # B K, that the experts worked with; 0 where they did not run
    active: Tensor  # B K, which experts ran
    edits: Mapping[str, AnyApplied] = {}  # of each active expert, its rows counting photos
    uncertainty: Tensor | None = None  # B 1 H W
    samples: Samples | None = None  # where degrees were drawn

    @property
    def native_size(self) -> Tensor:
        """The photos' shorter side in pixels, B."""
        return torch.full((len(self.images),), min(self.images.shape[-2:]))

    @property
    def quality(self) -> Tensor:
        """Their JPEG quality as the pixels show it, B; NaN where they do not, or nobody looked."""
        quality = self.routing.estimate.quality
        return torch.full((len(self.images),), torch.nan) if quality is None else quality

    @property
    def told(self) -> Tensor:
        """Whether the photos let the router know, B K, bool."""
        told = self.routing.estimate.told
        return torch.ones_like(self.routing.active) if told is None else told

    def by_photo(self, name: str, field: str) -> list[Tensor | None]:
        """A field of an expert's edit as a list over the photos, None where it did not run."""
        planes: list[Tensor | None] = [None] * len(self.images)
        if name in self.edits:
            values = getattr(self.edits[name], field)
            for row, value in zip(self.edits[name].rows.tolist(), values, strict=True):
                planes[row] = value
        return planes

    def candidates(
        self, row: int, alpha: Tensor | None, names: Sequence[str], output_type: str
    ) -> list[Candidate]:
        """What one photo may have been, the likeliest first; names of the K operations or more."""
        known = zip(names, self.degrees[row].tolist(), self.active[row].tolist(), strict=False)
        degrees = {name: degree for name, degree, acts in known if acts}

        def write(image: Tensor) -> Any:
            return write_images([image], [alpha], output_type)[0]

        return offered(self.samples, row, self.images[row], degrees, names, write)


class Joined(NamedTuple):
    """B photos with the edits of all experts applied."""

    images: Tensor  # B 3 H W in [0, 1]
    uncertainty: Tensor | None  # B 1 H W, spread of the samples; None with one sample
    edits: Mapping[str, AnyApplied]  # at the photos' size, where they were to be kept


@dataclass
class MoFRRPipelineOutput(BaseOutput):
    """Restored photos and how they came about: B photos, K operations in the pipeline's order.

    Attributes:
        images: the restored photos in the form that `output_type` asks for: a list of PIL images,
            an array B H W C or a tensor B C H W in [0, 1] (a list of them where sizes or channels
            differ), with the photo's alpha where it had one; for "latent" the denoised latents
            (B * num_samples, K + 1, 3, h, w), and no expert images, residuals, flows, uncertainty.
        routing: the router's probabilities, B K in [0, 1]; without a router 1 = forced on, 0 = not.
        degrees: B K in [0, 1], the degree each expert worked with; 0 where it did not run, NaN
            where one that answers at once was told none and there is no router.
        active: B K, bool: which experts ran.
        expert_images: of each expert (the operations, then "shared") a list over the photos: the
            photo as this expert alone restores it, in the form of `images`; None where it did not
            run. They are made when they are first looked at, as residuals and flows are.
        residuals: likewise, tensors 3 H W on the [-1, 1] scale, times the strength; there,
            expert image = warp(photo, flow) + residual.
        flows: likewise, tensors 2 H W in pixels (x, y), backward.
        uncertainty: B 1 H W in [0, 1] (a list of them where sizes differ; times 255 = levels of 8
            bits), None with one sample: the error that is to be expected of `images`, root mean
            square over the channels. Where degrees were drawn, it is how far the candidates are
            from the image, times the router's calibrated `spread_scale`; else the standard
            deviation over the noises.
        native_size: B, the photos' shorter side in pixels.
        quality: B, the JPEG quality at which they were last saved, as far as pixels show it (see
            `compression.estimate_quality`); NaN where they do not, or nothing looked.
        told: B K, bool: False where a photo is too small or too compressed for the router to tell
            (by the bounds in its config): its probability there is no verdict, and nothing acts
            unless it is forced on.
        candidates: with more than one sample, of each photo the restorations that may be the true
            one, the likeliest first: where experts that answer at once were told no degree, as many
            as samples, each a plausible photo at degrees of its own; else one, the image itself.
            The images are no mean of them: where no degree is known the experts hedge, and give up
            part of what they would change. None with one sample, and for "latent".
    """

    images: list[Image.Image] | list[np.ndarray] | list[Tensor] | np.ndarray | Tensor
    routing: Tensor
    degrees: Tensor
    active: Tensor
    expert_images: Mapping[str, list[Any]] | None = None
    residuals: Mapping[str, list[Tensor | None]] | None = None
    flows: Mapping[str, list[Tensor | None]] | None = None
    uncertainty: Tensor | list[Tensor] | None = None
    native_size: Tensor | None = None
    quality: Tensor | None = None
    told: Tensor | None = None
    candidates: list[list[Candidate]] | None = None


def used_degrees(
    edits: Mapping[str, ExpertEdit | DirectEdit],
    operations: Sequence[str],
    routing: Routing,
    num_samples: int,
) -> Tensor:
    """The degrees that the experts worked with, B K; 0 where they did not run.

    Where an expert finds its degree without saying it, the router's stands for it.
    """
    used = torch.zeros_like(routing.degrees)
    for place, name in enumerate(operations):
        if name in edits:
            used[edits[name].rows // num_samples, place] = edits[name].degree
    expected = routing.estimate.expected
    return used if expected is None else torch.where(used.isnan(), expected, used)


def unchanged(pixels: Tensor, routing: Routing, num_samples: int) -> Restoration:
    """The photos B 3 H W in [0, 1] as they are: what a call answers in which no expert acts."""
    idle = torch.zeros_like(routing.active)
    spread = torch.zeros_like(pixels[:, :1]) if num_samples > 1 else None
    degrees = torch.zeros_like(routing.degrees)
    return Restoration(pixels, None, routing, degrees, idle, uncertainty=spread)


def repeat(planes: Tensor, count: int) -> Tensor:
    """Each row `count` times, one after the other; without a copy where that is once."""
    return planes if count == 1 else planes.repeat_interleave(count, 0)


def repeat_each(generator: Generators, count: int) -> Generators:
    """A list of generators with each `count` times; one for all stays."""
    if not isinstance(generator, list):
        return generator
    return [each for each in generator for _ in range(count)]


def with_rows(latents: Tensor, denoised: Tensor) -> Tensor:
    """Latents of all samples, the first of each photo (or all of them) being denoised."""
    latents = latents.clone()
    latents[:: len(latents) // len(denoised)] = denoised
    return latents


def summarise_samples(
    restored: Tensor, pixels: Tensor, touched: Tensor, num_samples: int
) -> tuple[Tensor, Tensor | None]:
    """Mean and spread of each photo's samples.

    Args:
        restored: B * num_samples, 3, H, W in [0, 1].
        pixels: B 3 H W in [0, 1], the photos as they came.
        touched: B, bool; photos that no expert touched stay as they came.
        num_samples: samples of each photo, which follow one another.

    Returns:
        B 3 H W and, with more than one sample, the spread B 1 H W.
    """
    if num_samples == 1:
        return restored, None
    samples = restored.unflatten(0, (len(pixels), num_samples))
    touched = touched[:, None, None, None]
    spread = samples.var(dim=1).mean(dim=1, keepdim=True).sqrt() * touched
    return torch.where(touched, samples.mean(dim=1), pixels), spread


def make_output(
    parts: Sequence[Restoration],
    alphas: Sequence[Tensor | None],
    names: Sequence[str],
    output_type: str,
) -> MoFRRPipelineOutput:
    """The output of a call from its batches: the photos' alphas and the experts' names given."""
    report: dict[str, Any] = {
        "routing": _joined([part.routing.probabilities for part in parts]),
        "degrees": _joined([part.degrees for part in parts]),
        "active": _joined([part.active for part in parts]),
        "native_size": _joined([part.native_size for part in parts]),
        "quality": _joined([part.quality for part in parts]),
        "told": _joined([part.told for part in parts]),
    }
    if output_type == "latent":
        latents: Any = [part.latents for part in parts]
        return MoFRRPipelineOutput(latents if len(parts) > 1 else latents[0], **report)

    restored = [image for part in parts for image in part.images]
    uncertainty: Any = [part.uncertainty for part in parts]
    return MoFRRPipelineOutput(
        stack_images(write_images(restored, alphas, output_type)),
        **report,
        expert_images=ByExpert(names, partial(pictures_of, parts, output_type)),
        residuals=ByExpert(names, partial(planes_of, parts, "residual")),
        flows=ByExpert(names, partial(planes_of, parts, "shown_flow")),
        uncertainty=uncertainty if len(parts) > 1 else uncertainty[0],
        candidates=candidates_of(parts, alphas, names, output_type),
    )


def candidates_of(
    parts: Sequence[Restoration],
    alphas: Sequence[Tensor | None],
    names: Sequence[str],
    output_type: str,
) -> list[list[Candidate]] | None:
    """The candidates of all photos of a call; None where it did not ask for samples."""
    if parts[0].uncertainty is None:
        return None
    rows = [(part, row) for part in parts for row in range(len(part.images))]
    return [
        part.candidates(row, alpha, names, output_type)
        for (part, row), alpha in zip(rows, alphas, strict=True)
    ]


def _joined(planes: Sequence[Tensor]) -> Tensor:
    return planes[0] if len(planes) == 1 else torch.cat(list(planes))
