"""MoFRR's steps: route, draw noise, run experts, apply their edits, merge them.

Photos are B 3 H W in [-1, 1] of any size, and each step brings them to the working size itself:
called one by one (as nodes of a graph, say), the steps give what the pipeline gives, to the bit.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .mofrr_expert_v62eaf710 import warp
from .frr_images_v62eaf710 import MULTIPLE, pad_to_multiple, to_working_size, working_shape
from .mofrr_edits_v62eaf710 import (
    AppliedEdit,
    ExpertEdit,
    ExpertRun,
    check_latents,
    check_scheduler,
    denoise,
    draw_noise,
)
from .mofrr_parts_v62eaf710 import SHARED, MoFRRParts
from .mofrr_request_v62eaf710 import (
    Generators,
    OnEstimate,
    OnStep,
    Operations,
    WorkingSize,
    read_degrees,
    read_operations,
)
from .mofrr_routing_v62eaf710 import Routing, check_experts, decide


class MoFRRSteps(MoFRRParts):
    """The steps as methods of a pipeline that has the parts `MoFRRPipeline` describes."""

    router: Any
    scheduler: Any
    shared_expert: Any
    merger: Any
    _num_timesteps = 0

    @property
    def num_timesteps(self) -> int:
        """Denoising steps of the last call."""
        return self._num_timesteps

    @torch.no_grad()
    def route(
        self,
        photo: Tensor,
        operations: Operations = None,
        degrees: Mapping[str, float] | None = None,
        working_size: WorkingSize = "config",
    ) -> Routing:
        """Decides what is to be undone on each photo B 3 H W; the rest as for `__call__`."""
        wishes = read_operations(operations, self.operations)
        given = read_degrees(degrees, self.operations)
        available = {name: self._expert(name) is not None for name in self.operations}
        check_experts(wishes, available, self.router is not None)
        estimate, thresholds = None, [1.0] * len(wishes)
        if self.router is not None:
            thresholds = self.router.config.thresholds
            verdict = self.router(self._working(photo, working_size).to(self.router.dtype))
            expected = verdict.degrees.float()
            if self.config.get("degree_source", "expert") == "expert":
                expected = torch.full_like(expected, torch.nan)
            estimate = verdict.probabilities.float(), expected
        routing = decide(estimate, thresholds, wishes, given, list(available.values()), len(photo))
        return Routing(*(field.to(photo.device) for field in routing))

    def prepare_latents(
        self,
        photo: Tensor,
        generator: Generators = None,
        latents: Tensor | None = None,
        num_samples: int = 1,
        working_size: WorkingSize = "config",
    ) -> Tensor:
        """Unit noise for all experts, whatever is active: B * num_samples, K + 1, 3, h, w.

        Args:
            photo: B 3 H W.
            generator: one, or a list with one for each photo.
            latents: the caller's noise of that shape, instead of a draw.
            num_samples: different noises for each photo; those of one photo follow one another.
            working_size: as for `__call__`.
        """
        shape = (len(self.expert_names), *self._latent_shape(photo, working_size))
        if latents is None:
            latents = draw_noise(len(photo), shape, num_samples, generator, photo.device)
        check_latents(latents, (len(photo) * num_samples, *shape))
        return latents.to(photo.device, torch.float32)

    @torch.no_grad()
    def run_experts(
        self,
        photo: Tensor,
        active: Tensor,
        degrees: Tensor,
        latents: Tensor,
        num_inference_steps: int = 2,
        generator: Generators = None,
        on_step: OnStep = lambda index, timestep, latents: latents,
        working_size: WorkingSize = "config",
        on_estimate: OnEstimate | None = None,
    ) -> tuple[dict[str, ExpertEdit], Tensor]:
        """Denoises with the active experts, each on the photos where it is active.

        The scheduler steps the latents of all experts as one tensor, so an expert's result does not
        depend on which others run.

        Args:
            photo: B 3 H W in [-1, 1].
            active: B (K + 1), bool, the shared expert last.
            degrees: B K in [0, 1]; NaN = the expert's own estimate.
            latents: B (K + 1) 3 h w, from `prepare_latents`.
            num_inference_steps: denoising steps.
            generator: for schedulers that draw noise in their steps; a list has one for each row.
            on_step: (index, timestep, latents) -> latents, called after every step.
            working_size: as for `__call__`.
            on_estimate: (index, predictions), called in every step with what the experts predict,
                B (K + 1) 3 h w: the clean low bands, zeros for experts that do not run.

        Returns:
            Each active expert's edit at working size, and the denoised latents.
        """
        runs = self._start(photo, active, degrees, working_size)
        if not runs:
            return {}, latents
        check_scheduler(self.scheduler, [run.expert for run in runs.values()])
        self.scheduler.set_timesteps(num_inference_steps, device=photo.device)
        self._num_timesteps = len(self.scheduler.timesteps)
        latents = latents * self.scheduler.init_noise_sigma
        with self.progress_bar(total=self._num_timesteps) as bar:  # pyright: ignore

            def advance(index: int, timestep: Tensor, latents: Tensor) -> Tensor:
                bar.update()
                return on_step(index, timestep, latents)

            latents = denoise(self.scheduler, latents, runs, generator, advance, on_estimate)
        shape = working_shape(photo, self._size(working_size))
        edits = {
            self.expert_names[place]: run.edit(latents[run.rows, place], shape)
            for place, run in runs.items()
        }
        return edits, latents

    def run_expert(
        self,
        name: str,
        photo: Tensor,
        degree: Tensor | None,
        latents: Tensor,
        **options: Any,
    ) -> ExpertEdit:
        """One expert on all photos: `run_experts` with `name` alone active.

        Args:
            name: an operation, or "shared".
            photo: B 3 H W in [-1, 1].
            degree: B in [0, 1]; None, or NaN, = the expert's own estimate.
            latents: of all experts, from `prepare_latents`.
            options: as for `run_experts`.
        """
        active = photo.new_zeros(len(photo), len(self.expert_names), dtype=torch.bool)
        active[:, self.expert_names.index(name)] = True
        if degree is None:
            degree = photo.new_full((len(photo),), torch.nan)
        degrees = degree[:, None].expand(-1, len(self.operations))
        return self.run_experts(photo, active, degrees, latents, **options)[0][name]

    @torch.no_grad()
    def apply(self, photo: Tensor, edit: ExpertEdit, strength: float = 1.0) -> AppliedEdit:
        """Brings an edit to the photos' size and applies a part of it; B 3 H W in [-1, 1]."""
        edit = edit.resized(photo.shape[-2], photo.shape[-1], strength)
        image = warp(photo[edit.rows], edit.flow) + edit.residual
        return AppliedEdit(edit.rows, image, edit.flow, edit.residual, edit.degree)

    @torch.no_grad()
    def merge(self, photo: Tensor, edits: Mapping[str, AppliedEdit], gates: Tensor) -> Tensor:
        """Fuses the experts' images into one residual.

        Args:
            photo: B 3 H W in [-1, 1].
            edits: of the experts that ran.
            gates: B K, from `route`.

        Returns:
            B 3 H W on the [-1, 1] scale; exactly zero where no expert ran.
        """
        residuals = photo.new_zeros(len(photo), len(self.expert_names), *photo.shape[1:])
        ran = torch.zeros(residuals.shape[:2], dtype=torch.bool, device=photo.device)
        for place, name in enumerate(self.expert_names):
            if name in edits:
                rows = edits[name].rows
                residuals[rows, place] = edits[name].image - photo[rows]
                ran[rows, place] = True
        if self.merger is None:
            alone = ~ran[:, :-1].any(dim=1)
            merged = residuals[:, :-1].sum(dim=1)
            merged[alone] = residuals[alone, -1]
            return merged
        merged, rows = torch.zeros_like(photo), ran.any(dim=1).nonzero()[:, 0]
        if len(rows):
            inputs = (photo[rows], residuals[rows], gates[rows])
            inputs = (tensor.to(self.merger.dtype) for tensor in inputs)
            merged[rows] = self.merger(*inputs).float()
        return merged

    def _size(self, working_size: WorkingSize) -> int | None:
        return self.config["working_size"] if working_size == "config" else working_size

    def _working(self, photo: Tensor, working_size: WorkingSize) -> Tensor:
        """The photo at working size, padded to the multiple that networks need."""
        return pad_to_multiple(to_working_size(photo, self._size(working_size)))

    def _latent_shape(self, photo: Tensor, working_size: WorkingSize) -> tuple[int, int, int]:
        shape = working_shape(photo, self._size(working_size))
        height, width = (-(-side // MULTIPLE) * MULTIPLE for side in shape)
        experts = {name: self._expert(name) for name in self.expert_names}
        shapes = {
            name: tuple(expert.latent_shape(height, width))
            for name, expert in experts.items()
            if expert is not None
        }
        if len(set(shapes.values())) > 1:
            raise ValueError(
                f"the experts denoise tensors of different shapes ({shapes}); give all of them the "
                "same number of levels"
            )
        return next(iter(shapes.values()), (3, height // 4, width // 4))

    def _start(
        self, photo: Tensor, active: Tensor, degrees: Tensor, working_size: WorkingSize
    ) -> dict[int, ExpertRun]:
        """Every expert that is active anywhere, by its place, set on its photos."""
        runs: dict[int, ExpertRun] = {}
        if not active.any():
            return runs
        working = self._working(photo, working_size)
        for place, name in enumerate(self.expert_names):
            rows, expert = active[:, place].nonzero()[:, 0], self._expert(name)
            if len(rows) and expert is None:
                raise ValueError(f"{name} is active, but {name}_expert is None")
            if len(rows):
                degree = None if name == SHARED else degrees[:, place]
                runs[place] = ExpertRun(expert, rows, working, degree)
        return runs
