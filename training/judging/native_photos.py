"""What is known of one photo after it was judged: what was done, found, and what undoing it gives.

One line of JSON each, so that thresholds can be set and tables made without restoring again.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ...pipelines.simulate.effects import FELT
from ..writing import write_text

JOIN = "+"
INVISIBLE = 55.0
"""PSNR in dB, less than half a grey level, above which no change can be seen."""
FAINTEST = 0.08
"""The least effect that is felt, of operations that `FELT` does not know."""


@dataclass(frozen=True)
class JudgedPhoto:
    """A photo retouched at its own size, the router's verdict and what each choice would restore.

    Attributes:
        condition: "untouched", an operation, or "mixed".
        split: "seen" or "unseen" algorithms.
        face: name of the file it was made from.
        native: side in pixels at which it was retouched.
        side: side in pixels at which it came to be judged.
        quality: last JPEG quality, 0 = saved without loss.
        effects: by operation how strong it was, 0 = not applied.
        probabilities: by operation the router's.
        degrees: by operation the router's.
        decibels: by operations undone, joined by "+" in the pipeline's order, the PSNR against the
            photo as it came without retouching; "" is the photo as it is.
        seen_quality: JPEG quality as its pixels show it, None where they do not.
        untold: operations of which the router says that this photo does not let it tell.
        forms: the router's probabilities for the same photo saved otherwise, by form.
        distances: of the face's embedding from the true photo's: "retouched", "given" (operations
            undone), "router"; empty where it was not measured.
    """

    condition: str
    split: str
    face: str
    native: int
    side: int
    quality: int
    effects: Mapping[str, float]
    probabilities: Mapping[str, float]
    degrees: Mapping[str, float]
    decibels: Mapping[str, float]
    seen_quality: int | None = None
    untold: tuple[str, ...] = ()
    forms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    distances: Mapping[str, float] = field(default_factory=dict)

    @property
    def operations(self) -> tuple[str, ...]:
        """All operations, in the pipeline's order."""
        return tuple(self.probabilities)

    @property
    def applied(self) -> tuple[str, ...]:
        """The operations that were applied."""
        return tuple(name for name in self.operations if self.effects[name] > 0)

    @property
    def felt(self) -> bool:
        """Whether operations changed so much that it can be felt (`effects`), and can be seen."""
        strong = any(self.effects[name] >= least_felt(name) for name in self.applied)
        return strong and self.decibels.get("", 0.0) < INVISIBLE

    def found(self, thresholds: Mapping[str, float]) -> tuple[str, ...]:
        """The operations whose probability is at least the threshold, if it says anything."""
        told = (name for name in self.operations if name not in self.untold)
        return tuple(name for name in told if self.probabilities[name] >= thresholds[name])

    def restored(self, undone: Collection[str]) -> float:
        """The PSNR in dB where these operations are undone.

        Raises:
            ValueError: it was not measured.
        """
        key = self.key(undone)
        if key not in self.decibels:
            raise ValueError(
                f"{self.face} ({self.condition}) was not restored with {key!r} undone; it was with "
                f"{', '.join(map(repr, self.decibels))}: evaluate it again with all choices"
            )
        return self.decibels[key]

    def key(self, undone: Collection[str]) -> str:
        """The name of a choice in `decibels`."""
        return JOIN.join(name for name in self.operations if name in undone)


def least_felt(operation: str) -> float:
    """The least effect of an operation that is felt."""
    return FELT.get(operation, FAINTEST)


def write_photos(photos: Iterable[JudgedPhoto], path: Path) -> None:
    """One line of JSON for each photo."""
    lines = [json.dumps(asdict(photo)) + "\n" for photo in photos]
    write_text(path, "".join(lines))


def read_photos(path: Path) -> list[JudgedPhoto]:
    """The photos that `write_photos` wrote.

    Raises:
        ValueError: a line is none of them, or there is none.
    """
    photos = list(_read(path))
    if not photos:
        raise ValueError(f"{path} holds no photo: evaluate a model first")
    return photos


def _read(path: Path) -> Iterator[JudgedPhoto]:
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            values = json.loads(line)
            yield JudgedPhoto(**{**values, "untold": tuple(values.get("untold", ()))})
        except (json.JSONDecodeError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}, line {number}, is not a judged photo: {error}") from error
