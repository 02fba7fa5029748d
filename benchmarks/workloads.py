"""What the benchmarks run: pipelines by preset, photos, and the paper's way of doing the same."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor

from frr.models.mofrr.merger import ExpertMerger
from frr.training.publishing.assemble_mofrr import fresh_pipeline

from .sparse import costliest_first, embedded_model, load_pipeline
from .sparse import photo as portrait
from .stages import modules_of

PAPER_STEPS = 10


def make_pipeline(preset: str, device: torch.device | str = "cpu") -> Any:
    """The embedded model for "tiny", networks of random weights for another preset."""
    pipe = load_pipeline(None) if preset == "tiny" else fresh_pipeline(preset)
    pipe.set_progress_bar_config(disable=True)
    for network in modules_of(pipe):
        network.requires_grad_(False)
    return pipe.to(device)


def source_of(preset: str) -> str:
    """What `make_pipeline` takes, in words."""
    trained = preset == "tiny" and embedded_model() is not None
    return "hub/mofrr-tiny" if trained else f"{preset} networks, not trained"


def photos(size: int, count: int, device: torch.device | str = "cpu") -> Tensor:
    """The same portrait so many times: count 3 size size in [0, 1]."""
    return portrait(size).repeat(count, 1, 1, 1).to(device)


def forced(pipe: Any, count: int) -> tuple[str, ...]:
    """So many operations, those with the largest experts first."""
    return tuple(costliest_first(pipe)[:count])


def restoring(pipe: Any, image: Tensor, operations: Collection[str], **options: Any) -> Callable:
    """A call of the pipeline that restores `image` from these operations, noise by seed 0."""

    def work() -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return pipe(
            image, operations=set(operations), generator=generator, output_type="pt", **options
        ).images

    return work


class PaperWay:
    """The same networks run as the paper runs them, for comparison.

    Every expert runs whatever is active, one after the other, 10 steps each, on the photo at its
    own size, and the merger works at full size; the residuals of experts that are not active do not
    count (ICCV 2025; the cost as in its published code).

    Args:
        pipe: the pipeline whose networks are taken.
        steps: denoising steps of each expert.
        dense: whether experts that are not active run, too.
    """

    def __init__(self, pipe: Any, steps: int = PAPER_STEPS, dense: bool = True) -> None:
        self.pipe, self.steps, self.dense = pipe, steps, dense
        self.merger = at_full_size(pipe.merger)

    @torch.no_grad()
    def __call__(self, image: Tensor, operations: Collection[str]) -> Tensor:
        """Restores B 3 H W in [0, 1]."""
        pipe, photo = self.pipe, image * 2 - 1
        routing = pipe.route(photo, set(operations), working_size=None)
        generator = torch.Generator().manual_seed(0)
        latents = pipe.prepare_latents(photo, generator, working_size=None)
        active = {*operations, "shared"}
        residuals = photo.new_zeros(len(photo), len(pipe.expert_names), *photo.shape[1:])
        for place, name in enumerate(pipe.expert_names):
            if self.dense or name in active:
                options = {"num_inference_steps": self.steps, "working_size": None}
                edit = pipe.run_expert(name, photo, None, latents, **options)
                image_of_expert = pipe.apply(photo, edit).image
                if name in active:
                    residuals[:, place] = image_of_expert - photo
        merged = self.merger(photo, residuals, routing.gates)
        return (image + merged / 2).clamp(0, 1)


def at_full_size(merger: ExpertMerger) -> ExpertMerger:
    """The same merger, weights included, working at the photo's own size."""
    options = {key: value for key, value in merger.config.items() if not key.startswith("_")}
    copy = ExpertMerger(**{**options, "reduction": 1})
    copy.load_state_dict(merger.state_dict())
    return copy.to(merger.device).requires_grad_(False).eval()
