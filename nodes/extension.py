"""The list of the pack's nodes, as the host asks for it."""

from __future__ import annotations

from pathlib import Path

from . import host
from .bpfre_load import BPFReLoadModel
from .bpfre_retouch import BPFReInpaint, BPFReRetouch
from .compare import RestorationCompare
from .faces import FaceCrop, FacePaste
from .host import io
from .mofrr_candidates import MoFRRCandidates
from .mofrr_load import MoFRRLoadModel
from .mofrr_restore import MoFRRRestore
from .mofrr_steps import MoFRREditRouting, MoFRRExpert, MoFRRMerge, MoFRRRoute
from .simulate import RetouchSimulate

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
NODES: tuple[type[io.ComfyNode], ...] = (
    MoFRRLoadModel,
    MoFRRRestore,
    MoFRRRoute,
    MoFRREditRouting,
    MoFRRExpert,
    MoFRRMerge,
    BPFReLoadModel,
    BPFReRetouch,
    BPFReInpaint,
    RetouchSimulate,
    RestorationCompare,
    FaceCrop,
    FacePaste,
    MoFRRCandidates,
)


class FRRExtension(host.ComfyExtension):
    """The pack."""

    async def on_load(self) -> None:
        """Tell the host where the models are, and give it the pictures that the templates open."""
        for loader in (MoFRRLoadModel, BPFReLoadModel):
            host.add_model_folder(loader.models.folder)
        host.offer_files(SAMPLES)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node, in the order of the menu."""
        return list(NODES)
