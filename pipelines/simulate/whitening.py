"""Skin whitening, built in many different ways, as the filters of different vendors would be.

Every algorithm maps (images B 3 H W in [-1, 1], degrees B, variations B 4, face) to an `Edit`.
A degree is mapped log-uniformly to the strengths that engines use (`draws.strength`); degree 0
returns the image to the bit, and any other raises the mean luma of skin. The variations choose,
in this order: the region, the curve's shape, the tint, the colour reduction, and by further
digits (`draws.number`) what else an algorithm leaves open.

Families: tone curves per channel (`whitening_curves`), colour-aware steps (`whitening_colour`),
3-D LUTs (`whitening_luts`), layers in soft light and overlay (`whitening_layers`).
"""

from __future__ import annotations

from .whitening_colour import (
    beautify_tone,
    colour_matrix,
    fill_light,
    hsb,
    lab_curve,
    luma_gamma,
)
from .whitening_curves import (
    cool_lift,
    gamma_curve,
    gamma_screen,
    levels,
    log_curve,
    screen,
    spline_curve,
)
from .whitening_layers import milky_overlay, soft_light
from .whitening_luts import style_lut

ALGORITHMS = {
    "log_curve": log_curve,
    "gamma_curve": gamma_curve,
    "gamma_screen": gamma_screen,
    "screen": screen,
    "spline_curve": spline_curve,
    "levels": levels,
    "cool_lift": cool_lift,
    "lab_curve": lab_curve,
    "fill_light": fill_light,
    "hsb": hsb,
    "colour_matrix": colour_matrix,
    "beautify_tone": beautify_tone,
    "style_lut": style_lut,
    "luma_gamma": luma_gamma,
    "soft_light": soft_light,
    "milky_overlay": milky_overlay,
}
"""Every whitening algorithm by name."""
HELD_OUT = ("luma_gamma", "soft_light", "milky_overlay")
"""Algorithms that stand for vendors never seen in training: the gamma of luma, and the whole
family of layers in soft light and overlay."""
