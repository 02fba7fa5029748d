"""MoFRRLoadModel."""

from __future__ import annotations

from pathlib import Path

import torch

from .. import hub
from ..pipelines.mofrr.pipeline import MoFRRPipeline
from ..pipelines.mofrr.single_file import load_single_file
from . import host
from .host import io
from .model_choice import LoaderNode, ModelChoice
from .mofrr_model import MoFRRModel, MoFRRModelSocket


class MoFRRLoadModel(LoaderNode):
    """Loads router, experts and merger; the host brings each to its device when it is used."""

    models = ModelChoice("mofrr", hub.DEFAULT, ".safetensors")

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
            inputs=cls.models.inputs(),
            outputs=[
                MoFRRModelSocket.Output("model", tooltip="For the MoFRR nodes' model inputs.")
            ],
        )

    @classmethod
    def load(cls, path: Path, dtype: torch.dtype, name: str) -> MoFRRModel:
        """The model in a folder, or in one file."""
        if path.is_file():
            return MoFRRModel(load_single_file(path, dtype, host.read_tensors), name)
        return MoFRRModel(MoFRRPipeline.from_pretrained(path, torch_dtype=dtype), name)
