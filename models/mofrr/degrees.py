"""How strong an operation was: the paper's five levels, softened to an expected degree."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import ResNetBackbone, ResNetConfig

from ..retouching_traces import TRACES


def expected_degree(logits: Tensor) -> Tensor:
    """The mean degree, ... in (0, 1], of logits ... L over levels that are spread evenly.

    z = sum over i of softmax(logits)_i * i / L, the degree that IDEM is given.
    """
    count = logits.shape[-1]
    levels = torch.arange(1, count + 1, device=logits.device) / count
    return logits.softmax(dim=-1) @ levels.to(logits.dtype)


def as_plane(degree: Tensor, like: Tensor) -> Tensor:
    """A degree per image, B -> B 1 h w, constant over the plane of `like`."""
    plane = degree.to(like.dtype).reshape(-1, 1, 1, 1)
    return plane.expand(-1, 1, *like.shape[-2:])


class TraceStem(nn.Module):
    """One convolution over the standardised traces."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(TRACES, width, 3, padding=1, bias=False)
        self.normalization = nn.BatchNorm2d(width)

    def forward(self, traces: Tensor) -> Tensor:
        """B 33 h w -> B C h w."""
        return F.relu(self.normalization(self.convolution(traces)))


class DegreeEstimator(nn.Module):
    """ResNet over the traces; its stages, mean and max pooled, choose one of `levels` degrees."""

    def __init__(self, resnet: dict, levels: int) -> None:
        super().__init__()
        widths = resnet["hidden_sizes"]
        stages = [f"stage{i + 1}" for i in range(len(widths))]
        config = ResNetConfig(**resnet, out_features=stages)  # pyright: ignore
        self.trunk = ResNetBackbone(config)
        self.trunk.embedder = TraceStem(config.embedding_size)
        self.head = nn.Linear(2 * sum(widths), levels)
        nn.init.zeros_(self.head.weight)

    def forward(self, traces: Tensor) -> Tensor:
        """Standardised traces B 33 h w -> logits B L."""
        maps = self.trunk(traces).feature_maps
        pooled = [f for x in maps for f in (x.mean(dim=(2, 3)), x.amax(dim=(2, 3)))]
        return self.head(torch.cat(pooled, dim=1))
