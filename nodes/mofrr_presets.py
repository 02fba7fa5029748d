"""The presets of MoFRRRestore: they set its other widgets, in the frontend, and nothing else."""

from __future__ import annotations

from typing import Any

from .host import io

BY_HAND = "by hand"
PRESETS = (
    BY_HAND,
    "as found",
    "gentle",
    "everything, strong",
    "skin only",
    "shape only",
)
"""As in `web/js/presets.js`, which has what each one sets."""


def preset_input() -> Any:
    """A choice that sets the widgets of strength, operations and degrees."""
    return io.Combo.Input(
        "preset",
        options=list(PRESETS),
        default=BY_HAND,
        optional=True,
        tooltip=(
            "Sets strength, operations and degrees once, as a start to change by hand; it does "
            "nothing when the graph runs."
        ),
    )
