"""Experts at work: the noise they start from, the loop that denoises it, the edits they make."""

import inspect
import warnings
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from .mofrr_request_v62eaf710 import Generators, OnEstimate, OnStep, check_generators


class ExpertEdit(NamedTuple):
    """What one expert would do to the n photos of a batch on which it ran, at working size."""

    rows: Tensor  # n, their places in the batch
    flow: Tensor  # n 2 h w, pixels (x, y), backward
    residual: Tensor  # n 3 h w, on the [-1, 1] scale
    degree: Tensor  # n in [0, 1], the degree the expert worked with; NaN for the shared expert

    def resized(self, height: int, width: int, strength: float) -> "ExpertEdit":
        """The edit for photos of another size, at a part of its strength."""
        scale = self.flow.new_tensor([width / self.flow.shape[-1], height / self.flow.shape[-2]])
        flow = _resize(self.flow, height, width) * scale.view(1, 2, 1, 1)
        residual = _resize(self.residual, height, width)
        return self._replace(flow=flow * strength, residual=residual * strength)


class AppliedEdit(NamedTuple):
    """The same at the photos' size, times the strength: image = warp(photo, flow) + residual."""

    rows: Tensor  # n, places in the batch
    image: Tensor  # n 3 H W around [-1, 1], not clamped
    flow: Tensor  # n 2 H W, pixels (x, y), backward
    residual: Tensor  # n 3 H W
    degree: Tensor  # n

    def averaged(self, num_samples: int) -> "AppliedEdit":
        """The mean over the samples of each photo, which follow one another in the batch."""
        rows = self.rows[::num_samples] // num_samples
        means = (field.unflatten(0, (len(rows), num_samples)).mean(1) for field in self[1:])
        return AppliedEdit(rows, *means)


def _resize(planes: Tensor, height: int, width: int) -> Tensor:
    if planes.shape[-2:] == (height, width):
        return planes
    return F.interpolate(planes, (height, width), mode="bilinear", align_corners=False)


def awake(network: Any) -> Any:
    """Has accelerate bring an offloaded network to its device: its hooks watch `forward` alone."""
    hook = getattr(network, "_hf_hook", None)
    if hook is not None and hasattr(hook, "pre_forward"):
        hook.pre_forward(network)
    return network


class ExpertRun:
    """One expert at work on the photos of a batch where it is active.

    Args:
        expert: the network.
        rows: n, the places of its photos in the batch.
        photo: B 3 H W in [-1, 1], sides padded to the multiple that networks need.
        degree: B in [0, 1], NaN where the expert is to estimate it; None for the shared expert.
    """

    def __init__(self, expert: Any, rows: Tensor, photo: Tensor, degree: Tensor | None) -> None:
        if hasattr(expert, "_orig_mod"):
            warnings.warn(
                "torch.compile of a whole expert compiles its forward, which the pipeline does not "
                "call, and changes nothing; compile what takes the time: expert.denoiser.compile()",
                stacklevel=2,
            )
        self.expert, self.rows = awake(expert), rows
        photo = photo[rows].to(expert.dtype)
        self.degree = photo.new_full((len(rows),), torch.nan, dtype=torch.float32)
        if degree is None:
            self.condition = expert.prepare(photo)
            return
        self.degree = degree[rows].float()
        if self.degree.isnan().any():
            estimate = expert.estimate_degree(photo)[1].float()
            self.degree = torch.where(self.degree.isnan(), estimate, self.degree)
        self.condition = expert.prepare(photo, self.degree.to(expert.dtype))

    def predict(self, latents: Tensor, timestep: Tensor) -> Tensor:
        """One denoising step on latents n 3 h w in float32."""
        latents = latents.to(self.expert.dtype)
        return awake(self.expert).denoise(latents, timestep, self.condition).prediction.float()

    def edit(self, low: Tensor, shape: tuple[int, int]) -> ExpertEdit:
        """The edit, cropped to `shape`, that follows from the denoised latents n 3 h w."""
        answer = awake(self.expert).reconstruct(low.to(self.expert.dtype), self.condition)
        flow, residual = (
            planes.float()[..., : shape[0], : shape[1]] for planes in (answer.flow, answer.residual)
        )
        return ExpertEdit(self.rows, flow, residual, self.degree)


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


def check_latents(latents: Any, expected: tuple[int, ...]) -> None:
    """Raises ValueError unless `latents` is a tensor of the expected shape."""
    came = tuple(latents.shape) if isinstance(latents, Tensor) else type(latents).__name__
    if came != expected:
        raise ValueError(
            f"latents of shape {came} came; expected {expected}: photos * num_samples, experts "
            "(the shared one last), and the low band's channels, height and width"
        )


def check_scheduler(scheduler: Any, experts: Collection[Any]) -> None:
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


def denoise(
    scheduler: Any,
    latents: Tensor,
    runs: Mapping[int, ExpertRun],
    generator: Generators,
    on_step: OnStep,
    on_estimate: OnEstimate | None = None,
) -> Tensor:
    """Steps the latents of all experts as one tensor through the scheduler's timesteps.

    Args:
        scheduler: with its timesteps set.
        latents: B E 3 h w, float32.
        runs: the active experts by their place in E; where none is active the prediction is zero,
            and the result there has no meaning.
        generator: for schedulers that draw noise in their steps.
        on_step: called after every step; returns the latents to go on with.
        on_estimate: called in every step with its index and what the experts predict.
    """
    options: dict[str, Any] = {"return_dict": False}
    if "generator" in inspect.signature(scheduler.step).parameters:
        options["generator"] = generator
    for index, timestep in enumerate(scheduler.timesteps):
        scaled = scheduler.scale_model_input(latents, timestep)
        prediction = torch.zeros_like(latents)
        for place, run in runs.items():
            prediction[run.rows, place] = run.predict(scaled[run.rows, place], timestep)
        if on_estimate is not None:
            on_estimate(index, prediction)
        latents = scheduler.step(prediction, timestep, latents, **options)[0]
        latents = on_step(index, timestep, latents)
    return latents
