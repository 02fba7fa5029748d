"""Convolutions with group normalisation: batches hold versions of few faces."""

from torch import nn

GROUPS = 8


def convolution(inputs: int, outputs: int, stride: int = 1, side: int = 3) -> nn.Sequential:
    """A convolution, group normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, stride, padding=side // 2, bias=False),
        nn.GroupNorm(GROUPS, outputs),
        nn.ReLU(inplace=True),
    )


def normalise_by_groups(network: nn.Module) -> None:
    """Exchanges batch for group normalisation in all layers.

    Training batches hold versions of few faces, and what a batch has in common would tell the
    answer.
    """
    for name, layer in list(network.named_children()):
        if isinstance(layer, nn.BatchNorm2d):
            setattr(network, name, nn.GroupNorm(GROUPS, layer.num_features))
        else:
            normalise_by_groups(layer)
