"""Experts run on a batch, in a room: together or in turn, in shares that fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ...models.mofrr.contract import DirectExpert, Expert
from ..room import Room, Share, Work
from .direct import DirectEdit, answer_at_once, answers_at_once, denoises
from .edits import ExpertEdit, take
from .estimating import estimated_degrees
from .experts import Task, predict, start, step
from .request import Generators, OnStep
from .tiled import run_in_tiles

Found = dict[str, ExpertEdit | DirectEdit]


class Course:
    """How far all experts have come, for the room.

    Args:
        room: the memory that shows it.
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
        names: of all experts, in the order of a task's columns.
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
    names: Sequence[str]
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

    def run(self, task: Task, clip: bool) -> tuple[Found, Tensor]:
        """All experts on photos: together where the room holds everything, else in turn.

        Args:
            task: photos at their own size.
            clip: whether each estimated degree is the mean over the photos.

        Returns:
            The edits at working size, their rows counting the photos; the denoised latents.
        """
        edits, latents = {}, task.latents.clone()
        everything = list(range(len(self.names)))
        each = [[place] for place in everything if self.names[place] in self.experts]
        for group in [everything] if self.room.holds_everything else each:
            rows, names = task.rows_of(group), [self.names[place] for place in group]
            part = task.part(rows, group, None)
            work = self._work(names, part)
            if clip:
                part = part._replace(degrees=self._degrees_of_clip(names, part, work))
            found, after = self.room.split(work, partial(self.share, names, part))
            edits |= {name: edit.placed(rows) for name, edit in found.items()}
            latents[rows[:, None], torch.tensor(group, device=rows.device)] = after
            self.course.finish(len(found))
        return edits, latents

    def _work(self, names: Sequence[str], task: Task) -> Work:
        """The work of some experts; one that answers at once sees photos at their own size."""
        photos = len(task.photo)
        if len(names) > 1:
            return Work(None, photos, *self.shape)
        network, expert = f"{names[0]}_expert", self.experts.get(names[0])
        if answers_at_once(expert):
            return Work(network, photos, *task.photo.shape[-2:], tiles=False)
        return Work(network, photos, *self.shape)

    def share(self, names: Sequence[str], task: Task, share: Share) -> tuple[Found, Tensor]:
        """Some experts on a task of theirs, as many photos at once as a share has.

        Args:
            names: of the experts, in the order of the task's columns; others do not run.
            task: photos at their own size.
            share: how many at once, where, and whether in tiles.

        Returns:
            The edits at working size, their rows counting the task's photos, and the denoised
            latents, where the photos are.
        """
        self.course.begin()
        parts: list[tuple[Found, Tensor]] = []
        columns, home = range(len(names)), task.photo.device
        for rows in torch.arange(len(task.photo), device=home).split(share.photos):
            part = task.part(rows, columns, share.device)
            counted = len(rows) / len(task.photo)
            at_once, part = self._at_once(names, part, counted)
            if at_once and not part.active.any():
                placed: Found = {name: edit.placed(rows) for name, edit in at_once.items()}
                latents = part.latents
                if not any(map(denoises, self.experts.values())):
                    latents = self.on_step(0, torch.tensor(0), latents)
                parts.append((placed, latents.to(home)))
                continue
            part = part._replace(photo=self.reduce(part.photo))
            if share.tile is None:
                found, latents = self.denoise(names, part, counted)
            else:
                found, latents = self._in_tiles(names[0], part, share.tile), part.latents
            whole = {name: edit.cropped(*self.shape) for name, edit in found.items()} | at_once
            parts.append(({name: e.placed(rows) for name, e in whole.items()}, latents.to(home)))
        return _joined(names, parts)

    def _at_once(
        self, names: Sequence[str], task: Task, counted: float
    ) -> tuple[dict[str, DirectEdit], Task]:
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

    def _in_tiles(self, name: str, task: Task, tile: int) -> dict[str, ExpertEdit]:
        """One expert on photos that do not fit whole."""

        def run(part: Task) -> ExpertEdit:
            return self.denoise([name], part, 0)[0][name]

        expert = self.experts[name]
        assert denoises(expert)
        return {name: run_in_tiles(run, expert, task, tile, self.multiple)}

    def denoise(
        self, names: Sequence[str], task: Task, counted: float
    ) -> tuple[dict[str, ExpertEdit], Tensor]:
        """Experts on photos at working size: from the noise, in the scheduler's steps, to edits.

        The latents of all experts are stepped as one tensor; where none is active the prediction is
        zero, and the result there has no meaning.

        Args:
            names: of the experts.
            task: photos reduced and padded.
            counted: their share of all photos, for the room.
        """
        experts = (self.experts.get(name) for name in names)
        runs = start([each if denoises(each) else None for each in experts], task)
        first = next(iter(runs))
        seen = counted and runs[first].expert.config.get("prediction_type", "sample") == "sample"
        self.scheduler.set_timesteps(self.steps)  # on the CPU: steps then wait for nothing
        latents = task.latents * self.scheduler.init_noise_sigma
        for index, timestep in enumerate(self.scheduler.timesteps):
            self.room.check()
            prediction = predict(
                runs, self.scheduler.scale_model_input(latents, timestep), timestep
            )
            latents = step(self.scheduler, prediction, timestep, latents, self.generator)
            latents = self.on_step(index, timestep, latents)
            self.course.step(counted * len(runs), prediction[0, first] if seen else None)
        edits = {names[i]: run.edit(take(latents[:, i], run.rows)) for i, run in runs.items()}
        return edits, latents

    def _degrees_of_clip(self, names: Sequence[str], task: Task, work: Work) -> Tensor:
        """A task's degrees B E: where an expert's are not known, the mean of its estimates."""
        columns = [self._of_clip(i, name, task, work) for i, name in enumerate(names)]
        return torch.stack(columns, dim=1)

    def _of_clip(self, column: int, name: str, task: Task, work: Work) -> Tensor:
        known, expert = task.degrees[:, column], self.experts.get(name)
        rows = task.active[:, column].nonzero()[:, 0].to(known.device)
        if not denoises(expert) or not expert.estimates_degrees or not known[rows].isnan().any():
            return known

        def run(share: Share) -> Tensor:
            return estimated_degrees(expert, task.photo[rows], self.reduce, share)

        return self.room.split(work, run).mean().to(known).expand_as(known)


def _joined(names: Sequence[str], parts: Sequence[tuple[Found, Tensor]]) -> tuple[Found, Tensor]:
    """The edits and latents of all parts of a task."""
    present = [name for name in names if any(name in found for found, _ in parts)]
    edits = {
        name: _joined_edits([found[name] for found, _ in parts if name in found])
        for name in present
    }
    return edits, parts[0][1] if len(parts) == 1 else torch.cat([latents for _, latents in parts])


def _joined_edits(parts: Sequence[Any]) -> Any:
    """The edits of one expert, all of one kind, as one."""
    return type(parts[0]).joined(parts)
