"""One training loop for every stage, on accelerate: CPU, one GPU, or several GPUs.

Batches are functions of (seed, step, process), so that a resumed run is the run that was stopped.
Of several processes the first writes; a run may go on with another number of them.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, set_seed
from diffusers import ModelMixin
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from tqdm import tqdm

from ..pipelines.repository.fitting import check_finite
from .lock import locked
from .processes import PRECISIONS, agreed, mean_terms, precision_here
from .run_folder import RunFolder
from .settings import Settings, setting

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LoopConfig(Settings):
    """How long and how fast a stage trains."""

    steps: int = setting(1000, "optimiser steps", least=1)
    learning_rate: float = setting(1e-3, "peak of the cosine schedule", above=0)
    warmup: int = setting(50, "steps of linear warm-up", least=0)
    weight_decay: float = setting(0.01, "of AdamW", least=0)
    gradient_clip: float = setting(1.0, "largest norm of the gradient", above=0)
    ema_decay: float = setting(0.999, "limit of the average of weights", least=0, most=1)
    seed: int = setting(0, "of all draws", least=0)
    mixed_precision: str = setting(
        "no", "no, bf16, fp16, or auto: bf16 on GPUs that have it", choices=PRECISIONS
    )
    log_every: int = setting(10, "steps between lines of log.jsonl", least=1, free=True)
    save_seconds: float = setting(120.0, "a checkpoint at least this often", least=0, free=True)
    threads: int = setting(0, "CPU threads; 0 = torch's own choice", least=0, free=True)


class Stage(Protocol):
    """What the loop trains: a network and the loss of a batch drawn by a generator.

    A stage may also have a `critic`, a network trained beside the model by terms of its own among
    the losses; the checkpoint holds it, the trained model does not.
    """

    @property
    def model(self) -> nn.Module:
        """The network, a diffusers `ModelMixin`."""
        ...

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Named terms, already weighted; their sum is minimised."""
        ...


class StageLosses(nn.Module):
    """A stage as a module whose forward is its losses, so that distributed training can wrap it."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self.model = stage.model
        self.critic = find_critic(stage)
        self.stage = stage

    def forward(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """The stage's loss terms for the batch that `rng` draws."""
        return self.stage.losses(rng)


class Progress(NamedTuple):
    """The number of steps done, and the loss terms of the last one."""

    step: int
    terms: dict[str, float]


def find_critic(stage: Stage) -> nn.Module | None:
    """The network that the stage trains against its model, if it has one."""
    return getattr(stage, "critic", None)


def seed_step(seed: int, step: int, process: int) -> np.random.Generator:
    """Seeds torch for one step and gives the generator of the batch."""
    torch.manual_seed(seed * 1_000_003 + step * 1_009 + process)
    return np.random.default_rng((seed, step, process))


class Run:
    """A stage being trained in a folder.

    Args:
        stage: network and loss.
        config: length, rates, seed.
        folder: where the run is kept; a checkpoint found there is continued.
        facts: what config.json says beside the settings.
    """

    def __init__(
        self, stage: Stage, config: LoopConfig, folder: RunFolder, facts: Mapping[str, Any]
    ) -> None:
        if config.threads:
            torch.set_num_threads(config.threads)
        set_seed(config.seed)
        self.stage, self.config, self.folder, self.facts = stage, config, folder, facts
        self.accelerator = Accelerator(
            mixed_precision=precision_here(config.mixed_precision),
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        self.critic = find_critic(stage)
        self.optimizer = torch.optim.AdamW(
            self._parameter_groups(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = get_scheduler(
            "cosine",
            self.optimizer,
            num_warmup_steps=config.warmup,
            num_training_steps=config.steps,
        )
        self.losses, self.optimizer = self.accelerator.prepare(StageLosses(stage), self.optimizer)
        self.average = EMAModel(
            stage.model.parameters(), decay=config.ema_decay, use_ema_warmup=True, power=0.75
        )
        self.average.to(self.accelerator.device)
        self.step = 0
        self._resume()

    @property
    def main(self) -> bool:
        """Whether this process writes."""
        return self.accelerator.is_main_process

    def _parameter_groups(self) -> list[dict[str, Any]]:
        model = self.stage.model.parameters()
        groups: list[dict[str, Any]] = [{"params": [p for p in model if p.requires_grad]}]
        if self.critic is not None:
            groups.append({"params": list(self.critic.parameters()), "betas": (0.5, 0.99)})
        return groups

    def save(self) -> None:
        """Writes the checkpoint."""
        if not self.main:
            return
        model = cast(Any, self.stage.model)
        made_with = {n: v for n, v in model.config.items() if not n.startswith("_")}
        state = {
            "step": self.step,
            "network": json.dumps({"class": type(model).__name__, "config": made_with}),
            "model": model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": self.average.state_dict(),
        }
        if self.critic is not None:
            state["critic"] = self.critic.state_dict()
        self.folder.save_checkpoint(state)

    def _resume(self) -> None:
        """Continues from the checkpoint, if there is one."""
        state = self.folder.load_checkpoint()
        if state is None:
            return
        try:
            self.stage.model.load_state_dict(state["model"])
            if self.critic is not None:
                self.critic.load_state_dict(state["critic"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.schedule.load_state_dict(state["schedule"])
            self.average.load_state_dict(state["average"])
            check_finite(self.stage.model, self.folder.checkpoint)
        except (RuntimeError, KeyError, TypeError, AttributeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(
                f"{self.folder.checkpoint} is of another network than this run's ({reason}): "
                "resume with the stage and settings that it was made with"
            ) from error
        self.average.to(self.accelerator.device)
        self.step = int(state["step"])
        logger.info("resumed %s at step %d", self.folder.path, self.step)

    def advance(self) -> dict[str, float]:
        """One optimiser step; the loss terms as numbers.

        Raises:
            FloatingPointError: the loss is no longer finite.
        """
        rng = seed_step(self.config.seed, self.step, self.accelerator.process_index)
        with self.accelerator.autocast():
            terms = self.losses(rng)
            loss = torch.stack(list(terms.values())).sum()
        values = {name: term.item() for name, term in terms.items()} | {"loss": loss.item()}
        if not np.isfinite(values["loss"]):
            raise FloatingPointError(f"loss is {values['loss']} at step {self.step + 1}: {values}")
        self.accelerator.backward(loss)
        for network in (self.stage.model, self.critic):
            if network is not None:
                self.accelerator.clip_grad_norm_(network.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.step(self.stage.model.parameters())
        self.step += 1
        return values

    def steps(self) -> Iterator[Progress]:
        """Trains step by step to the end of the schedule, and keeps log and checkpoint.

        Whoever stops before the end calls `save` and can go on later; after the end, `finish`.
        """
        if self.main:
            self.folder.path.mkdir(parents=True, exist_ok=True)
            self.folder.begin(self.config, self.facts)
            self.folder.cut_log(self.step)
        saved, totals = time.monotonic(), dict[str, list[float]]()
        while self.step < self.config.steps:
            terms = self.advance()
            for name, value in terms.items():
                totals.setdefault(name, []).append(value)
            if self.step % self.config.log_every == 0:
                means = mean_terms(self.accelerator, totals)
                if self.main:
                    self.folder.write_log(self.step, means)
                totals.clear()
            if time.monotonic() - saved > self.config.save_seconds:
                self.save()
                saved = time.monotonic()
            yield Progress(self.step, terms)

    def finish(self) -> Path:
        """Saves the checkpoint and the averaged weights as a model folder, which it returns."""
        self.save()
        model = self.stage.model
        self.average.store(model.parameters())
        self.average.copy_to(model.parameters())
        if self.main:
            self.folder.save_model(cast(ModelMixin, model))
        self.average.restore(model.parameters())
        self.accelerator.wait_for_everyone()
        return self.folder.model


def train(
    stage: Stage,
    config: LoopConfig,
    folder: Path | str,
    *,
    facts: Mapping[str, Any] | None = None,
    resume: bool = True,
    seconds: float | None = None,
) -> Path | None:
    """Trains a stage to the end of its schedule and saves its averaged weights.

    Args:
        stage: network and loss.
        config: length, rates, seed.
        folder: run folder; a checkpoint found there is continued when `resume` is true.
        facts: what else config.json says, which may not change when the run goes on.
        resume: whether to continue a stopped run; False refuses a folder that holds one.
        seconds: stop after this time, with a checkpoint.

    Returns:
        The folder of the trained model; None where time was up first.

    Raises:
        ValueError: the folder holds a run that is not to be resumed, or one that was started with
            other settings; or another process trains in it.
        FloatingPointError: the loss is no longer finite.
    """
    place, facts = RunFolder(Path(folder)), facts or {}
    config = place.settle(type(config), config.as_json(), facts, resume)
    with locked(place.path):
        config = place.settle(type(config), config.as_json(), facts, resume)
        return _train(Run(stage, config, place, facts), seconds)


def _train(run: Run, seconds: float | None) -> Path | None:
    config = run.config
    start = time.monotonic()
    with tqdm(total=config.steps, initial=run.step, disable=not run.main, mininterval=5) as bar:
        for progress in run.steps():
            bar.update()
            bar.set_postfix({"loss": f"{progress.terms['loss']:.4f}"}, refresh=False)
            if seconds is not None and agreed(run.accelerator, time.monotonic() - start > seconds):
                run.save()
                run.accelerator.wait_for_everyone()
                return run.finish() if progress.step == config.steps else None
    return run.finish()
