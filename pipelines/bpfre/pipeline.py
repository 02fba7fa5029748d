"""BPFRePipeline: a face with blemishes in, the retouched face out (BPFRe, CVPR 2023)."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from diffusers import ModelMixin
from torch import Tensor

from ...models.bpfre.healer import SkinHealer
from ...models.bpfre.retoucher import BlemishRetoucher
from ...models.sizes import SizeRequirements
from ..arguments import check_choice, check_fraction, check_working_size
from ..photos.arrays import Photo, read_photos
from ..repository.reader import RepositoryReader
from ..repository.writer import RepositoryWriter
from ..room import OPEN, Room
from .findings import planes_of
from .masks import allowed_share, read_masks, stack_masks
from .output import BPFRePipelineOutput, Retouched, make_output
from .retouching import Way, fill, retouch
from .skin import amounts_of, heal_photos, restrict

OUTPUT_TYPES = ("pil", "np", "pt")
MISSING = {
    "retoucher": "load a model whose folder holds one",
    "inpainter": "load a model whose folder holds one (`frr train bpfre_inpaint` makes one)",
    "healer": "load a model whose folder holds one (`frr train bpfre_healer` makes one)",
}


class BPFRePipeline(RepositoryReader, RepositoryWriter):  # pyright: ignore
    """Finds blemishes and retouches them in two stages, then heals natural skin.

    All that is not found keeps its pixels to the bit.

    Args:
        retoucher: BlemishRetoucher, for `__call__`; None where only `inpaint` is wanted.
        inpainter: BlemishRetoucher made with `inpainting=True`, for `inpaint`; may be None.
        healer: SkinHealer, the third stage; None leaves it out.
        working_size: photos whose shorter side is longer are reduced to it for the networks, and
            their edits brought back to full size; None always works at the photo's own size.
        tile_size: what is longer than this at the working size is worked on in tiles.
        threshold: sum of both maps from which edits are let through, fully at twice as much.
        healing_size: shorter side at which the healer looks; healing is done at the photo's own.
    """

    _optional_components: ClassVar[list[str]] = ["retoucher", "inpainter", "healer"]
    model_cpu_offload_seq = "retoucher->inpainter->healer"
    size_requirements: ClassVar[SizeRequirements] = SizeRequirements(minimum=64, multiple=1)
    """Of the photos at working size, and of their tiles."""

    retoucher: BlemishRetoucher | None
    inpainter: BlemishRetoucher | None
    healer: SkinHealer | None

    # The parts have no defaults: diffusers takes a parameter with a default for a setting.
    def __init__(
        self,
        retoucher: ModelMixin | None,
        inpainter: ModelMixin | None,
        healer: ModelMixin | None,
        working_size: int | None = 256,
        tile_size: int = 512,
        threshold: float = 0.012,
        healing_size: int = 512,
    ) -> None:
        super().__init__()
        least = self.size_requirements.minimum
        check_working_size(working_size, least)
        if min(tile_size, healing_size) < least or not threshold > 0:
            raise ValueError(
                f"expected a tile_size and a healing_size of at least {least} and a positive "
                f"threshold, got {tile_size}, {healing_size} and {threshold}"
            )
        for part, inpainting in ((retoucher, False), (inpainter, True)):
            if part is not None and part.config.inpainting != inpainting:
                raise ValueError(
                    f"the {'inpainter' if inpainting else 'retoucher'} must be a BlemishRetoucher "
                    f"with inpainting={inpainting}; were the two swapped?"
                )
        parts: dict[str, Any] = {"retoucher": retoucher, "inpainter": inpainter, "healer": healer}
        self.register_modules(**parts)
        self.register_to_config(
            working_size=working_size,
            tile_size=tile_size,
            threshold=threshold,
            healing_size=healing_size,
        )
        for network in parts.values():
            if network is not None:
                network.eval()

    @classmethod
    def network_classes(cls, name: str) -> tuple[type[ModelMixin], ...]:
        """The classes of which the network that stands as component `name` may be."""
        return (SkinHealer,) if name == "healer" else (BlemishRetoucher,)

    @classmethod
    def modular_blocks(cls) -> type[Any]:
        """The blocks of the modular pipeline, whose files do not import this one."""
        from .modular import BPFReBlocks

        return BPFReBlocks

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
        kinds: Sequence[str] | None = None,
    ) -> BPFRePipelineOutput | tuple:
        """Retouches photos.

        ```
        photo -> working size, tiles -> retoucher -> E2D map, coarse edit, D2G map, refined edit
                                                                    |
        opening = (maps above the threshold) * mask * (1 - preserve) * strength, at full size
                                                                    |
        retouched <- photo + opening * refined edit <---------------+
            |
            +-> healing size -> healer(strength, kinds) -> skin, spots, lines
                                                               |
        healed <- spots and lines filled from the skin around, redness, shine and uneven tone
                  damped, at the photo's own pixels; where there is a healer
        ```

        Args:
            image: a PIL image, a numpy array (H W C or B H W C), a tensor (C H W or B C H W) or a
                list of these; values in [0, 1] or uint8; grey, RGB or RGBA; of any size.
            mask: retouch only here: 1 (white) = yes; H W, B H W or a picture of each photo's size
                (see `read_masks`), one for all or one for each; None: everywhere.
            strength: how much is done. Of the two stages' edit, what part is applied: 0 = nothing
                .. 1 = all. The healer's condition: to 0.25 spots only, the evident ones first, then
                more and more even skin, at 1 a studio's finish.
            preserve: keep this as it is: 1 (white) = yes; like `mask`.
            output_type: "pil", "np" or "pt".
            return_dict: False gives a plain tuple.
            working_size: side in pixels, None for the photo's own, "config" for the pipeline's;
                for the first two stages.
            kinds: what is retouched, of `kinds.KINDS`: spots (by all stages), redness, lines,
                shine, unevenness (by the healer); None = all.

        Returns:
            BPFRePipelineOutput, or a tuple whose first item is the images.

        Raises:
            ValueError: an argument out of its range, kinds without a healer, or the pipeline has
                no retoucher.
        """
        strength = check_fraction("strength", strength)
        self._part("retoucher")
        check_choice("output_type", output_type, OUTPUT_TYPES)
        size = self._working_size(working_size)
        photos = read_photos(image)
        masks = read_masks(mask, photos, "mask")
        kept = read_masks(preserve, photos, "preserve")

        amounts = self.amounts(strength, kinds)

        def act(batch: slice, pixels: Tensor) -> Retouched:
            chosen, preserved = (each and each[batch] for each in (masks, kept))
            first = strength if amounts[0] > 0 else 0.0
            allowed = allowed_share(pixels, first, chosen, preserved)
            found = self.retouch(pixels, allowed, size)
            return self.heal(found, pixels, amounts, allowed_share(pixels, 1.0, chosen, preserved))

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
        self._part("inpainter")
        check_choice("output_type", output_type, OUTPUT_TYPES)
        size = self._working_size(working_size)
        photos = read_photos(image)
        holes = read_masks(mask, photos, "mask")
        if holes is None:
            raise ValueError("inpaint needs a mask that is white where the photo is to be filled")

        def act(batch: slice, pixels: Tensor) -> Retouched:
            return self.fill(pixels, stack_masks(holes[batch], pixels), size)

        return self._answer(photos, act, output_type, return_dict)

    @torch.no_grad()
    def retouch(
        self, pixels: Tensor, allowed: Tensor, working_size: int | None, room: Room = OPEN
    ) -> Retouched:
        """Retouches photos B 3 H W in [0, 1] of one size; see `retouching.retouch`."""
        way = self._way("retoucher", working_size)
        return retouch(way, pixels, allowed, self.config["threshold"], room)

    def amounts(self, strength: float, kinds: Sequence[str] | None = None) -> Tensor:
        """What a strength means for each kind; see `skin.amounts_of`.

        Raises:
            ValueError: an unknown kind, or kinds are chosen and there is no healer.
        """
        if kinds is not None and self.healer is None:
            raise ValueError(
                f"this pipeline has no healer to choose kinds for: {MISSING['healer']}"
            )
        return amounts_of(strength, kinds)

    @torch.no_grad()
    def heal(
        self,
        found: Retouched,
        pixels: Tensor,
        amounts: Tensor,
        allowed: Tensor,
        room: Room = OPEN,
    ) -> Retouched:
        """The third stage on what the first two made; without a healer nothing is done.

        Evident moles that the first two took away come back.

        Args:
            found: photos of one size.
            pixels: B 3 H W in [0, 1], the photos themselves.
            amounts: 5 in [0, 1], by `kinds.KINDS`.
            allowed: what part of the healing is applied, 0 .. 1, B 1 H W or broadcast to it.
            room: the memory to do it in.
        """
        if self.healer is None:
            return found
        size = self.config["healing_size"]
        healed = heal_photos(self.healer, found.images, pixels, amounts, size, room)
        images = restrict(found.images, healed.images, allowed)
        return found._replace(images=images, findings=healed.findings)

    @torch.no_grad()
    def fill(
        self, pixels: Tensor, hole: Tensor, working_size: int | None, room: Room = OPEN
    ) -> Retouched:
        """Fills holes B 1 H W of photos B 3 H W in [0, 1] of one size; see `retouching.fill`."""
        return fill(self._way("inpainter", working_size), pixels, hole, room)

    def _way(self, part: str, working_size: int | None) -> Way:
        return Way(part, planes_of(self._part(part)), working_size, self.config["tile_size"])

    def _answer(
        self,
        photos: list[Photo],
        act: Callable[[slice, Tensor], Retouched],
        output_type: str,
        return_dict: bool,
    ) -> BPFRePipelineOutput | tuple:
        """Acts on all photos at once where they are of one size, else on each by itself."""
        same = len({photo.pixels.shape for photo in photos}) == 1
        batches = [slice(None)] if same else [slice(i, i + 1) for i in range(len(photos))]
        stacks = ((some, torch.stack([each.pixels for each in photos[some]])) for some in batches)
        try:
            parts = [act(some, pixels.to(self._execution_device)) for some, pixels in stacks]
        finally:
            self.maybe_free_model_hooks()
        output = make_output(parts, photos, output_type)
        return output if return_dict else output.to_tuple()

    def _part(self, name: str) -> Any:
        network = getattr(self, name)
        if network is None:
            raise ValueError(f"this pipeline has no {name}: {MISSING[name]}")
        return network

    def _working_size(self, size: int | str | None) -> int | None:
        if isinstance(size, str) and size == "config":
            return self.config["working_size"]
        return check_working_size(size, self.size_requirements.minimum)
