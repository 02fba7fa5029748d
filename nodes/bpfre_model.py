"""What travels on a BPFRE_MODEL socket."""

from __future__ import annotations

from typing import Any, Literal

from ..pipelines.bpfre.memory import bytes_for_picture
from .host import io
from .hosted_model import HostedModel

BPFReModelSocket = io.Custom("BPFRE_MODEL")
RETOUCHER, INPAINTER, HEALER = "retoucher", "inpainter", "healer"
WORK = {RETOUCHER: "retouches", INPAINTER: "fills holes", HEALER: "heals natural skin"}


class BPFReModel(HostedModel):
    """A BPFRePipeline under the host's memory management."""

    def bytes_for_picture(self, part: str, height: int, width: int, drawing: bool = False) -> int:
        """Activation memory that a network needs for one picture of this size."""
        return bytes_for_picture(self.network(part), height, width)

    def working_size(self, size: int | Literal["config"]) -> int | None:
        """The working size in pixels; "config" stands for the pipeline's own."""
        return self.pipeline.config["working_size"] if size == "config" else size

    def network(self, part: str) -> Any:
        """The retoucher, the inpainter or the healer.

        Raises:
            ValueError: the model came without it.
        """
        network = getattr(self.pipeline, part)
        if network is None:
            raise ValueError(
                f"the model {self.name!r} has no {part}, the network that {WORK[part]}; choose a "
                "model with one in Load BPFRe Model (one of your own goes under models/bpfre)"
            )
        return network
