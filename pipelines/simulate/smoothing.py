"""Skin smoothing, built in many different ways, as the filters of different vendors would be.

Every algorithm maps (images B 3 H W in [-1, 1], degrees B, variations B 4, face) to an `Edit`.
A degree is mapped log-uniformly to the strengths that engines use (`draws.strength`); degree 0
returns the image to the bit. The variations choose, in this order: the region, the filter's
width, its threshold, and how much of the edit eyes, brows and lips receive; by further digits
(`draws.number`) whether light is evened out as well, and what else an algorithm leaves open.

Families: filters that stop at edges (`smoothing_edges`), bands of detail and local statistics
(`smoothing_bands`), high-pass with hard light (`smoothing_highpass`), work by hand
(`smoothing_hands`).
"""

from __future__ import annotations

from .smoothing_bands import (
    frequency_separation,
    linear_separation,
    local_statistics,
    low_layer,
    median,
    pyramid_coring,
    wavelet_damping,
)
from .smoothing_edges import (
    anisotropic_diffusion,
    bilateral_blur,
    guided_blur,
    self_guided_blur,
    sparse_bilateral,
    surface_blur,
)
from .smoothing_hands import dodge_and_burn, heal_spots
from .smoothing_highpass import curve_highpass, green_levels, ring_highpass

ALGORITHMS = {
    "bilateral_blur": bilateral_blur,
    "sparse_bilateral": sparse_bilateral,
    "surface_blur": surface_blur,
    "guided_blur": guided_blur,
    "self_guided_blur": self_guided_blur,
    "pyramid_coring": pyramid_coring,
    "frequency_separation": frequency_separation,
    "linear_separation": linear_separation,
    "low_layer": low_layer,
    "wavelet_damping": wavelet_damping,
    "local_statistics": local_statistics,
    "median": median,
    "heal_spots": heal_spots,
    "dodge_and_burn": dodge_and_burn,
    "anisotropic_diffusion": anisotropic_diffusion,
    "ring_highpass": ring_highpass,
    "green_levels": green_levels,
    "curve_highpass": curve_highpass,
}
"""Every smoothing algorithm by name."""
HELD_OUT = ("anisotropic_diffusion", "ring_highpass", "green_levels", "curve_highpass")
"""Algorithms that stand for vendors never seen in training: diffusion, and the whole family of
high-pass filters with iterated hard light."""
