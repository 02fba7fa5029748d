"""FlowExpert: undoes a geometric operation by a smooth flow, and by nothing else."""

import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from .coarse_encoder import Block, CoarseEncoder, degree_planes, hedge
from .contract import DirectAnswer
from .native_view import OWN_SIZE, NativeView


class FlowExpert(ModelMixin, ConfigMixin):
    """Undoes a geometric operation: a smooth flow and nothing else.

    Args:
        operation: its name.
        widths: channels of the encoder's levels.
        fine: channels at 64 x 64.
        unknown_share: part of the edit that is kept where the degree is not known; calibrated.
        spectral_width: channels of the path that reads block spectra and the finest details; 0 =
            there is none.
    """

    @register_to_config
    def __init__(
        self,
        operation: str = "face_slimming",
        widths: tuple[int, int, int] = (32, 64, 96),
        fine: int = 16,
        unknown_share: float = 1.0,
        spectral_width: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = CoarseEncoder(widths, fine, spectral_width)
        self.up = nn.Conv2d(widths[0], fine, 1)
        self.block = Block(fine)
        self.head = nn.Conv2d(fine, 2, 3, padding=1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)
        self.size_requirements = OWN_SIZE

    def answer(self, photo: Tensor, view: NativeView, degree: Tensor | None) -> DirectAnswer:
        """See `DirectExpert`."""
        return DirectAnswer(flow=hedge(self(view, degree), degree, self.config.unknown_share))

    def forward(self, view: NativeView, degree: Tensor | None = None) -> Tensor:
        """The flow that undoes it, B 2 64 64 in thousandths of the photo's sides."""
        condition = degree_planes(degree, view)
        features, fine = self.encoder(view, condition)
        features = F.interpolate(self.up(features), scale_factor=2.0, mode="bilinear")
        return self.head(self.block(F.silu(features + fine), condition)) * 4
