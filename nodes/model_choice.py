"""The models that a loader offers: the embedded one, and those in one of the host's folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch

from .. import hub
from ..pipelines.repository.writer import INDEX_NAME
from . import host
from .host import io

AUTOMATIC = "auto"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class ModelChoice(NamedTuple):
    """What a loader offers."""

    folder: str  # under the host's models
    embedded: str  # the folder in hub/
    suffix: str | None  # of files that hold a whole model; None where only folders do

    @property
    def default(self) -> str:
        """The name by which the embedded model is shown."""
        return f"{self.embedded} (embedded)"

    def paths(self) -> dict[str, Path]:
        """The models there are, by the name shown: the embedded one first."""
        found = host.list_models(self.folder, INDEX_NAME, self.suffix)
        if (own := found.pop(self.default, None)) is not None:
            found[f"{self.default} ({own.parent})"] = own
        return {self.default: hub.folder(self.embedded), **found}

    def inputs(self) -> list[Any]:
        """The loader's inputs."""
        either = "a folder" if self.suffix is None else "a folder or file"
        return [
            io.Combo.Input(
                "model_name",
                options=list(self.paths()),
                default=self.default,
                tooltip=f"The embedded model, or {either} under models/{self.folder}.",
            ),
            io.Combo.Input(
                "dtype",
                options=[AUTOMATIC, *DTYPES],
                default=AUTOMATIC,
                advanced=True,
                tooltip="Precision of the weights; auto takes what suits the device.",
            ),
        ]

    def fingerprint(self, model_name: str, dtype: str) -> list[Any]:
        """Names, sizes and times of the model's files: a changed model is loaded again."""
        path = self.paths().get(model_name)
        if path is None:
            return [model_name]
        files = [path] if path.is_file() else sorted((*path.glob("*.json"), *path.glob("*/*")))
        stats = [(file.relative_to(path).as_posix(), file.stat()) for file in files]
        known = ((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)
        return [model_name, dtype, *known]

    def find(self, model_name: str, dtype: str) -> tuple[Path, torch.dtype]:
        """The model's folder or file, and the dtype to load it in.

        Raises:
            ValueError: it is gone.
        """
        path = self.paths().get(model_name)
        if path is None:
            raise ValueError(
                f"model_name {model_name!r} is not under models/{self.folder}; there are "
                f"{', '.join(self.paths())}"
            )
        if dtype != AUTOMATIC:
            return path, DTYPES[dtype]
        size = sum(file.stat().st_size for file in _weights(path))
        return path, host.network_dtype(size // 4)


class LoaderNode(io.ComfyNode):
    """A node that loads one of the models that it offers."""

    models: ClassVar[ModelChoice]

    @classmethod
    def load(cls, path: Path, dtype: torch.dtype, name: str) -> Any:
        """The model in a folder or file, under the host's memory management."""
        raise NotImplementedError

    @classmethod
    def fingerprint_inputs(cls, model_name: str, dtype: str) -> list[Any]:
        """What changes when the model's files do."""
        return cls.models.fingerprint(model_name, dtype)

    @classmethod
    def execute(cls, model_name: str, dtype: str) -> io.NodeOutput:
        """Load the model.

        Raises:
            ValueError: it is gone, of another kind, or damaged; the message names the file.
        """
        path, chosen = cls.models.find(model_name, dtype)
        return io.NodeOutput(cls.load(path, chosen, model_name))


def _weights(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.glob("*/*.safetensors"))
