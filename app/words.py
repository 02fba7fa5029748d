"""What the page says to people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..pipelines.operations import label

TITLE = "FRR: face retouching restoration"
INTRODUCTION = """
# Face retouching restoration

Apps whiten and smooth skin, slim faces and enlarge eyes. **Restore** says which of these a photo of
a face got and estimates what it was before; **Retouch** goes the other way and heals blemishes.
A photo should be filled by one upright face.
"""
LIMITS = """
**An estimate, not evidence.** What retouching removed is gone; what stands in its place is
plausible at best. Left to itself the model misses most retouching: say what was done where you know
it. Do not identify people by a result, and do not present it as anyone's true face.
**Consent.** Undoing retouching says something about people that they chose not to show: use photos
of people who agreed. **Privacy.** A photo is worked on in memory and forgotten with the answer;
nothing is written to a disk.
"""
SWITCHES = {"auto": "auto", "undo": True, "leave": False}
"""What the page calls an operation's switches; auto: the model decides."""
TOO_LITTLE = "The photo is too small or too compressed to tell"


def restored(undone: dict[str, float], untold: Sequence[str]) -> str:
    """One sentence or two on a restoration; `undone`: operation -> degree."""
    did = ", ".join(f"{label(name)} (degree {degree:.2f})" for name, degree in undone.items())
    said = f"Undone: {did}." if did else "Nothing was undone: the photo comes back as it is."
    names = [label(name) for name in untold if name not in undone]
    return f"{said} {TOO_LITTLE}: {', '.join(names)}." if names else said


def retouched(changed: float, kinds: Sequence[str] | None) -> str:
    """One sentence or two on a retouch; `changed` share of the pixels, `kinds` of the findings."""
    said = f"{changed:.1%} of the pixels changed."
    if kinds is None:
        return said
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(Counter(kinds).items()))
    return f"{said} Regions healed: {counts or 'none'}."
