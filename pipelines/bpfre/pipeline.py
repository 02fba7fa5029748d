"""BPFRePipeline: a face with blemishes in, the retouched face out (BPFRe, CVPR 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from diffusers import ModelMixin
from diffusers.utils import BaseOutput
from torch import Tensor

from ...models.bpfre.retoucher import BlemishRetoucher
from ..photos.arrays import (
    Photo,
    add_residual,
    read_photos,
    stack_images,
    to_signed,
    write_images,
)
from ..repository.reader import RepositoryReader
from ..repository.writer import RepositoryWriter
from .findings import Network, find, opening

SETTINGS = ("working_size", "tile_size", "threshold")
LEAST_TILE = 64
MISSING = {
    "retoucher": "load a model whose folder holds one",
    "inpainter": "load a model whose folder holds one (`frr train bpfre_inpaint` makes one)",
}


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
    """

    images: Any
    coarse_images: Any
    blemish_maps: Tensor | list[Tensor]


class Retouched(NamedTuple):
    """Photos of one size, retouched."""

    images: Tensor  # B 3 H W in [0, 1]
    coarse: Tensor  # B 3 H W in [0, 1]
    maps: Tensor  # B 2 H W


class BPFRePipeline(RepositoryReader, RepositoryWriter):  # pyright: ignore
    """Finds blemishes and retouches them in two stages; all else keeps its pixels to the bit.

    Args:
        retoucher: BlemishRetoucher, for `__call__`; None where only `inpaint` is wanted.
        inpainter: BlemishRetoucher made with `inpainting=True`, for `inpaint`; may be None.
        working_size: photos whose shorter side is longer are reduced to it for the networks, and
            their edits brought back to full size; None always works at the photo's own size.
        tile_size: what is longer than this at the working size is worked on in tiles.
        threshold: sum of both maps from which edits are let through, fully at twice as much.
    """

    _optional_components: ClassVar[list[str]] = ["retoucher", "inpainter"]
    model_cpu_offload_seq = "retoucher->inpainter"
    retoucher: Any
    inpainter: Any

    # The parts have no defaults: diffusers takes a parameter with a default for a setting.
    def __init__(
        self,
        retoucher: ModelMixin | None,
        inpainter: ModelMixin | None,
        working_size: int | None = 256,
        tile_size: int = 512,
        threshold: float = 0.012,
    ) -> None:
        super().__init__()
        if tile_size < LEAST_TILE or threshold <= 0:
            raise ValueError(
                f"expected a tile_size of at least {LEAST_TILE} and a positive threshold, got "
                f"{tile_size} and {threshold}"
            )
        for part, inpainting in ((retoucher, False), (inpainter, True)):
            if part is not None and part.config.inpainting != inpainting:
                raise ValueError(
                    f"the {'inpainter' if inpainting else 'retoucher'} must be a BlemishRetoucher "
                    f"with inpainting={inpainting}; were the two swapped?"
                )
        parts: dict[str, Any] = {"retoucher": retoucher, "inpainter": inpainter}
        self.register_modules(**parts)
        self.register_to_config(working_size=working_size, tile_size=tile_size, threshold=threshold)
        for network in parts.values():
            if network is not None:
                network.eval()

    @classmethod
    def network_class(cls, name: str) -> type[ModelMixin]:
        """The class of the network that stands as component `name`."""
        return BlemishRetoucher

    @torch.no_grad()
    def __call__(
        self,
        image: Any,
        mask: Any = None,
        strength: float = 1.0,
        preserve: Any = None,
        output_type: str = "pil",
        return_dict: bool = True,
        working_size: int | str | None = "config",
    ) -> BPFRePipelineOutput | tuple:
        """Retouches photos.

        ```
        photo -> working size, tiles -> retoucher -> E2D map, coarse edit, D2G map, refined edit
                                                                    |
        opening = (maps above the threshold) * mask * (1 - preserve) * strength, at full size
                                                                    |
        retouched <- photo + opening * refined edit <---------------+
        ```

        Args:
            image: a PIL image, a numpy array (H W C or B H W C), a tensor (C H W or B C H W) or a
                list of these; values in [0, 1] or uint8; grey, RGB or RGBA; of any size.
            mask: retouch only here: 1 (white) = yes; a photo of one channel or more of each photo's
                size, one for all or one for each; None: everywhere.
            strength: what part of the edit is applied, 0 = nothing .. 1 = all.
            preserve: keep this as it is: 1 (white) = yes; like `mask`.
            output_type: "pil", "np" or "pt".
            return_dict: False gives a plain tuple.
            working_size: side in pixels, None for the photo's own, "config" for the pipeline's.

        Returns:
            BPFRePipelineOutput, or a tuple whose first item is the images.

        Raises:
            ValueError: an argument out of its range, or the pipeline has no retoucher.
        """
        if not 0 <= strength <= 1:
            raise ValueError(f"strength is {strength!r}; expected a number in [0, 1]")
        network = self._part("retoucher")
        size = self._working_size(working_size)
        photos = read_photos(image)
        masks = read_masks(mask, photos, "mask")
        kept = read_masks(preserve, photos, "preserve")

        def act(batch: slice, pixels: Tensor) -> Retouched:
            allowed = pixels.new_full((len(pixels), 1, 1, 1), strength)
            if masks is not None:
                allowed = allowed * _stack(masks[batch], pixels)
            if kept is not None:
                allowed = allowed * (1 - _stack(kept[batch], pixels))
            return self.retouch(pixels, allowed, size, planes_of(network))

        return self._answer(photos, act, output_type, return_dict)

    @torch.no_grad()
    def inpaint(
        self,
        image: Any,
        mask: Any,
        output_type: str = "pil",
        return_dict: bool = True,
        working_size: int | str | None = "config",
    ) -> BPFRePipelineOutput | tuple:
        """Fills holes: what lies under the mask is not looked at, all else stays to the bit.

        Args:
            image: as for `__call__`.
            mask: the holes: 1 (white) = fill; soft edges blend; one for all photos or one for each.
            output_type: "pil", "np" or "pt".
            return_dict: False gives a plain tuple.
            working_size: as for `__call__`; what fills a hole has this resolution.

        Raises:
            ValueError: an argument out of its range, or the pipeline has no inpainter.
        """
        network = self._part("inpainter")
        size = self._working_size(working_size)
        photos = read_photos(image)
        holes = read_masks(mask, photos, "mask")
        if holes is None:
            raise ValueError("inpaint needs a mask that is white where the photo is to be filled")

        def act(batch: slice, pixels: Tensor) -> Retouched:
            return self.fill(pixels, _stack(holes[batch], pixels), size, planes_of(network))

        return self._answer(photos, act, output_type, return_dict)

    def retouch(
        self,
        pixels: Tensor,
        allowed: Tensor,
        working_size: int | None,
        network: Network,
        tile_size: int | None = None,
    ) -> Retouched:
        """Retouches photos of one size.

        Args:
            pixels: B 3 H W in [0, 1].
            allowed: what part of an edit is applied, 0 .. 1, B 1 H W or broadcast to it.
            working_size: shorter side at which the network works; None: the photos' own.
            network: `planes_of` the retoucher.
            tile_size: of the tiles in pixels; None for the pipeline's.
        """
        threshold = self.config["threshold"]
        tile = self.config["tile_size"] if tile_size is None else tile_size
        found = find(network, to_signed(pixels), working_size, tile)
        first = allowed * opening(found.coarse_map, threshold)
        both = allowed * opening(found.coarse_map + found.refined_map, threshold)
        return Retouched(
            add_residual(pixels, both * found.refined),
            add_residual(pixels, first * found.coarse),
            torch.cat((found.coarse_map, found.refined_map), dim=1),
        )

    def fill(
        self,
        pixels: Tensor,
        hole: Tensor,
        working_size: int | None,
        network: Network,
        tile_size: int | None = None,
    ) -> Retouched:
        """Fills the holes of photos of one size.

        Args:
            pixels: B 3 H W in [0, 1].
            hole: B 1 H W in [0, 1], 1 = fill; nothing is seen of what is not 0.
            working_size: shorter side at which the network works; None: the photos' own.
            network: `planes_of` the inpainter.
            tile_size: of the tiles in pixels; None for the pipeline's.
        """
        tile = self.config["tile_size"] if tile_size is None else tile_size
        photo, covered = to_signed(pixels), (hole > 0).to(pixels)
        planes = torch.cat((photo * (1 - covered), covered), dim=1)
        found = find(_filled(network), planes, working_size, tile)
        images, coarse = (
            add_residual(pixels, hole * (result - photo))
            for result in (found.refined, found.coarse)
        )
        return Retouched(images, coarse, torch.cat(found[2:], dim=1))

    def _answer(
        self, photos: Sequence[Photo], act: Any, output_type: str, return_dict: bool
    ) -> BPFRePipelineOutput | tuple:
        """Acts on all photos at once where they are of one size, else on each by itself."""
        if output_type not in ("pil", "np", "pt"):
            raise ValueError(f"output_type is {output_type!r}; expected 'pil', 'np' or 'pt'")
        same = len({photo.pixels.shape for photo in photos}) == 1
        batches = [slice(None)] if same else [slice(i, i + 1) for i in range(len(photos))]
        try:
            parts = [
                act(
                    batch, torch.stack([p.pixels for p in photos[batch]]).to(self._execution_device)
                )
                for batch in batches
            ]
        finally:
            self.maybe_free_model_hooks()
        alphas = [photo.alpha for photo in photos]
        images, coarse, maps = ([each for part in parts for each in part[i]] for i in range(3))
        output = BPFRePipelineOutput(
            stack_images(write_images(images, alphas, output_type)),
            stack_images(write_images(coarse, alphas, output_type)),
            torch.stack(maps) if same else maps,
        )
        return output if return_dict else output.to_tuple()

    def _part(self, name: str) -> Any:
        network = getattr(self, name)
        if network is None:
            raise ValueError(f"this pipeline has no {name}: {MISSING[name]}")
        return network

    def _working_size(self, size: int | str | None) -> int | None:
        size = self.config["working_size"] if size == "config" else size
        if size is not None and (not isinstance(size, int) or size < LEAST_TILE):
            raise ValueError(
                f"working_size is {size!r}; expected a side of at least {LEAST_TILE} pixels, None "
                "or 'config'"
            )
        return size


def planes_of(network: Any) -> Network:
    """The network as a function of planes: photo (and hole) in, edits and maps out, float32."""

    def run(planes: Tensor) -> Tensor:
        photo = planes.to(network.dtype)
        hole = photo[:, 3:] if photo.shape[1] > 3 else None
        output = network(photo[:, :3], hole=hole)
        edits = (output.coarse - photo[:, :3], output.refined - photo[:, :3])
        return torch.cat((*edits, output.coarse_map, output.refined_map), dim=1).float()

    return run


def _filled(network: Network) -> Network:
    """The network with results in place of edits, which can be enlarged over a hole's edge.

    What a reduction left of a hole, however little, is a whole hole to the network.
    """

    def run(planes: Tensor) -> Tensor:
        hole = (planes[:, 3:] > 0).to(planes)
        photo = planes[:, :3] * (1 - hole)
        found = network(torch.cat((photo, hole), dim=1))
        return torch.cat((found[:, :6] + photo.repeat(1, 2, 1, 1), found[:, 6:]), dim=1)

    return run


def _stack(masks: Sequence[Tensor], pixels: Tensor) -> Tensor:
    """B 1 H W on the photos' device."""
    return torch.stack(list(masks)).to(pixels)


def read_masks(mask: Any, photos: Sequence[Photo], name: str) -> list[Tensor] | None:
    """Masks 1 H W in [0, 1], one for each photo, or None where none came.

    Raises:
        ValueError: their number or size is not the photos'.
    """
    if mask is None:
        return None
    if isinstance(mask, Tensor) and mask.ndim == 2:
        mask = mask[None]
    planes = [each.pixels.mean(0, keepdim=True) for each in read_photos(mask)]
    if len(planes) == 1:
        planes = planes * len(photos)
    if len(planes) != len(photos):
        raise ValueError(f"{len(planes)} {name}s came for {len(photos)} photos; pass 1 or as many")
    for plane, photo in zip(planes, photos, strict=True):
        if plane.shape[1:] != photo.pixels.shape[1:]:
            sizes = [f"{p.shape[-1]} x {p.shape[-2]}" for p in (plane, photo.pixels)]
            raise ValueError(f"{name} is {sizes[0]} pixels, its photo {sizes[1]}; resize it")
    return planes
