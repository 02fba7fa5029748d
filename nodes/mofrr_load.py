"""MoFRRLoadModel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from .. import hub
from ..pipelines.frr_repository import INDEX_NAME
from ..pipelines.mofrr_file import load_single_file
from ..pipelines.pipeline_mofrr import MoFRRPipeline
from . import host
from .host import io
from .mofrr_model import MoFRRModel

FOLDER = "mofrr"
SUFFIX = ".safetensors"
EMBEDDED = "mofrr-tiny (embedded)"
AUTOMATIC = "auto"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

MoFRRModelSocket = io.Custom("MOFRR_MODEL")


def choices() -> dict[str, Path]:
    """The models there are, by the name shown: the embedded one first."""
    return {EMBEDDED: hub.folder(), **host.list_models(FOLDER, INDEX_NAME, SUFFIX)}


class MoFRRLoadModel(io.ComfyNode):
    """Loads router, experts and merger; the host brings each to its device when it is used."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows of the node."""
        return io.Schema(
            node_id="MoFRRLoadModel",
            display_name="Load MoFRR Model",
            category="FRR/MoFRR",
            description=(
                "Loads a model that undoes face retouching: the small one that comes with the "
                "pack, or one from models/mofrr (a folder with model_index.json, or one "
                ".safetensors file)."
            ),
            search_aliases=["face retouching restoration", "unretouch", "de-beautify", "MoFRR"],
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=list(choices()),
                    default=EMBEDDED,
                    tooltip="The embedded model, or a folder or file under models/mofrr.",
                ),
                io.Combo.Input(
                    "dtype",
                    options=[AUTOMATIC, *DTYPES],
                    default=AUTOMATIC,
                    advanced=True,
                    tooltip="Precision of the weights; auto takes what suits the device.",
                ),
            ],
            outputs=[
                MoFRRModelSocket.Output("model", tooltip="For the MoFRR nodes' model inputs.")
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, model_name: str, dtype: str) -> list[Any]:
        """Size and time of the model's files: a changed model is loaded again."""
        path = choices().get(model_name)
        if path is None:
            return [model_name]
        files = [path] if path.is_file() else sorted(path.glob("*/*.safetensors"))
        stats = [file.stat() for file in files]
        return [model_name, dtype, *((stat.st_size, stat.st_mtime_ns) for stat in stats)]

    @classmethod
    def execute(cls, model_name: str, dtype: str) -> io.NodeOutput:
        """Load the model.

        Raises:
            ValueError: it is gone, of another kind, or damaged; the message names the file.
        """
        path = choices().get(model_name)
        if path is None:
            raise ValueError(
                f"model_name {model_name!r} is not under models/{FOLDER}; there are "
                f"{', '.join(choices())}"
            )
        weights = [path] if path.is_file() else list(path.glob("*/*.safetensors"))
        size = sum(file.stat().st_size for file in weights)
        chosen = host.network_dtype(size // 4) if dtype == AUTOMATIC else DTYPES[dtype]
        if path.is_file():
            pipeline = load_single_file(path, chosen, host.read_tensors)
        else:
            pipeline = MoFRRPipeline.from_pretrained(path, torch_dtype=chosen)
        return io.NodeOutput(MoFRRModel(pipeline, model_name))
