"""FRR: face retouching restoration (MoFRR) as diffusers pipelines and a ComfyUI node pack.

Importing this module imports nothing heavy: `frr.MoFRRPipeline` is resolved when it is first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pipelines.pipeline_mofrr import MoFRRPipeline

__version__ = "0.1.0"
__all__ = ["MoFRRPipeline", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the pipeline class on first use (PEP 562)."""
    if name == "MoFRRPipeline":
        from .pipelines.pipeline_mofrr import MoFRRPipeline

        return MoFRRPipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
