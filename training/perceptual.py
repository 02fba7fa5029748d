"""Feature losses: Haar bands at several scales, which need no weights, or VGG-19 from disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

FeatureLoss = Callable[[Tensor, Tensor, Tensor | None], Tensor]

_VGG19 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512)  # 0: pooling
_VGG_TAPS = (1, 6, 11, 20, 29)  # relu1_1, 2_1, 3_1, 4_1, 5_1
_MEAN, _SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def haar_features(result: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """L1 distance of the orthonormal Haar bands at three scales, a scalar.

    Args:
        result: B 3 H W in [-1, 1].
        target: B 3 H W in [-1, 1].
        weight: B 1 H W with mean about 1, weights of the places; None weighs all alike.
    """
    low, total = result - target, result.new_zeros(())
    for _ in range(3):
        low = low[..., : low.shape[-2] // 2 * 2, : low.shape[-1] // 2 * 2]
        a, b = low[..., ::2, ::2], low[..., ::2, 1::2]
        c, d = low[..., 1::2, ::2], low[..., 1::2, 1::2]
        details = (a - b + c - d).abs() + (a + b - c - d).abs() + (a - b - c + d).abs()
        if weight is not None:
            weight = F.avg_pool2d(weight, 2)
            details = details * weight
        total = total + details.mean() / 2
        low = (a + b + c + d) / 2
    return total / 3


class VGGFeatures(nn.Module):
    """L1 distance of VGG-19's features, phi of BPFRe's losses.

    Args:
        path: torchvision's weights `vgg19-dcbb9e9d.pth`, or the same as safetensors.

    Raises:
        ValueError: there is no such file, or it holds no VGG-19. Nothing is downloaded.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, path: Path | str) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in _VGG19:
            if width:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.features.load_state_dict(_read_vgg(Path(path), self.features.state_dict()))
        self.requires_grad_(False).eval()
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("spread", torch.tensor(_SPREAD)[:, None, None], persistent=False)

    def forward(self, result: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """B 3 H W in [-1, 1] twice -> a scalar; `weight` B 1 H W is reduced to each layer."""
        total = result.new_zeros(())
        first, second = ((image / 2 + 0.5 - self.mean) / self.spread for image in (result, target))
        for i, layer in enumerate(self.features):
            first, second = layer(first), layer(second)
            if i in _VGG_TAPS:
                distance = (first - second).abs()
                if weight is not None:
                    size = (first.shape[-2], first.shape[-1])
                    distance = distance * F.adaptive_avg_pool2d(weight, size)
                total = total + distance.mean()
        return total / len(_VGG_TAPS)


def _read_vgg(path: Path, wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(
            f"{path} does not exist: vgg must name torchvision's VGG-19 weights "
            "(vgg19-dcbb9e9d.pth, or the same as .safetensors), which you download yourself; leave "
            "vgg empty for Haar features, which need no weights."
        )
    if path.suffix == ".safetensors":
        state: dict[str, Any] = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    found = {name: state.get(f"features.{name}") for name in wanted}
    bad = [n for n, value in found.items() if value is None or value.shape != wanted[n].shape]
    if bad:
        raise ValueError(
            f"{path} is no VGG-19 of torchvision: features.{bad[0]} is missing or of another shape."
        )
    return {name: value for name, value in found.items() if value is not None}


def feature_loss(vgg: Path | str) -> FeatureLoss:
    """VGG-19's features when a file is named, else Haar bands."""
    return VGGFeatures(vgg) if str(vgg) else haar_features
