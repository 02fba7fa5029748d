"""Experts at work: the noise they start from, and the loop that denoises it."""

import inspect
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from ...models.mofrr.contract import Expert, known_degrees
from ..placement import dtype_of, onloaded
from .edits import ExpertEdit, put, take
from .request import Generators, check_generators
from .sight import Sight


class Task(NamedTuple):
    """Photos, and what E experts are to undo on them."""

    photo: Tensor  # B 3 H W in [-1, 1]
    active: Tensor  # B E bool, on the CPU
    degrees: Tensor  # B E in [0, 1]; NaN where it is to be estimated, and for the shared expert
    latents: Tensor  # B E 3 h w
    sight: Sight | None = None  # of the photos, where they were looked at before

    def rows_of(self, columns: Sequence[int]) -> Tensor:
        """The photos that some experts work on: one its own, all of them every photo."""
        if len(columns) == self.active.shape[1]:
            return torch.arange(len(self.photo), device=self.photo.device)
        acts = self.active[:, list(columns)].any(dim=1)
        return acts.nonzero()[:, 0].to(self.photo.device)

    def part(self, rows: Tensor, columns: Sequence[int], device: torch.device | None) -> "Task":
        """Some photos and some experts of it, on a device; None: where it is."""
        columns = list(columns)
        photo, active, degrees, latents = (
            take(field, rows.to(field.device))
            for field in (self.photo, self.active, self.degrees, self.latents)
        )
        if len(columns) < active.shape[1]:
            active, degrees, latents = (x[:, columns] for x in (active, degrees, latents))
        place = photo.device if device is None else device
        sight = None if self.sight is None else self.sight.of(rows, place)
        return Task(photo.to(place), active, degrees.to(place), latents.to(place), sight)


class WorkingPhotos:
    """Photos at working size, and what several experts need of them, each made once.

    Args:
        photo: B 3 H W in [-1, 1], sides padded to the multiple that networks need.
        touched: n, the places in the batch of the photos that any expert works on.
    """

    def __init__(self, photo: Tensor, touched: Tensor) -> None:
        self.photo = take(photo, touched)
        self.places = torch.empty(len(photo), dtype=torch.long, device=photo.device)
        self.places[touched] = torch.arange(len(touched), device=photo.device)
        self._raw: dict[tuple[type, torch.dtype], Tensor] = {}

    def of(self, rows: Tensor) -> Tensor:
        """The photos at `rows` of the batch."""
        return take(self.photo, self.places[rows])

    def raw_traces(self, expert: Expert, rows: Tensor) -> Tensor | None:
        """What experts of one class all see of the photos; None where this one sees them padded."""
        sides = self.photo.shape[-2:]
        if any(side % expert.size_requirements.multiple for side in sides):
            return None
        key = type(expert), dtype_of(expert)
        if key not in self._raw:
            self._raw[key] = expert.raw_traces(self.photo.to(key[1]))
        return take(self._raw[key], self.places[rows])


class ExpertRun:
    """One expert at work on the photos of a batch where it is active.

    Args:
        expert: the network.
        rows: n, the places of its photos in the batch, ascending.
        photos: the batch at working size.
        degree: n in [0, 1], NaN where the expert is to estimate it.
        all_known: whether no degree is NaN.
    """

    def __init__(
        self, expert: Expert, rows: Tensor, photos: WorkingPhotos, degree: Tensor, all_known: bool
    ) -> None:
        if hasattr(expert, "_orig_mod"):
            warnings.warn(
                "torch.compile of a whole expert compiles its forward, which the pipeline does not "
                "call, and changes nothing; compile what takes the time: expert.denoiser.compile()",
                stacklevel=2,
            )
        self.expert, self.rows, self.degree = onloaded(expert), rows, degree.float()
        self.dtype = dtype_of(expert)
        photo, raw = photos.of(rows).to(self.dtype), None
        estimates = expert.estimates_degrees and not all_known
        if estimates or expert.has_coarse_head:
            raw = photos.raw_traces(expert, rows)
        if estimates:
            self.degree = known_degrees(expert, photo, self.degree, raw)
        self.condition = expert.prepare(photo, self.degree.to(self.dtype), raw)

    def predict(self, latents: Tensor, timestep: Tensor) -> Tensor:
        """One denoising step on latents n 3 h w in float32."""
        latents = latents.to(self.dtype)
        return onloaded(self.expert).denoise(latents, timestep, self.condition).prediction.float()

    def edit(self, low: Tensor) -> ExpertEdit:
        """The edit that follows from the denoised latents n 3 h w."""
        answer = onloaded(self.expert).reconstruct(low.to(self.dtype), self.condition)
        flow = None if answer.flow is None else answer.flow.float()
        return ExpertEdit(self.rows, flow, answer.residual.float(), self.degree)


def start(experts: Sequence[Expert | None], task: Task) -> dict[int, ExpertRun]:
    """Every expert that is active anywhere, by its place, set on its photos.

    Args:
        experts: E; None for those that are active nowhere.
        task: its photos at working size, padded.
    """
    known = ~task.degrees.isnan().cpu()
    device = task.photo.device
    touched = task.active.any(dim=1).nonzero()[:, 0]
    photos = WorkingPhotos(task.photo, touched.to(device))
    runs: dict[int, ExpertRun] = {}
    for place, expert in enumerate(experts):
        rows = task.active[:, place].nonzero()[:, 0]
        if expert is not None and len(rows):
            degree = task.degrees[rows.to(device), place]
            all_known = bool(known[rows, place].all())
            runs[place] = ExpertRun(expert, rows.to(device), photos, degree, all_known)
    return runs


def draw_noise(
    photos: int,
    shape: tuple[int, ...],
    num_samples: int,
    generator: Generators,
    device: torch.device,
) -> Tensor:
    """Standard normal noise, photos * num_samples x shape in float32, samples of a photo adjacent.

    Raises:
        ValueError: a list of generators that is not one for each photo.
    """
    if not isinstance(generator, list):
        return randn_tensor((photos * num_samples, *shape), generator, device, torch.float32)
    check_generators(generator, photos)
    shape = (num_samples, *shape)
    return torch.cat([randn_tensor(shape, each, device, torch.float32) for each in generator])


def check_latents(latents: Tensor, expected: tuple[int, ...]) -> None:
    """Raises ValueError unless `latents` is a tensor of the expected shape."""
    came = tuple(latents.shape) if isinstance(latents, Tensor) else type(latents).__name__
    if came != expected:
        raise ValueError(
            f"latents of shape {came} came; expected {expected}: photos * num_samples, experts "
            "(the shared one last), and the low band's channels, height and width"
        )
    if not bool(latents.isfinite().all()):
        raise ValueError("latents hold NaN or infinite values; expected standard normal noise")


def check_scheduler(scheduler: Any, experts: Collection[Expert]) -> None:
    """Raises ValueError where the scheduler would misread what an expert predicts."""
    expected = scheduler.config.get("prediction_type")
    for expert in experts:
        predicted = expert.config.get("prediction_type", "sample")
        if predicted != expected:
            raise ValueError(
                f"{type(scheduler).__name__} has prediction_type {expected!r}, but a "
                f"{type(expert).__name__} predicts {predicted!r}; take a scheduler made with "
                f"prediction_type={predicted!r}"
            )


def predict(runs: Mapping[int, ExpertRun], latents: Tensor, timestep: Tensor) -> Tensor:
    """What the running experts predict, by their place in E: B E 3 h w; zero elsewhere."""
    prediction = torch.zeros_like(latents)
    for place, run in runs.items():
        low = run.predict(take(latents[:, place], run.rows), timestep)
        put(prediction[:, place], run.rows, low)
    return prediction


def step(
    scheduler: Any, prediction: Tensor, timestep: Tensor, latents: Tensor, generator: Generators
) -> Tensor:
    """The scheduler's step, eq. 12 of Song et al. (ICLR 2021) for DDIM.

    The generator is for those that draw noise in it.
    """
    options: dict[str, Any] = {"return_dict": False}
    if "generator" in inspect.signature(scheduler.step).parameters:
        options["generator"] = generator
    return scheduler.step(prediction, timestep, latents, **options)[0]
