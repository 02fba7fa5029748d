"""MoFRRPipeline: a retouched photo in, the photo before retouching out (MoFRR, ICCV 2025)."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline, ModelMixin, SchedulerMixin
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from torch import Tensor

from ..models.mofrr_expert import WaveFRRExpert
from ..models.mofrr_merger import ExpertMerger
from ..models.mofrr_router import RetouchRouter
from ..models.mofrr_shared import SharedExpert
from .frr_images import (
    Photo,
    add_residual,
    read_photos,
    stack_images,
    to_signed,
    to_unit,
    write_images,
)
from .frr_loading import RepositoryReader
from .frr_repository import RepositoryWriter
from .mofrr_edits import AppliedEdit, Generators, OnStep, check_generators
from .mofrr_result import MoFRRPipelineOutput, Restoration, collect
from .mofrr_routing import Operations, Request, Routing
from .mofrr_steps import SHARED, MoFRRSteps, WorkingSize


class MoFRRPipeline(MoFRRSteps, RepositoryReader, RepositoryWriter, DiffusionPipeline):
    """Undoes face retouching: a router finds the operations, experts undo them, a merger fuses.

    An operation is a parameter `<operation>_expert` of the constructor; their order is the order of
    the router's outputs. Every part but the scheduler may be None: an operation without its expert
    is never active, without the router the caller decides, without the merger the edits are added.

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
    """

    network_classes = (RetouchRouter, WaveFRRExpert, SharedExpert, ExpertMerger)
    model_cpu_offload_seq = (
        "router->whitening_expert->smoothing_expert->face_slimming_expert->eye_enlarging_expert"
        "->shared_expert->merger"
    )
    _optional_components: ClassVar[list[str]] = model_cpu_offload_seq.split("->")
    _callback_tensor_inputs: ClassVar[list[str]] = ["latents"]

    def __init__(
        self,
        router: ModelMixin | None,
        scheduler: SchedulerMixin,
        whitening_expert: ModelMixin | None = None,
        smoothing_expert: ModelMixin | None = None,
        face_slimming_expert: ModelMixin | None = None,
        eye_enlarging_expert: ModelMixin | None = None,
        shared_expert: ModelMixin | None = None,
        merger: ModelMixin | None = None,
        working_size: int | None = 256,
    ) -> None:
        super().__init__()
        self.register_modules(
            router=router,
            scheduler=scheduler,
            whitening_expert=whitening_expert,
            smoothing_expert=smoothing_expert,
            face_slimming_expert=face_slimming_expert,
            eye_enlarging_expert=eye_enlarging_expert,
            shared_expert=shared_expert,
            merger=merger,
        )
        self.register_to_config(working_size=working_size)
        self._num_timesteps = 0
        for network in (part for part in self.components.values() if isinstance(part, ModelMixin)):
            network.eval()
            names = tuple(network.config.get("operations", self.operations))
            if names != self.operations:
                raise ValueError(
                    f"{type(network).__name__} was made for the operations {', '.join(names)}; "
                    f"the pipeline's are {', '.join(self.operations)}, in this order"
                )

    @property
    def operations(self) -> tuple[str, ...]:
        """Names of the operations, in the order of the router's outputs."""
        return self.expert_names[:-1]

    @property
    def expert_names(self) -> tuple[str, ...]:
        """The operations, then "shared": the order of latents and of the merger's residuals."""
        parameters = inspect.signature(type(self).__init__).parameters
        names = [name.removesuffix("_expert") for name in parameters if name.endswith("_expert")]
        return (*(name for name in names if name != SHARED), SHARED)

    @property
    def num_timesteps(self) -> int:
        """Denoising steps of the last call."""
        return self._num_timesteps

    @torch.no_grad()
    def __call__(
        self,
        image: Any,
        num_inference_steps: int = 4,
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
        photo -> working size, padded -+-> router ----> probabilities, degrees -> active set
                                       |                                     (or the caller's)
                                       |                                             |
                                       +-> Haar x2 -> low, details -> experts <------+
                                       |              [num_inference_steps]  |
                                       +-> reduced photo -> shared expert ---+-> flow, residual
                                                                             |
        photo ---------------------------------------------------------------+-> warped + residual,
                                                                             |   at full size
        restored <- photo + merger(photo, residual images, probabilities) <--+
        ```

        Args:
            image: a PIL image, a numpy array (H W C or B H W C), a tensor (C H W or B C H W) or a
                list of these; values in [0, 1] or uint8; grey, RGB or RGBA; of any size. Photos of
                different sizes are restored one after the other.
            num_inference_steps: denoising steps of each expert.
            strength: what part of flow and residual is applied, 0 = nothing .. 1 = all.
            operations: None lets the router decide (probability >= its threshold); names force
                exactly those on; a mapping name -> True / False / "auto" leaves the rest to it.
            degrees: name -> degree in [0, 1]; what is not named the router estimates.
            generator: seeds the noise; a list has one for each photo.
            latents: the noise itself, of the shape that `prepare_latents` gives.
            num_samples: restore each photo with so many noises; the image is then their mean.
            output_type: "pil", "np", "pt" or "latent".
            return_dict: False gives a plain tuple without the fields that are None.
            callback_on_step_end: called as (pipeline, index, timestep, tensors) after every step;
                the "latents" in the dict it returns replace the pipeline's.
            callback_on_step_end_tensor_inputs: which tensors it gets: "latents".
            skip_untouched: photos with no active operation come back bit for bit; with False the
                shared expert alone runs on them, as in the paper.
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
        )
        request.check()
        on_step = self._on_step(callback_on_step_end, callback_on_step_end_tensor_inputs)
        photos = read_photos(image)
        try:
            parts = [
                self._restore(batch, each, latents, request, on_step)
                for batch, each in _batches(photos, generator, latents)
            ]
        finally:
            self.maybe_free_model_hooks()
        output = self._output(photos, parts, output_type)
        return output if return_dict else output.to_tuple()

    def _on_step(
        self, callback: Callable[..., dict] | None, tensor_inputs: Sequence[str]
    ) -> OnStep:
        """The caller's callback, in the form that `run_experts` takes."""
        if isinstance(callback, PipelineCallback | MultiPipelineCallbacks):
            tensor_inputs = callback.tensor_inputs
        unknown = [name for name in tensor_inputs if name not in self._callback_tensor_inputs]
        if unknown:
            raise ValueError(
                f"callback_on_step_end_tensor_inputs has {unknown}; known are "
                f"{self._callback_tensor_inputs}"
            )

        def on_step(index: int, timestep: Tensor, latents: Tensor) -> Tensor:
            if callback is None:
                return latents
            tensors = {"latents": latents} if "latents" in tensor_inputs else {}
            return callback(self, index, timestep, tensors).pop("latents", latents)

        return on_step

    def _restore(
        self,
        photos: list[Photo],
        generator: Generators,
        latents: Tensor | None,
        request: Request,
        on_step: OnStep,
    ) -> Restoration:
        """Restores photos of one size."""
        count, size = request.num_samples, request.working_size
        pixels = torch.stack([photo.pixels for photo in photos]).to(self._execution_device)
        photo = to_signed(pixels)
        routing = self.route(photo, request.operations, request.degrees, size)
        acting = self._acting(routing, request)
        latents = self.prepare_latents(photo, generator, latents, count, size)

        samples = photo.repeat_interleave(count, 0)
        gates = routing.gates.repeat_interleave(count, 0)
        if isinstance(generator, list | tuple):
            generator = [each for each in generator for _ in range(count)]
        edits, latents = self.run_experts(
            samples,
            acting.repeat_interleave(count, 0),
            routing.degrees.repeat_interleave(count, 0),
            latents,
            request.num_inference_steps,
            generator,
            on_step,
            size,
        )
        applied: dict[str, AppliedEdit] = {}
        uncertainty = None
        if request.output_type != "latent":
            applied = {
                name: self.apply(samples, edit, request.strength) for name, edit in edits.items()
            }
            residual = self.merge(samples, applied, gates)
            restored = add_residual(pixels.repeat_interleave(count, 0), residual)
            pixels, uncertainty = _summarise(restored, pixels, acting, count)
        degrees = torch.zeros_like(routing.degrees)
        for place, name in enumerate(self.operations):
            if name in edits:
                degrees[edits[name].rows // count, place] = edits[name].degree
        applied = {name: edit.averaged(count) for name, edit in applied.items()}
        active = acting[:, :-1]
        return Restoration(
            pixels, latents, routing.probabilities, degrees, active, applied, uncertainty
        )

    def _acting(self, routing: Routing, request: Request) -> Tensor:
        """Which experts run on which photo, the shared one last: B (K + 1), bool."""
        shared = routing.active.any(dim=1, keepdim=True)
        if not request.skip_untouched:
            shared = torch.ones_like(shared)
        if self.shared_expert is None:
            shared = torch.zeros_like(shared)
        acting = torch.cat((routing.active, shared), dim=1)
        return acting if request.strength > 0 else torch.zeros_like(acting)

    def _output(
        self, photos: list[Photo], parts: list[Restoration], output_type: str
    ) -> MoFRRPipelineOutput:
        reports = ("routing", "degrees", "active")
        report = {name: torch.cat([getattr(part, name) for part in parts]) for name in reports}
        if output_type == "latent":
            latents = [part.latents for part in parts]
            return MoFRRPipelineOutput(latents if len(parts) > 1 else latents[0], **report)

        def write(planes: list[Tensor | None]) -> list[Any]:
            present = [to_unit(each) for each in planes if each is not None]
            images = iter(write_images(present, [None] * len(present), output_type))
            return [None if each is None else next(images) for each in planes]

        restored = [image for part in parts for image in part.images]
        images = write_images(restored, [photo.alpha for photo in photos], output_type)
        uncertainty: Any = [part.uncertainty for part in parts]
        return MoFRRPipelineOutput(
            stack_images(images),
            **report,
            **collect(parts, self.expert_names, write),
            uncertainty=uncertainty if len(parts) > 1 else uncertainty[0],
        )


def _batches(
    photos: list[Photo], generator: Generators, latents: Tensor | None
) -> list[tuple[list[Photo], Generators]]:
    """The photos as one batch, or each alone where their sizes differ; with their generators."""
    check_generators(generator, len(photos))
    sizes = {tuple(photo.pixels.shape[1:]) for photo in photos}
    if len(sizes) == 1:
        return [(photos, generator)]
    if latents is not None:
        raise ValueError(
            f"latents came with photos of different sizes ({sizes}); restore each size by itself"
        )
    generators = generator if isinstance(generator, list | tuple) else [generator] * len(photos)
    return [([photo], each) for photo, each in zip(photos, generators, strict=True)]


def _summarise(
    restored: Tensor, pixels: Tensor, acting: Tensor, num_samples: int
) -> tuple[Tensor, Tensor | None]:
    """Mean and spread of each photo's samples; what no expert touched stays as it came."""
    if num_samples == 1:
        return restored, None
    samples = restored.unflatten(0, (len(pixels), num_samples))
    touched = acting.any(dim=1)[:, None, None, None]
    spread = samples.var(dim=1).mean(dim=1, keepdim=True).sqrt() * touched
    return torch.where(touched, samples.mean(dim=1), pixels), spread
