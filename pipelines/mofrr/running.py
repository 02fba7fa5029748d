"""Experts run on a batch, in a room: together or in turn, in shares that fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...models.mofrr.contract import DirectExpert, Expert, known_degrees
from ..placement import dtype_of
from ..room import Room, Share, Work
from .direct import DirectEdit, answer_at_once, answers_at_once
from .edits import ExpertEdit, take
from .experts import Task, denoise, start
from .request import Generators, OnStep
from .tiled import run_in_tiles

Found = dict[str, ExpertEdit | DirectEdit]


class Course:
    """How far all experts have come, for the room.

    Args:
        room: that is told.
        steps: denoising steps of each expert.
        experts: how many run; the last step of all is the joining of their edits.
    """

    def __init__(self, room: Room, steps: int, experts: int) -> None:
        self.room, self.steps, self.total = room, steps, steps * experts + 1
        self.finished, self.done = 0, 0.0

    def begin(self) -> None:
        """Some experts begin, or begin anew."""
        self.done = 0.0

    def step(self, share: float, picture: Tensor | None) -> None:
        """A share of all photos' step is done (times the experts that took it)."""
        self.done += share
        self._show(picture)

    def finish(self, experts: int) -> None:
        """Some experts are done with all photos."""
        self.finished, self.done = self.finished + experts * self.steps, 0.0
        self._show(None)

    def _show(self, picture: Tensor | None) -> None:
        self.room.show((self.finished + self.done) / self.total, self.total, picture)


@dataclass
class Runner:
    """What running experts takes, beside the photos.

    Attributes:
        experts: by name, those that run.
        scheduler: of diffusers.
        steps: denoising steps.
        generator: for schedulers that draw noise in their steps.
        on_step: (index, timestep, latents) -> latents.
        reduce: photos B 3 H W -> the same at working size, padded.
        shape: height and width at working size.
        multiple: to which `reduce` pads.
        room: the memory to run in.
    """

    experts: dict[str, Expert | DirectExpert]
    scheduler: Any  # every scheduler of diffusers has its own interface
    steps: int
    generator: Generators
    on_step: OnStep
    reduce: Callable[[Tensor], Tensor]
    shape: tuple[int, int]
    multiple: int
    room: Room

    def __post_init__(self) -> None:
        self.course = Course(self.room, self.steps, len(self.experts))

    def run(self, names: Sequence[str], task: Task, clip: bool) -> tuple[Found, Tensor]:
        """Some experts on a task of theirs.

        Args:
            names: of the experts, in the order of the task's columns; others do not run.
            task: photos at their own size.
            clip: whether each estimated degree is the mean over the photos.

        Returns:
            The edits at working size, their rows counting the task's photos; the denoised latents.
        """
        work = self._work(names, task)
        if clip:
            degrees = [self._of_clip(i, name, task, work) for i, name in enumerate(names)]
            task = task._replace(degrees=torch.stack(degrees, dim=1))
        found = self.room.split(work, partial(self._shares, names, task))
        self.course.finish(sum(name in self.experts for name in names))
        return found

    def _work(self, names: Sequence[str], task: Task) -> Work:
        """The work of some experts; one that answers at once sees photos at their own size."""
        if len(names) > 1:
            return Work(None, len(task.photo), *self.shape)
        network, expert = f"{names[0]}_expert", self.experts.get(names[0])
        if answers_at_once(expert):
            return Work(network, len(task.photo), *task.photo.shape[-2:], tiles=False)
        return Work(network, len(task.photo), *self.shape)

    def _of_clip(self, column: int, name: str, task: Task, work: Work) -> Tensor:
        """An expert's degrees B; where one is not known all have the mean of the estimates."""
        known = task.degrees[:, column]
        expert = self.experts.get(name)
        rows = task.active[:, column].nonzero()[:, 0].to(known.device)
        if (
            expert is None
            or answers_at_once(expert)
            or not expert.estimates_degrees
            or not known[rows].isnan().any()
        ):
            return known

        def run(share: Share) -> Tensor:
            means = []
            for part in task.photo[rows].split(share.photos):
                small = self.reduce(part.to(share.device or part.device)).to(dtype_of(expert))
                unknown = small.new_full((len(small),), torch.nan, dtype=torch.float32)
                means.append(known_degrees(expert, small, unknown, None))
            return torch.cat(means).mean().to(known)

        return self.room.split(work, run).expand_as(known)

    def _shares(self, names: Sequence[str], task: Task, share: Share) -> tuple[Found, Tensor]:
        """All photos of a task, so many at once; results where the photos are."""
        self.course.begin()
        parts: list[tuple[Found, Tensor]] = []
        columns, home = range(len(names)), task.photo.device
        for rows in torch.arange(len(task.photo), device=home).split(share.photos):
            part = task.part(rows, columns, share.device)
            found, latents = self._part(names, part, share.tile, len(rows) / len(task.photo))
            moved = {name: edit.each(lambda x: x.to(home)) for name, edit in found.items()}
            placed = {name: edit._replace(rows=rows[edit.rows]) for name, edit in moved.items()}
            parts.append((placed, latents.to(home)))
        present = [name for name in names if any(name in found for found, _ in parts)]
        edits = {
            name: _joined([found[name] for found, _ in parts if name in found]) for name in present
        }
        return edits, parts[0][1] if len(parts) == 1 else torch.cat([x for _, x in parts])

    def _part(
        self, names: Sequence[str], task: Task, tile: int | None, counted: float
    ) -> tuple[Found, Tensor]:
        """Photos that are worked on at once, whole or in tiles; `counted` is their share of all."""
        at_once, task = self._at_once(names, task, counted)
        if at_once and not task.active.any():
            return at_once, task.latents
        small = task._replace(photo=self.reduce(task.photo))
        if tile is None:
            found, latents = self._denoise(names, small, counted)
        else:
            (name,) = names
            run = partial(self._tile, name)
            edit = run_in_tiles(run, self.experts[name], small, tile, self.multiple)
            found, latents = {name: edit}, small.latents
        found = {name: edit.cropped(*self.shape) for name, edit in found.items()}
        return at_once | found, latents

    def _at_once(self, names: Sequence[str], task: Task, counted: float) -> tuple[Found, Task]:
        """The edits of the experts that answer at once, and the task that is left to the others."""
        experts = {i: self.experts.get(name) for i, name in enumerate(names)}
        direct = {i: expert for i, expert in experts.items() if answers_at_once(expert)}
        if not direct:
            return {}, task
        self.room.check()
        edits = answer_at_once(direct, task)
        self.course.step(counted * self.steps * len(edits), None)
        active = task.active.clone()
        active[:, list(direct)] = False
        return {names[i]: edit for i, edit in edits.items()}, task._replace(active=active)

    def _tile(self, name: str, task: Task) -> ExpertEdit:
        return self._denoise([name], task, 0)[0][name]

    def _denoise(self, names: Sequence[str], task: Task, counted: float) -> tuple[Found, Tensor]:
        """The experts on photos at working size, from the noise to their edits."""
        runs = start([self.experts.get(name) for name in names], task)
        first = next(iter(runs))
        clean = runs[first].expert.config.get("prediction_type", "sample") == "sample"
        self.scheduler.set_timesteps(self.steps)  # on the CPU: steps then wait for nothing

        def watch(prediction: Tensor) -> None:
            self.room.check()
            picture = prediction[0, first] if clean and counted else None
            self.course.step(counted * len(runs), picture)

        latents = denoise(
            self.scheduler,
            task.latents * self.scheduler.init_noise_sigma,
            runs,
            self.generator,
            self.on_step,
            watch,
        )
        edits = {names[i]: run.edit(take(latents[:, i], run.rows)) for i, run in runs.items()}
        return edits, latents


def _joined(parts: Sequence[Any]) -> Any:
    """The edits of one expert, all of one kind, as one."""
    return type(parts[0]).joined(parts)
