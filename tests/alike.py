"""Whether what was computed twice is the same, where memory may lie differently."""

import torch
from safetensors.torch import load_file


def assert_alike(one, other, message=""):
    """Tensors of the same kind, equal but for rounding; those of bytes by one level at most."""
    assert one.dtype == other.dtype and one.shape == other.shape, message
    atol = 1.0 if one.dtype == torch.uint8 else 1e-3
    assert torch.allclose(one.float(), other.float(), rtol=0, atol=atol), message


def assert_files_alike(one, other):
    """The same for two safetensors files, by path."""
    first, second = load_file(one), load_file(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert_alike(tensor, second[name], f"{name} of {one.name}")
