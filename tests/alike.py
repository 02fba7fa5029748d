"""Whether what was computed twice is the same, where memory may lie differently."""

import torch
from safetensors.torch import load_file


def assert_alike(one, other, message=""):
    """Tensors of the same kind, equal but for rounding.

    Whole numbers are equal, but for one in a thousand of the bytes that were rounded: one level.
    """
    assert one.dtype == other.dtype and one.shape == other.shape, message
    apart = (one.double() - other.double()).abs()
    if one.dtype.is_floating_point:
        assert apart.max() <= 1e-3, message
    else:
        assert apart.max() <= (1 if one.dtype == torch.uint8 else 0), message
        assert (apart > 0).sum() <= one.numel() / 1000, message  # none of the few of an order


def assert_files_alike(one, other):
    """The same for two safetensors files, by path."""
    first, second = load_file(one), load_file(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert_alike(tensor, second[name], f"{name} of {one.name}")
