"""MoFRRPipeline: a retouched photo in, the photo before retouching out (MoFRR, ICCV 2025)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from diffusers import ModelMixin, SchedulerMixin
from torch import Tensor

from ...models.mofrr.expert import WaveFRRExpert
from ...models.mofrr.flow_expert import FlowExpert
from ...models.mofrr.merger import ExpertMerger
from ...models.mofrr.native_router import NativeRouter
from ...models.mofrr.router import RetouchRouter
from ...models.mofrr.shared import SharedExpert
from ...models.mofrr.texture_expert import TextureExpert
from ...models.mofrr.tone_expert import ToneExpert
from ..arguments import check_working_size
from ..photos.arrays import read_photos, stack
from ..repository.reader import RepositoryReader
from ..repository.writer import RepositoryWriter
from .clips import MoFRRClips
from .output import (
    MoFRRPipelineOutput,
    make_output,
)
from .request import (
    Generators,
    Operations,
    Request,
    WorkingSize,
    group_by_size,
    read_callback,
)

DEGREE_SOURCES = ("expert", "router")
# 10 to 15 % quicker on a CPU; the other parts are not
CHANNELS_LAST = ("denoiser", "warp_head", "tone_head")


class MoFRRPipeline(MoFRRClips, RepositoryReader, RepositoryWriter):  # pyright: ignore
    """Undoes face retouching: a router finds the operations, experts undo them, a merger fuses.

    Each operation has an `<operation>_expert` among the constructor's parameters, in the order of
    the router's outputs; `for_operations` gives the class for other operations than the four, and
    `from_pretrained` takes the operations from the repository. Every part but the scheduler may be
    None: an operation without its expert is never active, without the router the caller decides,
    without the merger the edits are added.

    Args:
        router: RetouchRouter, photo -> probability and degree of each operation.
        scheduler: a diffusers scheduler whose `prediction_type` is what the experts predict.
        whitening_expert: WaveFRRExpert that undoes skin whitening.
        smoothing_expert: WaveFRRExpert that undoes skin smoothing.
        face_slimming_expert: WaveFRRExpert that undoes face slimming.
        eye_enlarging_expert: WaveFRRExpert that undoes eye enlarging.
        shared_expert: SharedExpert, runs wherever any other does.
        merger: ExpertMerger, residuals and probabilities -> one residual.
        working_size: photos whose shorter side is longer are reduced to it for router and experts,
            whose edits are brought back to full size; None always works at the photo's own size.
        degree_source: who estimates degrees that the caller does not give: "expert", each expert's
            own estimator as in the paper, or "router".
    """

    _callback_tensor_inputs: ClassVar[list[str]] = ["latents"]

    def __init__(
        self,
        scheduler: SchedulerMixin,
        working_size: int | None = 256,
        degree_source: str = "expert",
        **networks: ModelMixin | None,
    ) -> None:
        super().__init__()
        if degree_source not in DEGREE_SOURCES:
            raise ValueError(
                f"degree_source is {degree_source!r}; expected one of {DEGREE_SOURCES}"
            )
        check_working_size(working_size, self.size_requirements.minimum)
        self.register_modules(scheduler=scheduler, **networks)
        self.register_to_config(working_size=working_size, degree_source=degree_source)
        present: list[Any] = [each for each in networks.values() if each is not None]
        for network in present:
            network.eval()
            for part in CHANNELS_LAST:
                if hasattr(network, part):
                    getattr(network, part).to(memory_format=torch.channels_last)
            names = tuple(network.config.get("operations", self.operations))
            if names != self.operations:
                raise ValueError(
                    f"{type(network).__name__} was made for the operations {', '.join(names)}; "
                    f"the pipeline's are {', '.join(self.operations)}, in this order"
                )

    @classmethod
    def network_classes(cls, name: str) -> tuple[type[ModelMixin], ...]:
        """The classes of which the network that stands as component `name` may be."""
        own: dict[str, tuple[type[ModelMixin], ...]] = {
            "router": (RetouchRouter, NativeRouter),
            "shared_expert": (SharedExpert,),
            "merger": (ExpertMerger,),
        }
        return own.get(name, (WaveFRRExpert, FlowExpert, ToneExpert, TextureExpert))

    @classmethod
    def modular_blocks(cls) -> type[Any]:
        """The blocks of the modular pipeline, whose files do not import this one."""
        from .modular import MoFRRBlocks

        return MoFRRBlocks

    @torch.no_grad()
    def __call__(
        self,
        image: Any,
        num_inference_steps: int = 1,
        strength: float = 1.0,
        operations: Operations = None,
        degrees: Mapping[str, float] | None = None,
        generator: Generators = None,
        latents: Tensor | None = None,
        num_samples: int = 1,
        output_type: str = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[..., dict[str, Any]] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        skip_untouched: bool = True,
        working_size: WorkingSize = "config",
    ) -> MoFRRPipelineOutput | tuple:
        """Restores photos.

        ```
        photo -+-> the router's size -> router -> probabilities, degrees -> active set
               |                                                       (or the caller's)
               |                                                                |
               +-> working size -+-> Haar x2 -> low, details -> experts <-------+
               |     (padded)    |             [num_inference_steps]  |
               |                 +-> reduced photo -> shared expert --+-> flow, residual
               |                                                              |
               +-> its own pixels, warped + residual (both at full size) <----+
               |                                 |
               v                                 v
        restored = photo + sum of merger's gains * changes   (gains found at the experts' size)
        ```

        `restoration.py` reads as this diagram does, from the top to the bottom.

        Args:
            image: a PIL image, a numpy array (H W C or B H W C), a tensor (C H W or B C H W) or a
                list of these; values in [0, 1] or uint8; grey, RGB or RGBA; of any size. Photos of
                different sizes are restored one after the other.
            num_inference_steps: denoising steps of each expert.
            strength: what part of flow and residual is applied, 0 = nothing .. 1 = all.
            operations: None lets the router decide (probability >= its threshold); names force
                exactly those on; a mapping name -> True / False / "auto" leaves the rest to it.
            degrees: name -> degree in [0, 1]; what is not named is estimated.
            generator: seeds the noise; a list has one for each photo.
            latents: the noise itself, of the shape that `prepare_latents` gives.
            num_samples: more than one gives as many `candidates` of each photo: experts that answer
                at once draw the degrees that are not known from what the router believes of them,
                seeded by the generator's seed (not its state), so that a photo's candidates are the
                same alone and among others. The image is not their mean but the answer without a
                degree; of experts that denoise it is the mean over as many noises.
            output_type: "pil", "np", "pt" or "latent".
            return_dict: False gives a plain tuple without the fields that are None.
            callback_on_step_end: called as (pipeline, index, timestep, tensors) after every step;
                the "latents" in the dict it returns replace the pipeline's.
            callback_on_step_end_tensor_inputs: which tensors it gets: "latents".
            skip_untouched: photos with no active operation come back bit for bit, and a call that
                has no others draws no noise; with False the shared expert alone runs on them, as
                in the paper.
            working_size: side in pixels, None for the photo's own, "config" for the pipeline's.

        Returns:
            MoFRRPipelineOutput, or a tuple whose first item is the images.

        Raises:
            ValueError: an argument out of its range, or an operation without the part it needs.
        """
        request = Request(
            num_inference_steps,
            strength,
            operations,
            degrees,
            num_samples,
            skip_untouched,
            working_size,
            output_type,
            keep_edits=True,
            keep_samples=True,
        )
        request.check(self.size_requirements.minimum)
        on_step = read_callback(callback_on_step_end, callback_on_step_end_tensor_inputs, self)
        read = read_photos(image)
        photos = [photo.pixels for photo in read]
        sizes = [tuple(photo.shape) for photo in photos]
        try:
            parts = [
                self.restore(self._placed(photos[batch]), request, each, latents, on_step)
                for batch, each in group_by_size(sizes, generator, latents)
            ]
        finally:
            self.maybe_free_model_hooks()
        alphas = [photo.alpha for photo in read]
        output = make_output(parts, alphas, self.expert_names, output_type)
        return output if return_dict else output.to_tuple()

    def _placed(self, photos: Sequence[Tensor]) -> Tensor:
        """Photos of one size as a batch where the networks run."""
        pixels = stack(photos)
        return pixels.to(self._execution_device, non_blocking=pixels.is_pinned())
