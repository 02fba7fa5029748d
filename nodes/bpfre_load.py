"""BPFReLoadModel."""

from __future__ import annotations

from typing import Any

from .. import hub
from ..pipelines.bpfre.pipeline import BPFRePipeline
from .bpfre_model import BPFReModel, BPFReModelSocket
from .host import io
from .model_choice import ModelChoice

MODELS = ModelChoice("bpfre", hub.BPFRE, None)


class BPFReLoadModel(io.ComfyNode):
    """Loads retoucher and inpainter; the host brings each to its device when it is used."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """What the host shows of the node."""
        return io.Schema(
            node_id="BPFReLoadModel",
            display_name="Load BPFRe Model",
            category="FRR/BPFRe",
            description=(
                "Loads a model that retouches blemishes and fills holes: the small one that comes "
                "with the pack, or one from models/bpfre (a folder with model_index.json)."
            ),
            search_aliases=["face retouching", "blemish removal", "skin retouch", "BPFRe"],
            inputs=MODELS.inputs(),
            outputs=[
                BPFReModelSocket.Output("model", tooltip="For the BPFRe nodes' model inputs.")
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
        pipeline = BPFRePipeline.from_pretrained(path, torch_dtype=chosen)
        return io.NodeOutput(BPFReModel(pipeline, model_name))
