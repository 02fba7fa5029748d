"""MoFRR's steps: route, draw noise, run experts, apply their edits, merge them.

Photos are B 3 H W in [-1, 1] of any size, and each step brings them to the working size itself:
called one by one (as nodes of a graph, say), the steps give what the pipeline gives, to the bit.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..photos.arrays import (
    MULTIPLE,
    pad_to_multiple,
    reduce_to,
    to_shape,
    to_working_size,
    working_shape,
)
from .components import SHARED, MoFRRParts, dtype_of
from .edits import AppliedEdit, ExpertEdit, put, take
from .experts import (
    ExpertRun,
    WorkingPhotos,
    awake,
    check_latents,
    check_scheduler,
    denoise,
    draw_noise,
)
from .request import (
    Generators,
    OnEstimate,
    OnStep,
    Operations,
    WorkingSize,
    read_degrees,
    read_operations,
)
from .routing import Routing, check_experts, decide


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
            verdict = self.router(self._working(photo, working_size).to(dtype_of(self.router)))
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
        num_inference_steps: int = 1,
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
        self.scheduler.set_timesteps(num_inference_steps)  # on the CPU: steps then wait for nothing
        self._num_timesteps = len(self.scheduler.timesteps)
        latents = latents * self.scheduler.init_noise_sigma
        with self.progress_bar(total=self._num_timesteps) as bar:  # pyright: ignore

            def advance(index: int, timestep: Tensor, latents: Tensor) -> Tensor:
                bar.update()
                return on_step(index, timestep, latents)

            latents = denoise(self.scheduler, latents, runs, generator, advance, on_estimate)
        shape = working_shape(photo, self._size(working_size))
        edits = {
            self.expert_names[place]: run.edit(take(latents[:, place], run.rows), shape)
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
        height, width = photo.shape[-2:]
        small = edit.scaled(strength)
        scale = height / small.residual.shape[-2], width / small.residual.shape[-1]
        whole = small.resized(height, width).on(take(photo, edit.rows))
        return whole._replace(scale=scale, small=small)

    @torch.no_grad()
    def merge(self, photo: Tensor, edits: Mapping[str, AppliedEdit], gates: Tensor) -> Tensor:
        """Fuses the experts' images into one residual.

        The merger sees everything at the size that the experts worked at, and the gains it finds
        there are brought to the photos' size.

        Args:
            photo: B 3 H W in [-1, 1].
            edits: of the experts that ran.
            gates: B K, from `route`.

        Returns:
            B 3 H W on the [-1, 1] scale; exactly zero where no expert ran.
        """
        merged = torch.zeros_like(photo)
        if not edits:
            return merged
        changes = {name: edit.change(take(photo, edit.rows)) for name, edit in edits.items()}
        gains = self._gains(photo, edits, changes, gates)
        for name, edit in edits.items():
            sums = take(merged, edit.rows)
            put(merged, edit.rows, sums.addcmul_(changes[name], gains[name]))
        return merged

    def _gains(
        self,
        photo: Tensor,
        edits: Mapping[str, AppliedEdit],
        changes: Mapping[str, Tensor],
        gates: Tensor,
    ) -> dict[str, Tensor]:
        """How much of each change counts, n 1 H W or smaller: found at the experts' size."""
        if self.merger is None:  # the sum of the specialised ones; the shared one where it is alone
            gains = {name: photo.new_ones(len(edit.rows), 1, 1, 1) for name, edit in edits.items()}
            special = [edit.rows for name, edit in edits.items() if name != SHARED]
            if SHARED in edits and special:
                accompanied = torch.isin(edits[SHARED].rows, torch.cat(special))
                gains[SHARED][accompanied] = 0
            return gains
        rows = torch.cat([edit.rows for edit in edits.values()]).unique()
        places = {name: torch.searchsorted(rows, edit.rows) for name, edit in edits.items()}
        scales = [edit.scale for edit in edits.values()]
        sides = zip(photo.shape[-2:], *scales, strict=True)
        height, width = (max(1, round(side / min(each))) for side, *each in sides)

        small = reduce_to(take(photo, rows), (height, width))
        residuals = small.new_zeros(len(small), len(self.expert_names), 3, height, width)
        present = [(i, name) for i, name in enumerate(self.expert_names) if name in edits]
        for index, name in present:
            change = edits[name].small_change(changes[name], take(small, places[name]))
            put(residuals[:, index], places[name], change)
        merger = awake(self.merger)
        inputs = (each.to(dtype_of(merger)) for each in (small, residuals, take(gates, rows)))
        found = merger.gains(*inputs).float()
        return {
            name: to_shape(take(found[:, i : i + 1], places[name]), photo.shape[-2:])
            for i, name in present
        }

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
        active, known = active.cpu(), ~degrees.isnan().cpu()
        touched = active.any(dim=1).nonzero()[:, 0]
        if not len(touched):
            return runs
        photos = WorkingPhotos(self._working(photo, working_size), touched.to(photo.device))
        for place, name in enumerate(self.expert_names):
            rows, expert = active[:, place].nonzero()[:, 0], self._expert(name)
            if len(rows) and expert is None:
                raise ValueError(f"{name} is active, but {name}_expert is None")
            if len(rows):
                all_known = name != SHARED and bool(known[rows, place].all())
                rows = rows.to(photo.device)
                degree = None if name == SHARED else degrees[rows, place]
                runs[place] = ExpertRun(expert, rows, photos, degree, all_known)
        return runs
