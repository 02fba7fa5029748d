"""The steps of a restoration as blocks of a modular pipeline; `modular.py` puts them together.

Every block calls the methods of `MoFRRPipeline` on the components that are loaded.
"""

from typing import Any, ClassVar

import torch
from diffusers import DDIMScheduler
from diffusers.modular_pipelines.modular_pipeline_utils import (
    ComponentSpec,
    ConfigSpec,
    InputParam,
)

from ..blocks import Block, beside, passed
from ..operations import OPERATIONS, label
from ..photos.arrays import read_photos, stack, to_signed
from ..room import OpenRoom
from .request import Request
from .routing import Routing

NAMES = OPERATIONS
OWN_SIZE = "photo"  # as working_size: the photo's own size


class InTurn(OpenRoom):
    """Room for one network at a time: each expert's noise is left alone by the others."""

    holds_everything = False


def pipeline_class() -> Any:
    """`MoFRRPipeline`."""
    return beside(__name__, "blocks", "pipeline").MoFRRPipeline


def present(components: Any, **instead: Any) -> Any:
    """The `MoFRRPipeline` of all components that are loaded; an expert that is not is None."""
    kind = pipeline_class()
    parts = {name: getattr(components, name, None) for name in kind._optional_components}
    scheduler = getattr(components, "scheduler", None) or DDIMScheduler()
    settings = {name: components.config[name] for name in ("working_size", "degree_source")}
    pipeline = kind(scheduler=scheduler, **{**parts, **settings, **instead})
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def network(name: str) -> ComponentSpec:
    """What stands as component `name`."""
    return ComponentSpec(name, type_hint=pipeline_class().network_classes(name)[0])


def routed(pipeline: Any, pixels: torch.Tensor, request: Request) -> Routing:
    """The pipeline's routing of photos B 3 H W in [0, 1]."""
    wishes = request.operations, request.degrees
    return pipeline.route(to_signed(pixels), *wishes, request.working_size)


class MoFRRBlock(Block):
    """A step of the restoration."""

    model_name = "mofrr"

    @property
    def expected_configs(self) -> list[ConfigSpec]:
        """The pipeline's settings."""
        return [ConfigSpec("working_size", 256), ConfigSpec("degree_source", "expert")]


class ReadBlock(MoFRRBlock):
    """Reads photos of one size and what is asked of them."""

    about = "Reads photos of one size, and checks what is asked of them."
    takes: ClassVar[list[Any]] = [
        InputParam("image", required=True, description="photos of one size, see MoFRRPipeline"),
        InputParam("num_inference_steps", default=1, description="denoising steps"),
        InputParam(
            "strength", default=1.0, description="what part of the edits is applied, 0 .. 1"
        ),
        InputParam("degrees", description="operation -> degree in [0, 1]"),
        InputParam("num_samples", default=1, description="of each photo, see MoFRRPipeline"),
        InputParam("skip_untouched", default=True, description="see MoFRRPipeline"),
        InputParam("working_size", description=f"side in pixels, or {OWN_SIZE!r} for its own size"),
        InputParam("output_type", default="pil", description="'pil', 'np', 'pt' or 'latent'"),
    ]
    gives = ("pixels", "alphas", "request")

    def run(self, components: Any, given: Any) -> None:
        """Gives pixels B 3 H W in [0, 1], their alphas, and the request."""
        size = "config" if given.working_size is None else given.working_size
        request = Request(
            num_inference_steps=given.num_inference_steps,
            strength=given.strength,
            degrees=given.degrees,
            num_samples=given.num_samples,
            skip_untouched=given.skip_untouched,
            working_size=None if size == OWN_SIZE else size,
            output_type=given.output_type,
            keep_edits=True,
            keep_samples=True,
        )
        request.check(pipeline_class().size_requirements.minimum)
        photos = read_photos(given.image)
        sizes = sorted({tuple(photo.pixels.shape[1:]) for photo in photos})
        if len(sizes) > 1:
            raise ValueError(
                f"image holds photos of different sizes ({sizes}); pass those of each size by "
                "themselves, or use MoFRRPipeline"
            )
        given.request, given.alphas = request, [photo.alpha for photo in photos]
        pixels = stack([photo.pixels for photo in photos])
        given.pixels = pixels.to(components._execution_device)


class JudgedBlock(MoFRRBlock):
    """Asks the router what is to be undone."""

    about = "Asks the router what is to be undone."
    takes: ClassVar[list[Any]] = [
        *passed("pixels", "request"),
        InputParam("operations", description="as for MoFRRPipeline: names, or name -> bool"),
    ]
    gives = ("routing",)

    @property
    def expected_components(self) -> list[ComponentSpec]:
        """The router."""
        return [network("router")]

    def run(self, components: Any, given: Any) -> None:
        """Gives the routing of `given.pixels`."""
        if components.router is None and given.operations is None:
            raise ValueError(
                "the router is not loaded, so nothing decides what to undo: call "
                f"load_components(), or name what to undo, as {NAMES[0]}=True"
            )
        request = given.request._replace(operations=given.operations)
        given.routing = routed(present(components), given.pixels, request)


class GivenBlock(MoFRRBlock):
    """Takes the caller's word for what is to be undone.

    The router is asked for degrees alone: where the pipeline's setting says so, and it is loaded.
    """

    about = "Takes the caller's word for what is to be undone."
    takes: ClassVar[list[Any]] = [
        *passed("pixels", "request"),
        *(InputParam(name, description=f"True undoes {label(name)}") for name in NAMES),
    ]
    gives = ("routing",)

    def run(self, components: Any, given: Any) -> None:
        """Gives a routing in which what is named acts; without a name, every loaded expert."""
        judges = components.config["degree_source"] == "router"
        pipeline = present(components) if judges else present(components, router=None)
        wishes = {name: getattr(given, name) for name in NAMES}
        if wrong := [name for name, wish in wishes.items() if wish not in (None, True)]:
            raise ValueError(
                f"{wrong[0]} is {wishes[wrong[0]]!r}; pass True for what is to be undone, and "
                "leave everything else out"
            )
        named = {name for name, wish in wishes.items() if wish}
        loaded = {name for name, there in pipeline.available.items() if there}
        if missing := sorted(named - loaded):
            raise ValueError(
                f"{', '.join(missing)} is to be undone, but its expert is not loaded: call "
                f"load_components(workflow={missing[0]!r})"
            )
        request = given.request._replace(operations=named or loaded)
        given.routing = routed(pipeline, given.pixels, request)


class NoiseBlock(MoFRRBlock):
    """Draws the noise of all experts; none where no expert acts."""

    about = "Draws the noise that experts start from, the same whatever is loaded."
    takes: ClassVar[list[Any]] = [
        *passed("pixels", "request", "routing"),
        InputParam("generator", description="one, or a list with one for each photo"),
        InputParam("latents", description="the noise itself, instead of a draw"),
    ]
    gives = ("latents", "acting", "edits", "draws", "drawn_edits")

    def run(self, components: Any, given: Any) -> None:
        """Gives latents B (K + 1) 3 h w or None, which experts act, degrees drawn, no edits yet."""
        pipeline, request = present(components), given.request
        given.edits, given.acting = {}, pipeline._acting(given.routing, request)
        given.draws, given.drawn_edits = None, [{} for _ in range(request.num_samples)]
        if given.latents is None and request.output_type != "latent" and not given.acting.any():
            return
        given.latents = pipeline.prepare_latents(
            to_signed(given.pixels),
            given.generator,
            given.latents,
            request.num_samples,
            request.working_size,
        )
        if request.output_type != "latent":
            given.draws = pipeline.draw_degrees(
                given.routing, given.acting, given.generator, request.num_samples
            )
