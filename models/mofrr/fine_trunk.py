"""FineTrunk: all that a view holds, read together on the grid of its traces, for NativeRouter.

The first trunk halves the grid before it compares places. Where a warp begins and ends, though, is
a matter of single cells: an iris is two of them wide in most crops. So this one works at 32 x 32.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import ResNetBackbone, ResNetConfig

from ..native_traces import SPECTRUM
from .granularity import max_over_map, mean_over_map
from .group_norm import convolution, normalise_by_groups
from .native_view import PLACED, NativeView

MAP = 8


class FineStem(nn.Module):
    """Traces, block spectra, finest details and colour on one grid, B C 32 32.

    Args:
        width: channels of the result.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.measures = convolution(2 * (PLACED + SPECTRUM), width, side=1)
        self.details = nn.Sequential(
            convolution(6, width // 4, 2, side=5), convolution(width // 4, width // 2, 2)
        )
        self.join = convolution(width + width // 2, width, side=1)

    def forward(self, measures: Tensor, details: Tensor) -> Tensor:
        """Measures B M 32 32 and details B 6 128 128 -> B C 32 32."""
        local = 2 * (measures - measures.mean((2, 3), keepdim=True))
        measures = self.measures(torch.cat((measures, local), dim=1))
        return self.join(torch.cat((measures, self.details(details)), dim=1))


class FineTrunk(nn.Module):
    """A residual network over a view -> features B `size`.

    Args:
        widths: channels of the stages; the first works on the grid of the traces, each further one
            on half of the one before it.
        depths: residual blocks of each stage.
        map_width: channels of the 8 x 8 map that is read place by place.
    """

    def __init__(
        self, widths: tuple[int, ...], depths: tuple[int, ...], map_width: int = 12
    ) -> None:
        super().__init__()
        self.trunk = ResNetBackbone(
            ResNetConfig(
                embedding_size=widths[0],
                hidden_sizes=list(widths),
                depths=list(depths),
                layer_type="basic",
                out_features=[f"stage{i + 1}" for i in range(len(depths))],  # pyright: ignore
            )
        )
        normalise_by_groups(self.trunk)
        self.trunk.embedder = FineStem(widths[0])
        self.map = nn.Conv2d(sum(widths), map_width, 1)
        self.size = 2 * sum(widths) + map_width * MAP**2

    def forward(self, view: NativeView, traces: Tensor, spectrum: Tensor, fine: Tensor) -> Tensor:
        """Features of a view, with its traces (placed), spectrum and details standardised."""
        details = torch.cat((fine, view.colour), dim=1)
        features = self.trunk.embedder(torch.cat((traces, spectrum), dim=1), details)
        stages = self.trunk.encoder(features, output_hidden_states=True).hidden_states[1:]
        pooled = [pool(each) for each in stages for pool in (mean_over_map, max_over_map)]
        joined = torch.cat([F.adaptive_avg_pool2d(each, MAP) for each in stages], dim=1)
        return torch.cat((*pooled, self.map(joined).flatten(1)), dim=1)
