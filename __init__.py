"""FRR: face retouching restoration (MoFRR) and retouching (BPFRe) as diffusers pipelines and nodes.

Importing this module imports nothing heavy: the pipelines are resolved when they are first used,
and the nodes when ComfyUI calls `comfy_entrypoint`. It lets `DiffusionPipeline.from_pretrained`
load this package's pipelines without the flag `trust_remote_code`: see `registration.py` in
`pipelines/repository`.
"""

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pipelines.bpfre.pipeline import BPFRePipeline
    from .pipelines.mofrr.pipeline import MoFRRPipeline

__version__ = "0.1.0"
WEB_DIRECTORY = "./web"
__all__ = ["WEB_DIRECTORY", "BPFRePipeline", "MoFRRPipeline", "__version__", "comfy_entrypoint"]

logger = logging.getLogger(__name__)


async def comfy_entrypoint() -> Any:
    """What ComfyUI calls for the pack's nodes."""
    try:
        from .nodes.extension import FRRExtension
    except Exception:
        logger.exception("The nodes of FRR cannot be loaded.")  # the host logs no traceback
        raise
    return FRRExtension()


if __package__:  # test runners import the root by itself, outside any package
    from .pipelines.repository import registration

    registration.install()


def __getattr__(name: str) -> Any:
    """Import the pipeline class on first use (PEP 562)."""
    if name == "MoFRRPipeline":
        from .pipelines.mofrr.pipeline import MoFRRPipeline

        return MoFRRPipeline
    if name == "BPFRePipeline":
        from .pipelines.bpfre.pipeline import BPFRePipeline

        return BPFRePipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
