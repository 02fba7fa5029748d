"""FaceParts: where skin, eyes, lips, jaw and neck are, and what photos are like there.

How light skin is says little of whitening, since people and light differ; how light it is beside
the whites of the eyes, the lips and the neck of the same photo says more. A place along the jaw
that is softer than the forehead may have been moved. So parts are found first, and then compared.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..native_traces import CHANNELS, GRID, SPECTRUM
from .native_view import NativeView
from .spectral_stem import convolution

PARTS = (
    "forehead",
    "cheeks",
    "chin",
    "eye whites",
    "irises",
    "lips",
    "brows",
    "around the eyes",
    "inside the jaw",
    "outside the jaw",
    "neck",
    "elsewhere",
)
"""What is told apart, in the order of the maps."""
MAPS = 64
"""Cells along each side of the maps."""
_COLOURS = 7
MEASURES = _COLOURS + CHANNELS + SPECTRUM
"""Numbers that each part is described by."""


class PartFinder(nn.Module):
    """The small colour image, B 3 128 128 in [-1, 1] -> logits of the parts, B P 64 64.

    Args:
        width: channels of the finest level.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fine = convolution(5, width, 2)
        self.middle = convolution(width, 2 * width, 2)
        self.coarse = nn.Sequential(
            convolution(2 * width, 4 * width, 2), convolution(4 * width, 4 * width)
        )
        self.up_middle = convolution(6 * width, 2 * width)
        self.up_fine = convolution(3 * width, 2 * width)
        self.head = nn.Conv2d(2 * width, len(PARTS), 1)

    def forward(self, colour: Tensor) -> Tensor:
        """B P 64 64."""
        at = torch.linspace(-1, 1, colour.shape[-1], device=colour.device, dtype=colour.dtype)
        places = torch.stack(torch.broadcast_tensors(at[:, None], at)).expand(
            len(colour), -1, -1, -1
        )
        fine = self.fine(torch.cat((colour, places), dim=1))
        middle = self.middle(fine)
        coarse = F.interpolate(self.coarse(middle), scale_factor=2.0, mode="bilinear")
        middle = self.up_middle(torch.cat((coarse, middle), dim=1))
        middle = F.interpolate(middle, scale_factor=2.0, mode="bilinear")
        return self.head(self.up_fine(torch.cat((middle, fine), dim=1)))


class FaceParts(nn.Module):
    """Features of the parts of a face, B `size`, each beside the others.

    Nothing is normalised but by what standardises the traces: tone is read as it is.

    Args:
        finder_width: channels of the finder's finest level.
        size: length of the result.
    """

    def __init__(self, finder_width: int, size: int) -> None:
        super().__init__()
        self.finder = PartFinder(finder_width)
        self.layers = nn.Sequential(
            nn.Linear(len(PARTS) * (MEASURES + 1), size),
            nn.SiLU(),
            nn.Dropout(0.3),
            nn.Linear(size, size),
            nn.SiLU(),
        )

    def forward(self, view: NativeView, traces: Tensor, spectrum: Tensor) -> Tensor:
        """Features of a view, with its traces and spectrum standardised: B `size`.

        The maps learn from meshes alone, so that they stay what they are called.
        """
        with torch.no_grad():
            maps = self.finder(view.colour).sigmoid()
        measures = measure(maps, view.colour, torch.cat((traces, spectrum), dim=1))
        return self.layers(measures.flatten(1))


def measure(maps: Tensor, colour: Tensor, traces: Tensor) -> Tensor:
    """What photos are like in each part: B P `MEASURES` + 1.

    Args:
        maps: B P 64 64 in [0, 1].
        colour: B 3 128 128 in [-1, 1].
        traces: B C 32 32, standardised.

    Returns:
        Means of red, green, blue, spreads of grey, of red - green and of blue - green, the mean of
        the lightest; means of the traces; and the root of the part's share of the photo.
    """
    small = F.avg_pool2d(colour, colour.shape[-1] // MAPS)
    red, green, blue = small.unbind(1)
    grey = small.mean(1)
    planes = torch.stack((red, green, blue, grey, red - green, blue - green), dim=1)
    means = _means(maps, planes)
    spreads = (_means(maps, planes[:, 3:].square()) - means[..., 3:].square()).clamp_min(0)
    bright = (_means(maps, (4 * grey[:, None]).exp()).clamp_min(1e-6)).log() / 4
    coarse = F.avg_pool2d(maps, MAPS // GRID)
    share = maps.mean((2, 3))[..., None].sqrt()
    spreads = (spreads + 1e-5).sqrt()
    return torch.cat((means[..., :3], spreads, bright, _means(coarse, traces), share), dim=-1)


def _means(maps: Tensor, planes: Tensor) -> Tensor:
    """Means of planes B C h w weighted by maps B P h w: B P C."""
    weights = maps.flatten(2)
    weights = weights / (weights.sum(-1, keepdim=True) + 1)
    return weights @ planes.flatten(2).transpose(1, 2)
