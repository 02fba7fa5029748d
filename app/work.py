"""What the page asks of the pipelines: a photo and settings in, plain data out; no web in it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import torch
from PIL import Image

from ..models.bpfre.kinds import KINDS
from ..pipelines.bpfre.pipeline import BPFRePipeline
from ..pipelines.mofrr.output import MoFRRPipelineOutput
from ..pipelines.mofrr.pipeline import MoFRRPipeline
from ..pipelines.operations import label
from . import words
from .pictures import as_png, as_shown, read_photo


class Comparison(TypedDict):
    """A photo before and after, for the slider.

    Attributes:
        before, after: data URLs of at most `SHOWN` pixels.
        result: data URL of the result at the photo's size, PNG.
        name: file name for it.
        says: what was done, in words.
        seconds: how long it took.
    """

    before: str
    after: str
    result: str
    name: str
    says: str
    seconds: float


class Bar(TypedDict):
    """What the router says of one operation.

    Attributes:
        operation: its name.
        label: its name in words.
        probability: that it was applied, 0..1; None without a router.
        threshold: from which it counts as found; None without a router.
        told: whether the photo lets the router tell.
        undone: whether it was undone.
        degree: at which, 0..1; None where it was not.
    """

    operation: str
    label: str
    probability: float | None
    threshold: float | None
    told: bool
    undone: bool
    degree: float | None


@dataclass(frozen=True)
class Worker:
    """The two pipelines behind the page.

    Attributes:
        mofrr: restores.
        bpfre: retouches.
    """

    mofrr: MoFRRPipeline
    bpfre: BPFRePipeline

    @property
    def operations(self) -> Sequence[str]:
        """What can be undone."""
        return self.mofrr.operations

    @property
    def kinds(self) -> Sequence[str]:
        """What can be healed apart from the rest."""
        return KINDS if self.bpfre.healer is not None else ()

    def restore(
        self,
        data: object,
        strength: float,
        switches: Mapping[str, bool | str],
        degrees: Mapping[str, float],
    ) -> tuple[Comparison, list[Bar]]:
        """Undo retouching.

        Args:
            data: the photo as a data URL.
            strength: share of the correction that is applied, 0..1.
            switches: operation -> True, False or "auto".
            degrees: degrees that are known, 0..1.

        Raises:
            ValueError: no photo, or an argument out of its range.
        """
        start, photo = time.perf_counter(), read_photo(data)
        output: Any = self.mofrr(
            photo,
            strength=strength,
            operations=switches,
            degrees=degrees or None,
            generator=torch.Generator().manual_seed(0),
        )
        bars = self._bars(output)
        undone = {bar["operation"]: bar["degree"] or 0.0 for bar in bars if bar["undone"]}
        untold = [bar["operation"] for bar in bars if not bar["told"]]
        says = words.restored(undone, untold)
        return _comparison(photo, output.images[0], "restored.png", says, start), bars

    def retouch(
        self, data: object, strength: float, kinds: Sequence[str]
    ) -> tuple[Comparison, list[dict[str, Any]]]:
        """Heal blemishes; also returns the findings: kind, box in pixels, change in grey levels.

        Args:
            data: the photo as a data URL.
            strength: how much is done, 0..1.
            kinds: of `kinds`, what is healed; ignored by a model without a healer.

        Raises:
            ValueError: no photo, or an argument out of its range.
        """
        start, photo = time.perf_counter(), read_photo(data)
        chosen = None if set(kinds) == set(self.kinds) else list(kinds)
        output: Any = self.bpfre(photo, strength=strength, kinds=chosen)
        result = output.images[0]
        before, after = (np.asarray(each.convert("RGB")) for each in (photo, result))
        found = None if output.findings is None else output.findings[0]
        says = words.retouched(
            float((before != after).any(-1).mean()), found and [each.kind for each in found]
        )
        findings = [each._asdict() for each in found or ()]
        return _comparison(photo, result, "retouched.png", says, start), findings

    def _bars(self, output: MoFRRPipelineOutput) -> list[Bar]:
        names, router = self.operations, self.mofrr.router
        thresholds = [None] * len(names) if router is None else list(router.config.thresholds)
        told = [True] * len(names) if output.told is None else output.told[0].tolist()
        columns = (names, output.routing[0], thresholds, told, output.active[0], output.degrees[0])
        return [
            Bar(
                operation=name,
                label=label(name),
                probability=None if limit is None else round(float(probability), 4),
                threshold=limit,
                told=tells,
                undone=bool(undone),
                degree=_number(degree) if undone else None,
            )
            for name, probability, limit, tells, undone, degree in zip(*columns, strict=True)
        ]


def _number(value: torch.Tensor) -> float | None:
    """A number as JSON holds it."""
    number = round(float(value), 4)
    return number if math.isfinite(number) else None


def _comparison(
    photo: Image.Image, result: Image.Image, name: str, says: str, start: float
) -> Comparison:
    return Comparison(
        before=as_shown(photo),
        after=as_shown(result),
        result=as_png(result),
        name=name,
        says=says,
        seconds=time.perf_counter() - start,
    )
