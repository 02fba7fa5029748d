"""What BPFRe's pipeline answers with."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from ..photos.arrays import Photo, stack_images, write_images
from .skin import Finding

Images = list[Image.Image] | list[np.ndarray] | list[Tensor] | np.ndarray | Tensor


@dataclass
class BPFRePipelineOutput(BaseOutput):
    """Retouched photos and what was found on them.

    Attributes:
        images: the retouched photos in the form that `output_type` asks for: a list of PIL images,
            an array B H W C or a tensor B C H W in [0, 1] (a list of them where sizes or channels
            differ), with the photo's alpha where it had one.
        coarse_images: the first stage's results, likewise.
        blemish_maps: tensor B 2 H W (a list of 2 H W where sizes differ), >= 0: the E2D map of the
            photo, then the D2G map of the coarse result; expected mean absolute change of the
            colours on the scale of [-1, 1], before strength and masks.
        findings: for each photo what the healer retouched, with kinds and boxes; None without one.
    """

    images: Images
    coarse_images: Images
    blemish_maps: Tensor | list[Tensor]
    findings: list[list[Finding]] | None = None


class Retouched(NamedTuple):
    """Photos of one size, retouched."""

    images: Tensor  # B 3 H W in [0, 1]
    coarse: Tensor  # B 3 H W in [0, 1]
    maps: Tensor  # B 2 H W
    findings: list[list[Finding]] | None = None  # for each photo, where there is a healer

    @classmethod
    def joined(cls, parts: list["Retouched"]) -> "Retouched":
        """Batches as one."""
        if len(parts) == 1:
            return parts[0]
        images, coarse, maps = (
            torch.cat(planes) for planes in zip(*(part[:3] for part in parts), strict=True)
        )
        return cls(images, coarse, maps, _joined_findings(parts))


def _joined_findings(parts: list[Retouched]) -> list[list[Finding]] | None:
    """Those of all photos, where they were looked for."""
    if any(part.findings is None for part in parts):
        return None
    return [found for part in parts for found in (part.findings or [])]


def make_output(
    parts: list[Retouched], photos: list[Photo], output_type: str
) -> BPFRePipelineOutput:
    """The output of a call from its batches; the photos give their alphas."""
    alphas = [photo.alpha for photo in photos]
    images, coarse, maps = (
        [each for planes in column for each in planes]
        for column in zip(*(part[:3] for part in parts), strict=True)
    )
    same = len({each.shape for each in maps}) == 1
    return BPFRePipelineOutput(
        stack_images(write_images(images, alphas, output_type)),
        stack_images(write_images(coarse, alphas, output_type)),
        torch.stack(maps) if same else maps,
        _joined_findings(parts),
    )
