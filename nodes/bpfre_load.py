"""BPFReLoadModel."""

from __future__ import annotations

from pathlib import Path

import torch

from .. import hub
from ..pipelines.bpfre.pipeline import BPFRePipeline
from .bpfre_model import BPFReModel, BPFReModelSocket
from .host import io
from .model_choice import LoaderNode, ModelChoice


class BPFReLoadModel(LoaderNode):
    """Loads retoucher and inpainter; the host brings each to its device when it is used."""

    models = ModelChoice("bpfre", hub.BPFRE, None)

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
            inputs=cls.models.inputs(),
            outputs=[
                BPFReModelSocket.Output("model", tooltip="For the BPFRe nodes' model inputs.")
            ],
        )

    @classmethod
    def load(cls, path: Path, dtype: torch.dtype, name: str) -> BPFReModel:
        """The model in a folder."""
        return BPFReModel(BPFRePipeline.from_pretrained(path, torch_dtype=dtype), name)
