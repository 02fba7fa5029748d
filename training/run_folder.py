"""A run's folder: config.json, log.jsonl, checkpoint.pt and, at the end, model/."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import ModelMixin

from ..pipelines.repository.reader import load_network
from .settings import Settings, continued
from .writing import replacing, write_json, write_text

Kind = TypeVar("Kind", bound=Settings)
CHECKPOINT_ENTRIES = ("step", "model", "optimizer", "schedule", "average")


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps what it was started with, how it goes, and what it came to."""

    path: Path

    @property
    def config(self) -> Path:
        """The settings, and what the run learns from."""
        return self.path / "config.json"

    @property
    def log(self) -> Path:
        """The loss terms, a line every few steps."""
        return self.path / "log.jsonl"

    @property
    def checkpoint(self) -> Path:
        """The file that resumes the run."""
        return self.path / "checkpoint.pt"

    @property
    def model(self) -> Path:
        """The trained network; it is there when the run has come to its end."""
        return self.path / "model"

    @property
    def started(self) -> bool:
        """Whether it holds a run that has something to lose."""
        return self.checkpoint.exists() or self.model.exists()

    def settle(
        self,
        kind: type[Kind],
        given: Mapping[str, object],
        facts: Mapping[str, Any],
        resume: bool,
    ) -> Kind:
        """The settings to train with: those given or, of a run that goes on, those it has.

        Nothing is written.

        Args:
            kind: class of the settings.
            given: settings by name.
            facts: what else a run stands on (its stage, its data), which may not change.
            resume: whether a run that is here goes on; False refuses to touch one.

        Raises:
            ValueError: bad settings, a run that is not to be resumed, or one that was started with
                other settings or facts.
        """
        before = self._read_config()
        if not self.started:
            if before is None and (self.config.exists() or self.log.exists()):
                raise ValueError(
                    f"{self.path} holds a {'config.json' if self.config.exists() else 'log.jsonl'} "
                    "of something else: name another folder"
                )
            return kind.read(given)
        if not resume:
            raise ValueError(f"{self.path} holds a checkpoint: resume it or name another folder")
        if before is None:
            raise ValueError(f"{self.config} is missing or damaged: start another folder")
        for name, value in facts.items():
            if before.get(name) != value:
                raise ValueError(
                    f"{self.path} was started with {name}={before.get(name)!r}, now it is "
                    f"{value!r}: resume it with what it had, or start another folder"
                )
        return continued(kind, before["settings"], given)

    def _read_config(self) -> dict[str, Any] | None:
        """What config.json says; None where it is not there, or no run wrote it."""
        try:
            before = json.loads(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        ours = isinstance(before, dict) and isinstance(before.get("settings"), dict)
        return before if ours else None

    def begin(self, settings: Settings, facts: Mapping[str, Any]) -> None:
        """Writes config.json."""
        write_json(self.config, {**facts, "settings": settings.as_json()})

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Writes the checkpoint, then puts it in place of the last one."""
        with replacing(self.checkpoint) as beside:
            torch.save(state, beside)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The last checkpoint, if there is one.

        Raises:
            ValueError: the file is no checkpoint, or not a whole one.
        """
        return read_checkpoint(self.checkpoint) if self.checkpoint.exists() else None

    def cut_log(self, step: int) -> None:
        """Drops the log's lines after a step, which will be written again, and any broken one."""
        if self.log.exists():
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
            write_text(self.log, "".join(line for line in lines if _is_until(line, step)))

    def save_model(self, model: ModelMixin) -> Path:
        """Writes the trained network and returns its folder."""
        with replacing(self.model) as beside:
            model.save_pretrained(beside)
        return self.model

    def write_log(self, step: int, values: Mapping[str, float]) -> None:
        """Appends a line to log.jsonl."""
        line = {"step": step, "time": round(time.time(), 1)}
        line |= {name: round(value, 6) for name, value in values.items()}
        with self.log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint file of a run holds.

    Raises:
        ValueError: the file is no checkpoint, or not a whole one.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many kinds on broken files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} is no whole checkpoint ({reason}); use another") from error
    if not isinstance(state, dict) or any(name not in state for name in CHECKPOINT_ENTRIES):
        raise ValueError(f"{path} is no checkpoint of `frr train`; use another")
    return state


def _is_until(line: str, step: int) -> bool:
    """Whether a line of the log is whole, and not of a later step."""
    try:
        return line.endswith("\n") and json.loads(line)["step"] <= step
    except (ValueError, KeyError, TypeError):
        return False


def load_trained(kind: type[Any], path: Path | str) -> Any:
    """The network that a run trained, or that a model folder holds.

    Raises:
        ValueError: there is none, it is another, or its weights are damaged or not finite.
    """
    return load_network(kind, model_folder(path), None, None)


def model_folder(path: Path | str) -> Path:
    """The network's folder: `path` itself, or `model` inside it where `path` is a run.

    Raises:
        ValueError: neither holds a network.
    """
    for folder in (Path(path) / "model", Path(path)):
        if (folder / "config.json").is_file() and any(folder.glob("*.safetensors*")):
            return folder
    raise ValueError(f"{path} holds no trained network: run that stage to its end first")
