"""What MoFRR's pipeline answers with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from .frr_images_va68c12af import stack_images, to_unit, write_images


class Restoration(NamedTuple):
    """A batch of B photos of one size, restored; the output is made from such batches."""

    images: Tensor  # B 3 H W in [0, 1]
    latents: Tensor  # B * num_samples, K + 1, 3, h, w
    routing: Tensor  # B K
    degrees: Tensor  # B K
    active: Tensor  # B K
    edits: Mapping[str, Any] = {}  # an AppliedEdit of each active expert, its rows counting photos
    uncertainty: Tensor | None = None  # B 1 H W

    def by_photo(self, name: str, field: str) -> list[Tensor | None]:
        """A field of an expert's edit as a list over the photos, None where it did not run."""
        planes: list[Tensor | None] = [None] * len(self.images)
        if name in self.edits:
            edit = self.edits[name]
            for place, row in enumerate(edit.rows.tolist()):
                planes[row] = getattr(edit, field)[place]
        return planes


@dataclass
class MoFRRPipelineOutput(BaseOutput):
    """Restored photos and how they came about: B photos, K operations in the pipeline's order.

    Attributes:
        images: the restored photos in the form that `output_type` asks for: a list of PIL images,
            an array B H W C or a tensor B C H W in [0, 1] (a list of them where sizes or channels
            differ), with the photo's alpha where it had one; for "latent" the denoised latents
            (B * num_samples, K + 1, 3, h, w), and no expert images, residuals, flows, uncertainty.
        routing: the router's probabilities, B K in [0, 1]; without a router 1 = forced on, 0 = not.
        degrees: B K in [0, 1], the degree each expert worked with; 0 where it did not run.
        active: B K, bool: which experts ran.
        expert_images: of each expert (the operations, then "shared") a list over the photos: the
            photo as this expert alone restores it, in the form of `images`; None where it did not
            run.
        residuals: likewise, tensors 3 H W on the [-1, 1] scale, times the strength; there,
            expert image = warp(photo, flow) + residual.
        flows: likewise, tensors 2 H W in pixels (x, y), backward.
        uncertainty: B 1 H W in [0, 1] (a list of them where sizes differ): standard deviation over
            the samples, root mean square over the channels; None with one sample.
    """

    images: list[Image.Image] | list[np.ndarray] | list[Tensor] | np.ndarray | Tensor
    routing: Tensor
    degrees: Tensor
    active: Tensor
    expert_images: dict[str, list[Any]] | None = None
    residuals: dict[str, list[Tensor | None]] | None = None
    flows: dict[str, list[Tensor | None]] | None = None
    uncertainty: Tensor | list[Tensor] | None = None


def repeat(planes: Tensor, count: int) -> Tensor:
    """Each row `count` times, one after the other; without a copy where that is once."""
    return planes if count == 1 else planes.repeat_interleave(count, 0)


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
    fields = ("routing", "degrees", "active")
    report: dict[str, Any] = {
        field: torch.cat([getattr(part, field) for part in parts]) for field in fields
    }
    if output_type == "latent":
        latents: Any = [part.latents for part in parts]
        return MoFRRPipelineOutput(latents if len(parts) > 1 else latents[0], **report)

    def by_expert(field: str) -> dict[str, list[Tensor | None]]:
        return {name: [x for part in parts for x in part.by_photo(name, field)] for name in names}

    def write(planes: list[Tensor | None]) -> list[Any]:
        present = [to_unit(each) for each in planes if each is not None]
        images = iter(write_images(present, [None] * len(present), output_type))
        return [None if each is None else next(images) for each in planes]

    restored = [image for part in parts for image in part.images]
    uncertainty: Any = [part.uncertainty for part in parts]
    return MoFRRPipelineOutput(
        stack_images(write_images(restored, alphas, output_type)),
        **report,
        expert_images={name: write(planes) for name, planes in by_expert("image").items()},
        residuals=by_expert("residual"),
        flows=by_expert("flow"),
        uncertainty=uncertainty if len(parts) > 1 else uncertainty[0],
    )
