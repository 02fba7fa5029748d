"""The later steps of a restoration as blocks of a modular pipeline: experts, merge, decode."""

from typing import Any, ClassVar

import torch
from diffusers import DDIMScheduler
from diffusers.modular_pipelines.modular_pipeline_utils import ComponentSpec, InputParam

from ..blocks import passed
from ..operations import label
from ..photos.arrays import to_signed
from .blocks import NAMES, InTurn, MoFRRBlock, network, present
from .components import END, SHARED
from .output import (
    Restoration,
    make_output,
    repeat,
    repeat_each,
    unchanged,
    used_degrees,
    with_rows,
)


class ExpertBlock(MoFRRBlock):
    """One expert on the photos where it acts.

    Args:
        name: an operation, or "shared".
    """

    takes: ClassVar[list[Any]] = [
        *passed("pixels", "request", "routing", "acting", "edits", "drawn_edits"),
        InputParam("draws", description="from an earlier block; None with one sample"),
        InputParam("generator", description="for schedulers that draw noise in their steps"),
        InputParam("latents", description="from an earlier block"),
    ]
    gives = ("latents", "edits", "drawn_edits")

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    @property
    def description(self) -> str:
        """What the block does."""
        if self.name == SHARED:
            return "Runs the shared expert, which helps all others."
        return f"Runs the expert that undoes {label(self.name)}."

    @property
    def expected_components(self) -> list[ComponentSpec]:
        """The expert, and the scheduler for one that denoises."""
        return [network(f"{self.name}{END}"), ComponentSpec("scheduler", type_hint=DDIMScheduler)]

    def run(self, components: Any, given: Any) -> None:
        """Adds its edit to `given.edits`, and denoises its part of the latents."""
        place, draws = (*NAMES, SHARED).index(self.name), given.draws
        if not given.acting[:, place].any():
            return
        count = given.request.num_samples if draws is None else draws.noises
        noises = given.latents[:: given.request.num_samples // count]
        alone = torch.zeros_like(given.acting)
        alone[:, place] = given.acting[:, place]
        degrees = given.routing.degrees
        if draws is not None and draws.drawn.any():
            given.drawn_edits = [
                {
                    **edits,
                    **self._edit(
                        components,
                        given,
                        draws.acting(alone),
                        draws.told(sample, degrees),
                        given.latents[sample :: given.request.num_samples],
                        1,
                    )[0],
                }
                for sample, edits in enumerate(given.drawn_edits)
            ]
        found, denoised = self._edit(components, given, alone, degrees, noises, count)
        given.edits, given.latents = {**given.edits, **found}, with_rows(given.latents, denoised)

    def _edit(
        self,
        components: Any,
        given: Any,
        alone: torch.Tensor,
        degrees: torch.Tensor,
        latents: torch.Tensor,
        count: int,
    ) -> tuple[dict[str, Any], torch.Tensor]:
        """Its edit on `count` samples of each photo, and the denoised latents."""
        photo, alone, degrees = (
            repeat(each, count) for each in (to_signed(given.pixels), alone, degrees)
        )
        return present(components).run_experts(
            photo,
            alone,
            degrees,
            latents,
            given.request.num_inference_steps,
            repeat_each(given.generator, count),
            working_size=given.request.working_size,
            room=InTurn(),
        )


class MergeBlock(MoFRRBlock):
    """Applies all edits to the photos' own pixels and fuses them."""

    about = "Applies the edits to the photos' own pixels, and fuses them."
    takes: ClassVar[list[Any]] = [
        *passed("pixels", "request", "routing", "acting", "edits", "drawn_edits"),
        InputParam("draws", description="from an earlier block; None with one sample"),
        InputParam("latents", description="from an earlier block"),
    ]
    gives = ("restoration",)

    @property
    def expected_components(self) -> list[ComponentSpec]:
        """The merger."""
        return [network("merger")]

    def run(self, components: Any, given: Any) -> None:
        """Gives the restoration."""
        request, pixels, routing = given.request, given.pixels, given.routing
        pipeline, count = present(components), request.num_samples
        if given.latents is None:
            given.restoration = unchanged(pixels.clone(), routing, count)
            return
        draws = given.draws
        noises = count if draws is None else draws.noises
        degrees = used_degrees(given.edits, pipeline.operations, routing, noises)
        acting = given.acting[:, :-1]
        result = Restoration(pixels, given.latents, routing, degrees, acting)
        if request.output_type != "latent":
            images, spread, applied = pipeline.join(
                pixels, given.edits, routing.gates, request.strength, noises, keep_edits=True
            )
            result = result._replace(images=images, edits=applied, uncertainty=spread)
            if draws is not None:
                drawn = (
                    pipeline.join(
                        pixels, pipeline.made_bold(edits, draws), routing.gates, request.strength
                    ).images
                    for edits in (given.drawn_edits if draws.drawn.any() else [])
                )
                spread, samples = pipeline.summarise(images, spread, drawn, draws, keep=True)
                result = result._replace(uncertainty=spread, samples=samples)
        given.restoration = result


class DecodeBlock(MoFRRBlock):
    """Writes the photos in the form that is asked for."""

    about = "Writes the photos in the form that is asked for, and tells how they came about."
    takes: ClassVar[list[Any]] = passed("restoration", "alphas", "request")
    gives = ("images", "output")

    def run(self, components: Any, given: Any) -> None:
        """Gives the images, and the whole MoFRRPipelineOutput."""
        kind = given.request.output_type
        given.output = make_output([given.restoration], given.alphas, (*NAMES, SHARED), kind)
        given.images = given.output.images
