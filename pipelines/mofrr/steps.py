"""The steps of a restoration up to the experts' edits: route, draw noise, run experts.

Each, like those in `joining` that follow, is a method that can be called by itself (by a node, say)
and gives what `restore` gives, to the bit. Photos are B 3 H W in [-1, 1] of any size.
"""

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...models.mofrr.contract import ESTIMATED, DirectExpert, Expert, Router
from ...models.sizes import LATENT_STRIDE
from ..photos.arrays import pad_to_multiple, to_working_size, working_shape
from ..room import OPEN, Room, Share, Work
from .direct import DirectEdit, denoises
from .edits import ExpertEdit
from .estimating import estimate_of, judge_photos
from .experts import Task, check_latents, check_scheduler, draw_noise
from .joining import MoFRRJoining
from .request import (
    Generators,
    OnStep,
    Operations,
    WorkingSize,
    read_degrees,
    read_operations,
)
from .routing import Routing, check_experts, decide, forced
from .running import Runner
from .sight import Sight


def keep(index: int, timestep: Tensor, latents: Tensor) -> Tensor:
    """What happens after a step by default: nothing."""
    return latents


class MoFRRSteps(MoFRRJoining):
    """The steps as methods of a pipeline that has the parts `MoFRRPipeline` describes."""

    router: Router | None
    scheduler: Any  # every scheduler of diffusers has its own interface
    _num_timesteps = 0

    @property
    def num_timesteps(self) -> int:
        """Steps of the last call: of denoising; 1 where all active experts answered at once."""
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
        available = tuple(self.available.values())
        if self.router is None:
            return decide(forced(wishes, photo), wishes, given, available)
        router, size = self.router, working_size
        if (own := router.size_requirements.working) is not None:
            size = own

        def judge(share: Share) -> list[Tensor]:
            reduce = partial(self._working, working_size=size)
            return judge_photos(router, photo, reduce, share, room)

        side = min(photo.shape[-2:])
        height, width = working_shape(photo, self._size(size))
        work = Work("router", len(photo), height, width, tiles=False)
        own_degrees = self.config.get("degree_source", "expert") == "expert"
        estimate, sight = estimate_of(router, photo, room.split(work, judge), own_degrees)
        estimate = estimate.of_clip() if clip else estimate
        return decide(estimate, wishes, given, available)._replace(sight=sight, side=side)

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
        sight: Sight | None = None,
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
            on_step: (index, timestep, latents) -> latents, called after every step; once, with the
                noise as it is, where all active experts answer at once.
            working_size: as for `__call__`.
            clip: whether each estimated degree is the mean over the photos.
            room: the memory to do it in.
            sight: what the router saw of these photos; None: experts that see it look themselves.

        Returns:
            Each active expert's edit at working size, and the denoised latents.
        """
        unknown = torch.full_like(degrees[:, :1], ESTIMATED)
        task = Task(photo, active.cpu(), torch.cat((degrees, unknown), dim=1), latents, sight)
        acting = task.active.any(0).tolist()
        present = [name for name, acts in zip(self.expert_names, acting, strict=True) if acts]
        experts = {name: self._present(name) for name in present}
        if not experts:
            return {}, latents
        denoisers = [each for each in experts.values() if denoises(each)]
        check_scheduler(self.scheduler, denoisers)
        scheduler = self.scheduler
        if denoisers:
            scheduler = copy.deepcopy(scheduler)  # it counts steps: calls must not share it
            scheduler.set_timesteps(num_inference_steps)
        # answers at once are a step: of the bar beside those of denoisers, else the only one of all
        self._num_timesteps = timesteps = len(scheduler.timesteps) if denoisers else 1
        answers = int(0 < len(denoisers) < len(experts))
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
