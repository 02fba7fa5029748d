"""The steps of a restoration: route, draw noise, run experts, apply their edits, merge them.

Each is a method that can be called by itself (as a node of a graph, say) and then gives what
`restore` gives, to the bit. Photos are B 3 H W in [-1, 1] of any size; each step brings them to the
working size itself, and edits are applied to the photo's own pixels.
"""

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...models.mofrr.contract import ESTIMATED, DirectExpert, Expert, Merger, Router
from ...models.sizes import LATENT_STRIDE
from ..photos.arrays import (
    add_residual,
    pad_to_multiple,
    to_signed,
    to_working_size,
    working_shape,
)
from ..placement import dtype_of
from ..room import OPEN, Room, Share, Work
from .components import MoFRRParts
from .direct import DirectEdit, denoises
from .edits import AppliedEdit, ExpertEdit, put, take
from .experts import Task, check_latents, check_scheduler, draw_noise
from .merging import averaged, merge
from .output import Joined, repeat, summarise_samples
from .request import (
    Generators,
    OnStep,
    Operations,
    WorkingSize,
    read_degrees,
    read_operations,
)
from .routing import Estimate, Routing, check_experts, decide, forced
from .running import Runner


def keep(index: int, timestep: Tensor, latents: Tensor) -> Tensor:
    """What happens after a step by default: nothing."""
    return latents


class MoFRRSteps(MoFRRParts):
    """The steps as methods of a pipeline that has the parts `MoFRRPipeline` describes."""

    router: Router | None
    scheduler: Any  # every scheduler of diffusers has its own interface
    merger: Merger | None
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
        clip: bool = False,
        room: Room = OPEN,
    ) -> Routing:
        """Decides what is to be undone on photos B 3 H W in [-1, 1].

        Args:
            photo: at its own size; the router's requirements say at which size it looks.
            operations: as for `__call__`.
            degrees: as for `__call__`.
            working_size: as for `__call__`, for a router that looks at the experts' size.
            clip: whether the photos are frames of one clip, judged as one.
            room: the memory to do it in.
        """
        wishes = read_operations(operations, self.operations)
        given = read_degrees(degrees, self.operations)
        check_experts(wishes, self.available, self.router is not None)
        router = self.router
        if router is None:
            return decide(forced(wishes, photo), wishes, given, tuple(self.available.values()))
        own = router.size_requirements.working
        size = working_size if own is None else own

        def judge(share: Share) -> list[Tensor]:
            verdicts = []
            for part in photo.split(share.photos):
                room.check()
                part = part.to(share.device or part.device)
                small = self._working(part, size) if own is None else to_working_size(part, own)
                verdict = router(small.to(dtype_of(router)))
                verdicts.append((verdict.probabilities.float(), verdict.degrees.float()))
            return [torch.cat(fields).to(photo.device) for fields in zip(*verdicts, strict=True)]

        height, width = working_shape(photo, self._size(size))
        work = Work("router", len(photo), height, width, tiles=False)
        found, expected = room.split(work, judge)
        degree = expected
        if self.config.get("degree_source", "expert") == "expert":
            degree = torch.full_like(expected, ESTIMATED)
        estimate = Estimate(found, degree, tuple(router.config.thresholds), expected)
        estimate = estimate.of_clip() if clip else estimate
        return decide(estimate, wishes, given, tuple(self.available.values()))

    def prepare_latents(
        self,
        photo: Tensor,
        generator: Generators = None,
        latents: Tensor | None = None,
        num_samples: int = 1,
        working_size: WorkingSize = "config",
        clip: bool = False,
    ) -> Tensor:
        """Unit noise for all experts, whatever is active: B * num_samples, K + 1, 3, h, w.

        Args:
            photo: B 3 H W.
            generator: one, or a list with one for each photo.
            latents: the caller's noise of that shape, instead of a draw.
            num_samples: different noises for each photo; those of one photo follow one another.
            working_size: as for `__call__`.
            clip: whether all photos get the noise of the first.
        """
        shape = (len(self.expert_names), *self._latent_shape(photo, working_size))
        if latents is None:
            drawn = 1 if clip else len(photo)
            latents = draw_noise(drawn, shape, num_samples, generator, photo.device)
            latents = latents.repeat(len(photo) // drawn, 1, 1, 1, 1) if clip else latents
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
        on_step: OnStep = keep,
        working_size: WorkingSize = "config",
        clip: bool = False,
        room: Room = OPEN,
    ) -> tuple[dict[str, ExpertEdit | DirectEdit], Tensor]:
        """Denoises with the active experts, each on the photos where it is active.

        The scheduler steps the latents of all experts as one tensor, so an expert's result does not
        depend on which others run, nor on whether they run together or one after the other.

        Args:
            photo: B 3 H W in [-1, 1].
            active: B (K + 1), bool, the shared expert last.
            degrees: B K in [0, 1]; NaN = the expert's own estimate.
            latents: B (K + 1) 3 h w, from `prepare_latents`.
            num_inference_steps: denoising steps.
            generator: for schedulers that draw noise in their steps; a list has one for each row.
            on_step: (index, timestep, latents) -> latents, called after every step.
            working_size: as for `__call__`.
            clip: whether each estimated degree is the mean over the photos.
            room: the memory to do it in.

        Returns:
            Each active expert's edit at working size, and the denoised latents.
        """
        unknown = torch.full_like(degrees[:, :1], ESTIMATED)
        task = Task(photo, active.cpu(), torch.cat((degrees, unknown), dim=1), latents)
        acting = task.active.any(0).tolist()
        present = [name for name, acts in zip(self.expert_names, acting, strict=True) if acts]
        experts = {name: self._present(name) for name in present}
        if not experts:
            return {}, latents
        denoisers = [each for each in experts.values() if denoises(each)]
        check_scheduler(self.scheduler, denoisers)
        scheduler = copy.deepcopy(self.scheduler)  # it counts steps: calls must not share it
        scheduler.set_timesteps(num_inference_steps)
        self._num_timesteps = timesteps = len(scheduler.timesteps) if denoisers else 0
        answers = int(len(denoisers) < len(experts))  # those at once are one step of the bar
        with self.progress_bar(total=timesteps + answers) as bar:  # pyright: ignore

            def advance(index: int, timestep: Tensor, latents: Tensor) -> Tensor:
                bar.update()
                return on_step(index, timestep, latents)

            runner = Runner(
                experts,
                self.expert_names,
                scheduler,
                num_inference_steps,
                generator,
                advance,
                partial(self._working, working_size=working_size),
                working_shape(photo, self._size(working_size)),
                self.size_requirements.multiple,
                room,
            )
            found = runner.run(task, clip)
            bar.update(answers)
            return found

    def run_expert(
        self,
        name: str,
        photo: Tensor,
        degree: Tensor | None,
        latents: Tensor,
        **options: Any,
    ) -> ExpertEdit | DirectEdit:
        """One expert on all photos: `run_experts` with `name` alone active.

        Args:
            name: an operation, or "shared".
            photo: B 3 H W in [-1, 1].
            degree: B in [0, 1], NaN where the expert is to estimate it, as it does for None.
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
    def apply(
        self, photo: Tensor, edit: ExpertEdit | DirectEdit, strength: float = 1.0
    ) -> AppliedEdit:
        """Brings an edit to the photos' size and applies a part of it; B 3 H W in [-1, 1]."""
        return edit.applied(photo, strength)

    @torch.no_grad()
    def merge(
        self,
        photo: Tensor,
        edits: Mapping[str, AppliedEdit],
        gates: Tensor,
        tile: int | None = None,
    ) -> Tensor:
        """Fuses the experts' images into one residual, B 3 H W; see `merging.merge`."""
        return merge(photo, edits, gates, self.merger, self.expert_names, tile)

    @torch.no_grad()
    def join(
        self,
        pixels: Tensor,
        edits: Mapping[str, ExpertEdit | DirectEdit],
        gates: Tensor,
        strength: float = 1.0,
        num_samples: int = 1,
        keep_edits: bool = False,
        room: Room = OPEN,
    ) -> Joined:
        """Applies and merges the experts' edits; photos that none touches keep every bit.

        Args:
            pixels: B 3 H W in [0, 1].
            edits: of the experts that ran on B * num_samples photos, at working size.
            gates: B K, from `route`.
            strength: what part of the edits is applied.
            num_samples: estimates of each photo, of which the mean is taken.
            keep_edits: whether the edits come back as they were applied.
            room: the memory to do it in.
        """
        original, gates = repeat(pixels, num_samples), repeat(gates, num_samples)
        restored = original.clone()  # `pixels` may be the caller's own
        rows = [edit.rows for edit in edits.values()] if strength > 0 else []
        touched = torch.cat(rows).unique() if rows else torch.zeros(0, dtype=torch.long)

        def act(share: Share) -> list[dict[str, AppliedEdit]]:
            kept = []
            for rows in touched.split(share.photos):
                room.check()
                part = take(original, rows).to(share.device or original.device)
                photo, some = to_signed(part), take(gates, rows).to(part.device)
                mine = {name: edit.of(rows, part.device) for name, edit in edits.items()}
                applied = {n: self.apply(photo, e, strength) for n, e in mine.items() if e}
                residual = self.merge(photo, applied, some, share.tile)
                put(restored, rows, add_residual(part, residual).to(restored.device))
                if keep_edits:
                    kept.append({n: e._replace(rows=rows[e.rows]) for n, e in applied.items()})
            return kept

        network = None if self.merger is None else "merger"
        height, width = pixels.shape[-2:]
        work = Work(network, len(touched), height, width)
        kept = room.split(work, act) if len(touched) else []
        acts = torch.zeros(len(original), dtype=torch.bool, device=pixels.device)
        acts[touched] = True
        acts = acts.unflatten(0, (len(pixels), num_samples)).any(1)
        images, spread = summarise_samples(restored, pixels, acts, num_samples)
        return Joined(images, spread, averaged(kept, num_samples))

    def _size(self, working_size: WorkingSize) -> int | None:
        return self.config["working_size"] if working_size == "config" else working_size

    def _working(self, photo: Tensor, working_size: WorkingSize) -> Tensor:
        """The photo at working size, padded to the multiple that networks need."""
        small = to_working_size(photo, self._size(working_size))
        return pad_to_multiple(small, self.size_requirements.multiple)

    def _latent_shape(self, photo: Tensor, working_size: WorkingSize) -> tuple[int, ...]:
        shape = working_shape(photo, self._size(working_size))
        height, width = self.size_requirements.rounded(*shape)
        experts = {name: self._expert(name) for name in self.expert_names}
        shapes = {
            name: tuple(expert.latent_shape(height, width))
            for name, expert in experts.items()
            if denoises(expert)
        }
        if len(set(shapes.values())) > 1:
            raise ValueError(
                f"the experts denoise tensors of different shapes ({shapes}); give all of them the "
                "same number of levels"
            )
        default = 3, height // LATENT_STRIDE, width // LATENT_STRIDE
        return next(iter(shapes.values()), default)

    def _present(self, name: str) -> Expert | DirectExpert:
        """The expert of an operation that is active somewhere."""
        expert = self._expert(name)
        if expert is None:
            raise ValueError(f"{name} is active, but {name}_expert is None")
        return expert
