"""The steps of `MoFRRPipeline` under the host's memory: one network on the device at a time.

`MoFRRRestore` and the nodes that take it apart call the same functions, so they agree to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from ..pipelines.mofrr.edits import AppliedEdit, ExpertEdit
from ..pipelines.mofrr.output import summarise_samples
from ..pipelines.mofrr.routing import Routing
from ..pipelines.mofrr.tiled import estimate_degree, one_verdict, read_size, run_expert_in_tiles
from ..pipelines.photos.arrays import add_residual, to_signed, to_unit, working_shape
from ..pipelines.photos.drawings import to_picture
from ..pipelines.photos.tiles import blend_tiles, spans
from . import host
from .mofrr_model import MoFRRModel
from .mofrr_routing import Verdict

SHARED = "shared"
MERGE_OVERLAP = 64
SMALLEST = 32  # pixels of the shorter side that the networks need
Advance = Callable[[Image.Image | None], None]


class Noise(NamedTuple):
    """How an expert's noise is drawn; all experts of a restoration share it."""

    seed: int
    samples: int
    working_size: Any  # as for the pipeline's call


class Edits(NamedTuple):
    """What travels on a MOFRR_EDIT socket: one expert's edit of B pictures, on the CPU."""

    name: str
    edit: ExpertEdit | None  # its rows count B * samples; None where it ran on no picture
    samples: int


class Restored(NamedTuple):
    """Restored pictures."""

    image: Tensor  # B 3 H W in [0, 1]
    difference: Tensor  # B 1 H W, mean absolute change of the channels
    uncertainty: Tensor  # B 1 H W, spread of the samples; zeros with one sample


def route(model: MoFRRModel, pixels: Tensor, working_size: Any, clip: bool) -> Verdict:
    """The router's verdict on B 3 H W in [0, 1]."""
    pipe = model.pipeline
    height, width = working_shape(pixels, read_size(pipe, working_size))

    def run(count: int, tile: int | None) -> Routing:
        if tile is not None:
            raise torch.OutOfMemoryError("the router looks at whole pictures")
        place = model.ready("router", count, height, width)
        parts = [
            pipe.route(to_signed(part.to(place)), working_size=working_size)
            for part in pixels.split(count)
        ]
        return Routing(*(torch.cat(fields).cpu() for fields in zip(*parts, strict=True)))

    available = tuple(getattr(pipe, f"{name}_expert") is not None for name in pipe.operations)
    if pipe.router is None:
        raise ValueError(
            "the model has no router, so nothing decides what was done; load a model with one"
        )
    each = model.bytes_for_picture("router", height, width)
    routing = host.shrink_to_fit(run, len(pixels), max(height, width), each)
    thresholds = tuple(float(limit) for limit in pipe.router.config.thresholds)
    if clip:
        routing = one_verdict(routing, thresholds)
    return Verdict(tuple(pipe.operations), routing, thresholds, available, clip)


def draw(model: MoFRRModel, pixels: Tensor, noise: Noise, clip: bool) -> Tensor:
    """The latents of all experts, B * samples; every frame of a clip has the same."""
    generator = torch.Generator().manual_seed(noise.seed)
    pictures = pixels[:1] if clip else pixels
    latents = model.pipeline.prepare_latents(
        to_signed(pictures), generator, None, noise.samples, noise.working_size
    )
    return latents.repeat(len(pixels), 1, 1, 1, 1) if clip else latents


def run_expert(
    model: MoFRRModel,
    name: str,
    pixels: Tensor,
    verdict: Verdict,
    noise: Noise,
    steps: int,
    advance: Advance,
) -> Edits:
    """One expert on the pictures where it is active; its network alone is loaded, if at all.

    Args:
        model: the model.
        name: an operation, or "shared".
        pixels: B 3 H W in [0, 1].
        verdict: on these pictures.
        noise: seed, samples and working size.
        steps: denoising steps.
        advance: called after every step with a picture of the estimate.
    """
    _check(model, name, pixels, verdict)
    rows = verdict.running(name).repeat_interleave(noise.samples).nonzero()[:, 0]
    if not len(rows) or getattr(model.pipeline, f"{name}_expert") is None:
        return Edits(name, None, noise.samples)
    latents = draw(model, pixels, noise, verdict.clip)[rows]
    photos = rows // noise.samples
    work = _ExpertWork(model, name, pixels[photos], latents, noise.working_size, steps, advance)
    if name == SHARED:
        degrees = torch.full((len(rows),), torch.nan)
    else:
        degrees = verdict.routing.degrees[photos, verdict.operations.index(name)]
    if verdict.clip and name != SHARED and bool(degrees.isnan().any()):
        degrees = work.mean_degree().expand(len(rows))
    edit = host.shrink_to_fit(
        lambda count, tile: work.run(degrees, count, tile), len(rows), max(work.shape), work.bytes
    )
    return Edits(name, edit._replace(rows=rows), noise.samples)


def _check(model: MoFRRModel, name: str, pixels: Tensor, verdict: Verdict) -> None:
    if name not in model.pipeline.expert_names:
        raise ValueError(
            f"the model has no operation {name!r}; it has {', '.join(model.pipeline.expert_names)}"
        )
    if len(pixels) != len(verdict.routing.active) or verdict.operations != tuple(
        model.pipeline.operations
    ):
        raise ValueError(
            f"the routing is on {len(verdict.routing.active)} picture(s) for "
            f"{', '.join(verdict.operations)}; here are {len(pixels)} picture(s) for "
            f"{', '.join(model.pipeline.operations)}: route the same pictures with the same model"
        )


class _ExpertWork:
    """One expert on n pictures, in parts of any size."""

    def __init__(
        self,
        model: MoFRRModel,
        name: str,
        pixels: Tensor,
        latents: Tensor,
        working_size: Any,
        steps: int,
        advance: Advance,
    ) -> None:
        self.model, self.name, self.steps = model, name, steps
        self.pixels, self.latents, self.working_size = pixels, latents, working_size
        self.shape = working_shape(pixels, read_size(model.pipeline, working_size))
        self.bytes = model.bytes_for_picture(f"{name}_expert", *self.shape)
        self.place = model.pipeline.expert_names.index(name)
        self.advance = advance
        self.told, self.done = 0, 0.0  # steps: reported, and taken by all pictures

    def mean_degree(self) -> Tensor:
        """The degree the expert sees on the mean of all pictures."""
        pipe = self.model.pipeline

        def run(count: int, tile: int | None) -> Tensor:
            device = self._ready(count, tile)
            parts = [
                estimate_degree(pipe, self.name, to_signed(part.to(device)), self.working_size)
                for part in self.pixels.split(count)
            ]
            return torch.cat(parts).mean().cpu()

        return host.shrink_to_fit(run, len(self.pixels), max(self.shape), self.bytes)

    def run(self, degrees: Tensor, count: int, tile: int | None) -> ExpertEdit:
        """The edit of all pictures, `count` at a time, on the CPU."""
        device = self._ready(count, tile)
        self.done = 0.0
        parts = []
        pieces = zip(
            self.pixels.split(count), self.latents.split(count), degrees.split(count), strict=True
        )
        for pixels, latents, degree in pieces:
            photo = to_signed(pixels.to(device))
            edit = self._run_one(photo, degree.to(device), latents.to(device), tile)
            parts.append(edit.each(Tensor.cpu))
        self._tell(self.steps, None)
        return ExpertEdit.joined(parts)

    def _ready(self, count: int, tile: int | None) -> torch.device:
        height, width = (side if tile is None else min(side, tile) for side in self.shape)
        return self.model.ready(f"{self.name}_expert", count, height, width)

    def _run_one(
        self, photo: Tensor, degree: Tensor, latents: Tensor, tile: int | None
    ) -> ExpertEdit:
        pipe = self.model.pipeline
        options: dict[str, Any] = {"num_inference_steps": self.steps}
        if tile is not None:
            options["on_estimate"] = lambda index, prediction: host.check_interrupted()
            return run_expert_in_tiles(
                pipe, self.name, photo, degree, latents, tile, self.working_size, **options
            )
        options["on_estimate"] = self._show
        options["working_size"] = self.working_size
        return pipe.run_expert(self.name, photo, degree, latents, **options)

    def _show(self, index: int, prediction: Tensor) -> None:
        host.check_interrupted()
        self.done += len(prediction) / len(self.pixels)
        expert = getattr(self.model.pipeline, f"{self.name}_expert")
        if expert.config.get("prediction_type", "sample") != "sample":
            self._tell(self.done, None)
            return
        picture = to_picture(prediction[0, self.place])
        scale = max(256 // max(picture.size), 1)
        self._tell(self.done, picture.resize((picture.width * scale, picture.height * scale)))

    def _tell(self, done: float, picture: Image.Image | None) -> None:
        """Report whole steps, each once, also where the work began anew in smaller parts."""
        while self.told < min(int(done + 1e-6), self.steps):
            self.told += 1
            self.advance(picture)


def merge(
    model: MoFRRModel, pixels: Tensor, verdict: Verdict, edits: Sequence[Edits], strength: float
) -> Restored:
    """Joins the edits of B 3 H W in [0, 1]; pictures that none of them touches keep every bit."""
    samples = _samples(edits)
    present = {each.name: each.edit for each in edits if each.edit is not None}
    for name in present:
        _check(model, name, pixels, verdict)
    repeated = pixels.repeat_interleave(samples, 0)
    touched = torch.zeros(len(repeated), dtype=torch.bool)
    for edit in present.values():
        touched[edit.rows] = strength > 0
    gates = verdict.routing.gates.repeat_interleave(samples, 0)
    restored = repeated.clone()
    rows = touched.nonzero()[:, 0]
    if len(rows):
        residual = _merge_rows(model, repeated, gates, present, rows, strength)
        restored[rows] = add_residual(repeated[rows], residual)
    images, spread = summarise_samples(
        restored, pixels, touched.unflatten(0, (-1, samples)).any(1), samples
    )
    difference = (images - pixels).abs().mean(1, keepdim=True)
    return Restored(images, difference, torch.zeros_like(difference) if spread is None else spread)


def _samples(edits: Sequence[Edits]) -> int:
    counts = {each.samples for each in edits}
    if len(counts) > 1 or len({each.name for each in edits}) < len(edits):
        raise ValueError(
            "edits of "
            + ", ".join(f"{each.name} ({each.samples} samples)" for each in edits)
            + " came; expected each expert once, all with the same number of samples"
        )
    return counts.pop() if counts else 1


def _merge_rows(
    model: MoFRRModel,
    repeated: Tensor,
    gates: Tensor,
    edits: Mapping[str, ExpertEdit],
    rows: Tensor,
    strength: float,
) -> Tensor:
    """The merged residual of the rows that were edited, n 3 H W on the [-1, 1] scale."""
    height, width = repeated.shape[-2:]
    pipe = model.pipeline

    def run(count: int, tile: int | None) -> Tensor:
        device = host.device()
        if pipe.merger is not None:
            sides = (side if tile is None else min(side, tile) for side in (height, width))
            device = model.ready("merger", count, *sides)
        parts = []
        for chosen in rows.split(count):
            host.check_interrupted()
            photo = to_signed(repeated[chosen].to(device))
            applied = {
                name: pipe.apply(photo, part, strength)
                for name, part in _of_rows(edits, chosen, device).items()
            }
            parts.append(_merge_one(pipe, photo, applied, gates[chosen].to(device), tile).cpu())
        return torch.cat(parts).to(repeated.device)

    each = 0 if pipe.merger is None else model.bytes_for_picture("merger", height, width)
    return host.shrink_to_fit(run, len(rows), max(height, width), each)


def _of_rows(
    edits: Mapping[str, ExpertEdit], rows: Tensor, device: torch.device
) -> dict[str, ExpertEdit]:
    """The parts of the edits that concern some rows, which are then counted from 0."""
    found = {}
    for name, edit in edits.items():
        places = (edit.rows[:, None] == rows[None]).nonzero()
        if len(places):
            part = edit.each(lambda field, at=places[:, 0]: field[at].to(device))
            found[name] = part._replace(rows=places[:, 1].to(device))
    return found


def _merge_one(
    pipe: Any, photo: Tensor, applied: dict[str, AppliedEdit], gates: Tensor, tile: int | None
) -> Tensor:
    if tile is None:
        return pipe.merge(photo, applied, gates)
    rows, columns = (spans(side, min(tile, side), MERGE_OVERLAP) for side in photo.shape[-2:])

    def run(rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
        parts = {name: edit.cut(rows, columns) for name, edit in applied.items()}
        part = photo[..., rows[0] : rows[1], columns[0] : columns[1]]
        return pipe.merge(part, parts, gates)

    return blend_tiles(run, rows, columns)


def apply_alone(model: MoFRRModel, pixels: Tensor, edits: Edits) -> Tensor:
    """B 3 H W in [0, 1] as one expert alone restores it, the mean of its samples."""
    if edits.edit is None:
        return pixels
    images = pixels.clone()
    places = edits.edit.rows // edits.samples
    for place in places.unique().tolist():
        edit = edits.edit.each(lambda field, chosen=places == place: field[chosen])
        edit = edit._replace(rows=torch.zeros(len(edit.rows), dtype=torch.long))
        photo = to_signed(pixels[place : place + 1])
        images[place] = to_unit(model.pipeline.apply(photo, edit).image).mean(0)
    return images


def worked_degrees(edits: Sequence[Edits], pictures: int) -> dict[str, Tensor]:
    """The degree that each specialised expert worked with on each picture, NaN where it did not."""
    degrees = {}
    for each in edits:
        if each.edit is not None and each.name != SHARED:
            degrees[each.name] = torch.full((pictures,), torch.nan)
            degrees[each.name][each.edit.rows // each.samples] = each.edit.degree.float()
    return degrees
