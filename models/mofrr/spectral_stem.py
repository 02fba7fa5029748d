"""SpectralStem: how a place is soft, and the beats that a warp leaves, for router and experts."""

import torch
from torch import Tensor, nn

from ..native_traces import SPECTRUM
from .native_view import NativeView

GROUPS = 8


def convolution(inputs: int, outputs: int, stride: int = 1, side: int = 3) -> nn.Sequential:
    """A convolution, group normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False),
        nn.GroupNorm(GROUPS, outputs),
        nn.ReLU(inplace=True),
    )


class SpectralStem(nn.Module):
    """Block spectra and the finest details of a view -> features B C 16 16.

    Both are seen twice: as they are, and less their mean over the photo. It begins at zero.

    Args:
        width: channels within.
        outputs: channels of the result.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.spectrum_standardization = nn.BatchNorm2d(SPECTRUM, affine=False)
        self.fine_standardization = nn.BatchNorm2d(3, affine=False)
        self.spectrum = nn.Sequential(
            convolution(2 * SPECTRUM, width, side=1), convolution(width, width, 2)
        )
        self.fine = nn.Sequential(
            convolution(6, width // 2, 2, side=5),
            convolution(width // 2, width, 2),
            convolution(width, width, 2),
        )
        self.join = nn.Sequential(
            convolution(2 * width, outputs, side=1), nn.Conv2d(outputs, outputs, 1)
        )
        for parameter in self.join[-1].parameters():
            nn.init.zeros_(parameter)

    @property
    def standardizations(self) -> dict[str, nn.BatchNorm2d]:
        """What standardises the measures of a view, by the name of what it standardises."""
        return {"spectrum": self.spectrum_standardization, "fine": self.fine_standardization}

    def forward(self, view: NativeView) -> Tensor:
        """B C 16 16."""
        spectrum = _twice(self.spectrum_standardization(view.spectrum))
        fine = _twice(self.fine_standardization(view.fine))
        return self.join(torch.cat((self.spectrum(spectrum), self.fine(fine)), dim=1))


def _twice(planes: Tensor) -> Tensor:
    return torch.cat((planes, 2 * (planes - planes.mean((2, 3), keepdim=True))), dim=1)
