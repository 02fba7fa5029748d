"""How `frr restore` treats one photo: settings, the loaded photo, and what is saved of it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from . import options
from .candidates import candidate_files, write_candidates
from .faces import load_detector, restore_faces
from .photos import Job, open_photo, own_files, save_photo
from .reports import References, Report, expert_files, write_expert_pictures
from .results import Results
from .throughput import for_device
from .working import Saved

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from ..pipelines.mofrr.output import MoFRRPipelineOutput
    from ..pipelines.mofrr.pipeline import MoFRRPipeline


@dataclass(frozen=True)
class Settings:
    """How to restore.

    Attributes:
        operations: the operations to undo, as the pipeline takes them.
        degrees: degrees that are known, by operation.
        num_inference_steps: denoising steps.
        strength: share of the correction that is applied.
        num_samples: estimates to average.
        seed: every photo's noise starts from it.
        working_size: shorter side the networks see, 0 for the photo's own, None for the model's.
        skip_untouched: whether a photo where nothing is found comes back as it is.
    """

    operations: set[str] | dict[str, bool | str] | None
    degrees: dict[str, float]
    num_inference_steps: int
    strength: float
    num_samples: int
    seed: int
    working_size: int | None
    skip_untouched: bool

    @classmethod
    def of(cls, given: dict[str, Any], pipe: MoFRRPipeline) -> Settings:
        """Read the command line's options.

        Raises:
            click.BadParameter: one of them does not fit the model.
        """
        return cls(
            operations=options.parse_operations(given["operations"], pipe.operations),
            degrees=options.parse_degrees(given["degrees"], pipe.operations),
            num_inference_steps=options.steps_or_default(pipe, given["steps"]),
            strength=given["strength"],
            num_samples=given["samples"],
            seed=given["seed"],
            working_size=given["working_size"],
            skip_untouched=not given["always"],
        )

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the pipeline's call."""
        import torch

        given = {**vars(self), "degrees": self.degrees or None}
        given["generator"] = torch.Generator().manual_seed(given.pop("seed"))
        given["working_size"] = {None: "config", 0: None}.get(self.working_size, self.working_size)
        return given

    def record(self) -> dict[str, Any]:
        """The same as JSON holds it."""
        given = dict(vars(self))
        if isinstance(self.operations, set):
            given["operations"] = sorted(self.operations)
        return given


class Loaded(NamedTuple):
    """A photo that is ready to be restored.

    Attributes:
        photo: the picture.
        pixels: what the pipeline is given: the picture, or its tensor.
        truth: the true picture, where there is one.
        seconds: how long loading took.
    """

    photo: Image.Image
    pixels: Any
    truth: Image.Image | None
    seconds: float

    @classmethod
    def of(
        cls,
        job: Job,
        references: References,
        device: torch.device | None,
        data: bytes | None = None,
    ) -> Loaded:
        """Read a job's pictures; for `device`, None where the pipeline needs the picture itself.

        Raises:
            ValueError: one of them cannot be read, or does not fit.
        """
        start = time.perf_counter()
        photo = open_photo(job.photo, data)
        truth = references.find(job.photo, photo.size)
        pixels = photo if device is None else for_device(photo, device)
        return cls(photo, pixels, truth, time.perf_counter() - start)


class Restored(NamedTuple):
    """A photo that is ready to be saved.

    Attributes:
        loaded: the photo as it came.
        result: the restored picture.
        output: all that the pipeline says about it.
        faces: what was found of each face; None where the photo was restored as one.
        seconds: how long restoring took.
    """

    loaded: Loaded
    result: Image.Image
    output: MoFRRPipelineOutput
    faces: list[dict[str, Any]] | None
    seconds: float

    def without_experts(self) -> Restored:
        """The same without the experts' planes, which need much memory while it waits."""
        output = replace(self.output, expert_images=None, residuals=None, flows=None)
        return self._replace(output=output)

    def save(self, pipe: MoFRRPipeline, job: Job, results: Results, how: Restoring) -> Report:
        """Write the pictures; returns the report, not yet written."""
        start, photo = time.perf_counter(), self.loaded.photo
        profile = photo.info.get("icc_profile")
        save_photo(self.result, job.target, results, profile)
        found = write_candidates(self.output, job, results, profile) if how.candidates else None
        if how.experts:
            write_expert_pictures(self.output, job.extras, results)
        seconds = {"read": self.loaded.seconds, "restore": self.seconds}
        seconds["write"] = time.perf_counter() - start
        pictures = photo, self.result
        report = Report.of(pipe, job, pictures, self.output, self.loaded.truth, seconds, self.faces)
        return replace(report, candidates=found)


@dataclass(frozen=True)
class Restoring:
    """How photos are restored, in plain values.

    Attributes:
        model: as `--model`.
        device: as `--device`.
        dtype: as `--dtype`.
        settings: of the pipeline's call.
        operations: that the model knows, in order.
        reference: a file with, or a folder of, true photos.
        faces: which faces of whole photos are restored; None where a photo is one face.
        experts: whether each expert's pictures are written, too.
        candidates: how many restorations that may be the true one are written beside.
    """

    model: str
    device: str | None
    dtype: str
    settings: Settings
    operations: tuple[str, ...]
    reference: Path | None = None
    faces: Any = None
    experts: bool = False
    candidates: int = 0

    @property
    def context(self) -> dict[str, Any]:
        """What reports say of how it was done."""
        asked = {"candidates": self.candidates} if self.candidates else {}
        return {"model": self.model, "settings": {**self.settings.record(), **asked}}

    @property
    def columns(self) -> dict[str, Any]:
        """What a list of many photos says of each: a kind of value, or kinds by name."""
        numbers = dict.fromkeys(self.operations, float)
        return {"probabilities": numbers, "degrees": numbers, "undone": list}

    def row(self, record: dict[str, Any]) -> dict[str, Any]:
        """The columns' values, from a photo's report."""
        names = {"probabilities": "routing", "degrees": "degrees", "undone": "active"}
        return {column: record[name] for column, name in names.items()}

    def on(self, device: str) -> Restoring:
        """The same on a device."""
        return replace(self, device=device)

    def begin(self) -> Restorer:
        """Load the networks."""
        return Restorer(self, options.load_pipeline(self.model, self.device, self.dtype))


def files_of(job: Job, candidates: int) -> tuple[Path, ...]:
    """A photo's result and report, and its candidates."""
    return (*own_files(job), *candidate_files(job, candidates))


class Restorer:
    """Restores photos in this process.

    Args:
        how: all that was asked for.
        pipe: the networks.
    """

    def __init__(self, how: Restoring, pipe: MoFRRPipeline) -> None:
        self.how, self.pipe = how, pipe
        self.references = References(how.reference)
        self.detector = load_detector() if how.faces else None

    def files(self, job: Job) -> Iterable[Path]:
        """All that `save` may write."""
        extras = expert_files(job, self.pipe.operations) if self.how.experts else ()
        return (*files_of(job, self.how.candidates), *extras)

    def load(self, job: Job, data: bytes | None = None) -> Loaded:
        """Read the photo and, where there is one, the true photo."""
        device = None if self.detector else self.pipe.device
        return Loaded.of(job, self.references, device, data)

    def work(self, loaded: Loaded) -> Restored:
        """Restore it."""
        faces, start, pipe = None, time.perf_counter(), self.pipe
        arguments = self.how.settings.arguments()
        if self.detector is None:
            result, output = options.restore_photo(pipe, loaded.pixels, **arguments)
        else:
            result, output, faces = restore_faces(
                pipe, self.detector, loaded.photo, self.how.faces, **arguments
            )
        restored = Restored(loaded, result, output, faces, time.perf_counter() - start)
        return restored if self.how.experts else restored.without_experts()

    def save(self, job: Job, done: Restored, results: Results) -> Saved:
        """Write the picture, and the report last."""
        report = done.save(self.pipe, job, results, self.how)
        return Saved(report.write(results, **self.how.context), report.line())
