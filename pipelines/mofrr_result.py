"""What MoFRR's pipeline answers with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor


class Restoration(NamedTuple):
    """A batch of B photos of one size, restored; the output is made from such batches."""

    images: Tensor  # B 3 H W in [0, 1]
    latents: Tensor  # B * num_samples, K + 1, 3, h, w
    routing: Tensor  # B K
    degrees: Tensor  # B K
    active: Tensor  # B K
    edits: Mapping[str, Any]  # an AppliedEdit of each active expert, its rows counting photos
    uncertainty: Tensor | None  # B 1 H W

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
        uncertainty: B 1 H W in [0, 1] (a list where sizes differ): standard deviation over the
            samples, root mean square over the channels; None with one sample.
    """

    images: list[Image.Image] | list[np.ndarray] | list[Tensor] | np.ndarray | Tensor
    routing: Tensor
    degrees: Tensor
    active: Tensor
    expert_images: dict[str, list[Any]] | None = None
    residuals: dict[str, list[Tensor | None]] | None = None
    flows: dict[str, list[Tensor | None]] | None = None
    uncertainty: Tensor | list[Tensor] | None = None


def collect(
    parts: list[Restoration],
    names: tuple[str, ...],
    write: Callable[[list[Tensor | None]], list[Any]],
) -> dict[str, dict[str, list[Any]]]:
    """`expert_images`, `residuals` and `flows` of the batches; `write` forms [0, 1] images."""
    fields: dict[str, dict[str, list[Any]]] = {}
    for field in ("image", "residual", "flow"):
        fields[field] = {
            name: [plane for part in parts for plane in part.by_photo(name, field)]
            for name in names
        }
    images = {name: write(planes) for name, planes in fields["image"].items()}
    return {"expert_images": images, "residuals": fields["residual"], "flows": fields["flow"]}
