"""Haar by slices against pytorch_wavelets: one level forward and back."""

from __future__ import annotations

from typing import Any

import torch

from frr.models.wavelets import haar_analysis, haar_synthesis

from .timing import Clock, take_turns

SHAPES = ((8, 3, 256, 256), (1, 3, 512, 512))


def library() -> Any:
    """pytorch_wavelets, None where it is not installed."""
    try:
        import pytorch_wavelets
    except ImportError:
        return None
    return pytorch_wavelets


def seconds(shape: tuple[int, ...], repeats: int, clock: Clock) -> dict[str, float]:
    """Seconds of forward and inverse, "slices" and "pytorch_wavelets", of an image B C H W."""
    wavelets, image = library(), torch.randn(shape)
    forward = wavelets.DWTForward(J=1, wave="haar", mode="periodization")
    inverse = wavelets.DWTInverse(wave="haar", mode="periodization")
    jobs = {
        "slices": lambda: haar_synthesis(*haar_analysis(image)),
        "pytorch_wavelets": lambda: inverse(forward(image)),
    }
    with torch.no_grad():
        return take_turns(jobs, repeats, clock, warm_up=3)
