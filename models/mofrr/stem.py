"""What the router's trunk sees of a photo."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..retouching_traces import TRACES, retouching_traces
from ..wavelets import haar_bands


class RetouchStem(nn.Module):
    """What the trunk sees, on a grid of an eighth of the photo's side.

    Two views are joined: convolutions over the Haar bands, the first at every pixel of them, where
    resampling leaves its fringes, and one convolution over the standardised traces of retouching.

    Args:
        width: channels of the result.
        band_sizes: channels of the three convolutions over the bands.
    """

    def __init__(self, width: int, band_sizes: tuple[int, int, int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, stride in zip((12, *band_sizes), band_sizes, (1, 2, 2), strict=False):
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        self.bands = nn.Sequential(*layers)
        self.standardization = nn.BatchNorm2d(TRACES, affine=False)
        self.traces = nn.Conv2d(TRACES, width, 3, padding=1, bias=False)
        self.trace_normalization = nn.BatchNorm2d(width)
        self.join = nn.Conv2d(band_sizes[-1] + width, width, 1, bias=False)
        self.normalization = nn.BatchNorm2d(width)

    def forward(self, photo: Tensor) -> Tensor:
        """B 3 H W in [-1, 1], H and W divisible by 8 -> B C H/8 W/8."""
        low, (horizontal, vertical, diagonal) = haar_bands(photo)
        bands = torch.cat((low / 2, horizontal * 3, vertical * 3, diagonal * 6), dim=1)
        bands = bands.contiguous(memory_format=torch.channels_last)  # twice as quick on a CPU
        traces = self.standardization(retouching_traces(photo))
        traces = F.relu(self.trace_normalization(self.traces(traces)))
        joined = torch.cat((self.bands(bands), traces), dim=1)
        return F.relu(self.normalization(self.join(joined)))
