"""What travels on a MOFRR_MODEL socket."""

from __future__ import annotations

from ..pipelines.mofrr.memory import bytes_for_picture
from .host import io
from .hosted_model import HostedModel

MoFRRModelSocket = io.Custom("MOFRR_MODEL")


class MoFRRModel(HostedModel):
    """A MoFRRPipeline under the host's memory management."""

    def bytes_for_picture(self, part: str, height: int, width: int, drawing: bool = False) -> int:
        """Activation memory that a network needs for one picture of this size."""
        network = getattr(self.pipeline, part)
        return bytes_for_picture(part, network, height, width, drawing)
