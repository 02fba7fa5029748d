"""One training loop for every stage, on accelerate: CPU, one GPU, or several GPUs.

Batches are functions of (seed, step, process), so that a resumed run is the run that was stopped.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, set_seed
from diffusers import ModelMixin
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from tqdm import tqdm

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast a stage trains."""

    steps: int = 1000  # optimiser steps
    learning_rate: float = 1e-3  # peak of the cosine schedule
    warmup: int = 50  # steps of linear warm-up
    weight_decay: float = 0.01
    gradient_clip: float = 1.0  # norm
    ema_decay: float = 0.999  # upper limit; the average follows faster at the start
    seed: int = 0
    save_seconds: float = 120.0  # a checkpoint at least this often
    log_every: int = 10  # steps between lines of log.jsonl
    mixed_precision: str = "no"  # accelerate's: "no", "bf16", "fp16"
    threads: int = 0  # CPU threads; 0 leaves torch's own choice

    def __post_init__(self) -> None:
        if self.steps < 1 or self.log_every < 1:
            raise ValueError(
                f"steps and log_every must be at least 1, got {self.steps}, {self.log_every}"
            )
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be positive, got {self.learning_rate}")


class Stage(Protocol):
    """What the loop trains: a network and the loss of a batch drawn by a generator.

    A stage may also have a `critic`, a network trained beside the model by terms of its own among
    the losses; the checkpoint holds it, the exported model does not.
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


def find_critic(stage: Stage) -> nn.Module | None:
    """The network that the stage trains against its model, if it has one."""
    return getattr(stage, "critic", None)


def seed_step(seed: int, step: int, process: int) -> np.random.Generator:
    """Seeds torch for one step and gives the generator of the batch."""
    torch.manual_seed(seed * 1_000_003 + step * 1_009 + process)
    return np.random.default_rng((seed, step, process))


class Run:
    """A stage being trained in a folder: config.json, log.jsonl, checkpoint/, model/."""

    def __init__(self, stage: Stage, config: LoopConfig, folder: Path, note: dict) -> None:
        if config.threads:
            torch.set_num_threads(config.threads)
        set_seed(config.seed)
        self.stage, self.config, self.folder = stage, config, folder
        self.accelerator = Accelerator(
            mixed_precision=config.mixed_precision,
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        self.critic = find_critic(stage)
        groups: list[dict] = [{"params": [p for p in stage.model.parameters() if p.requires_grad]}]
        if self.critic is not None:
            groups.append({"params": list(self.critic.parameters()), "betas": (0.5, 0.99)})
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
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
        if self.accelerator.is_main_process:
            folder.mkdir(parents=True, exist_ok=True)
            settings = {"loop": asdict(config), **note}
            (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n")

    @property
    def checkpoint(self) -> Path:
        """The file that resumes this run."""
        return self.folder / "checkpoint.pt"

    def save(self) -> None:
        """Writes the checkpoint, then puts it in place of the last one."""
        if not self.accelerator.is_main_process:
            return
        state = {
            "step": self.step,
            "model": self.stage.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "average": self.average.state_dict(),
        }
        if self.critic is not None:
            state["critic"] = self.critic.state_dict()
        unfinished = self.checkpoint.with_suffix(".tmp")
        torch.save(state, unfinished)
        unfinished.replace(self.checkpoint)

    def resume(self) -> None:
        """Continues from the checkpoint, if there is one."""
        if not self.checkpoint.exists():
            return
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        self.stage.model.load_state_dict(state["model"])
        if self.critic is not None:
            self.critic.load_state_dict(state["critic"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.average.load_state_dict(state["average"])
        self.average.to(self.accelerator.device)
        self.step = state["step"]
        logger.info("resumed %s at step %d", self.folder, self.step)

    def advance(self) -> dict[str, float]:
        """One optimiser step; the loss terms as numbers."""
        rng = seed_step(self.config.seed, self.step, self.accelerator.process_index)
        with self.accelerator.autocast():
            terms = self.losses(rng)
            loss = torch.stack(list(terms.values())).sum()
        self.accelerator.backward(loss)
        for network in (self.stage.model, self.critic):
            if network is not None:
                self.accelerator.clip_grad_norm_(network.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.step(self.stage.model.parameters())
        self.step += 1
        return {name: term.item() for name, term in terms.items()} | {"loss": loss.item()}

    def export(self) -> Path:
        """Saves the averaged weights as a model folder and returns it."""
        model = self.stage.model
        self.average.store(model.parameters())
        self.average.copy_to(model.parameters())
        cast(ModelMixin, model).save_pretrained(self.folder / "model")
        self.average.restore(model.parameters())
        return self.folder / "model"


def train(
    stage: Stage,
    config: LoopConfig,
    folder: Path | str,
    *,
    note: dict | None = None,
    resume: bool = True,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
) -> Path:
    """Trains a stage to the end of its schedule and saves its averaged weights.

    Args:
        stage: network and loss.
        config: length, rates, seed.
        folder: run folder; a checkpoint found there is continued when `resume` is true.
        note: further settings for config.json (what the stage was made with).
        resume: whether to continue a stopped run; False refuses a folder that holds one.
        on_step: called with the step number and the loss terms after every step.

    Returns:
        The folder of the trained model.

    Raises:
        ValueError: `resume` is false and the folder holds a checkpoint.
        FloatingPointError: the loss is no longer finite.
    """
    folder = Path(folder)
    run = Run(stage, config, folder, note or {})
    if run.checkpoint.exists() and not resume:
        raise ValueError(f"{folder} holds a checkpoint: resume it or name another folder")
    run.resume()

    saved = time.monotonic()
    totals: dict[str, list[float]] = {}
    main = run.accelerator.is_main_process
    with tqdm(total=config.steps, initial=run.step, disable=not main, mininterval=5) as bar:
        while run.step < config.steps:
            terms = run.advance()
            if not np.isfinite(terms["loss"]):
                raise FloatingPointError(f"loss is {terms['loss']} at step {run.step}: {terms}")
            for name, value in terms.items():
                totals.setdefault(name, []).append(value)
            if run.step % config.log_every == 0 and main:
                means = {name: float(np.mean(values)) for name, values in totals.items()}
                write_log(folder, run.step, means)
                bar.set_postfix({"loss": f"{means['loss']:.4f}"})
                totals.clear()
            bar.update()
            if on_step:
                on_step(run.step, terms)
            if time.monotonic() - saved > config.save_seconds:
                run.save()
                saved = time.monotonic()
    run.save()
    return run.export()


def write_log(folder: Path, step: int, values: dict[str, float]) -> None:
    """Appends a line to log.jsonl."""
    line = {"step": step, "time": round(time.time(), 1)}
    line |= {name: round(value, 6) for name, value in values.items()}
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")
