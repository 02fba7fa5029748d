"""MoFRRLoadModel."""

from __future__ import annotations

from typing import Any

from .. import hub
from ..pipelines.mofrr.pipeline import MoFRRPipeline
from ..pipelines.mofrr.single_file import load_single_file
from . import host
from .host import io
from .model_choice import ModelChoice
from .mofrr_model import MoFRRModel, MoFRRModelSocket

MODELS = ModelChoice("mofrr", hub.DEFAULT, ".safetensors")


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
            inputs=MODELS.inputs(),
            outputs=[
                MoFRRModelSocket.Output("model", tooltip="For the MoFRR nodes' model inputs.")
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, model_name: str, dtype: str) -> list[Any]:
        """What changes when the model's files do."""
        return MODELS.fingerprint(model_name, dtype)

    @classmethod
    def execute(cls, model_name: str, dtype: str) -> io.NodeOutput:
        """Load the model.

        Raises:
            ValueError: it is gone, of another kind, or damaged; the message names the file.
        """
        path, chosen = MODELS.find(model_name, dtype)
        if path.is_file():
            pipeline = load_single_file(path, chosen, host.read_tensors)
        else:
            pipeline = MoFRRPipeline.from_pretrained(path, torch_dtype=chosen)
        return io.NodeOutput(MoFRRModel(pipeline, model_name))
