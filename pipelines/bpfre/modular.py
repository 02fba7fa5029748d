"""BPFRe as diffusers' modular pipeline: retouching and filling as blocks, over `BPFRePipeline`.

The workflow "retouch" loads the retoucher and the healer, "inpaint" (wherever `hole` is given) the
inpainter. Each block is the pipeline's own call: equal to the bit.
"""

from typing import Any, ClassVar

from diffusers.modular_pipelines.modular_pipeline_utils import (
    ComponentSpec,
    ConfigSpec,
    InputParam,
    OutputParam,
)

from ..blocks import Block, Chain, Choice, beside

OWN_SIZE = "photo"  # as working_size: the photo's own size
SETTINGS = {"working_size": 256, "tile_size": 512, "threshold": 0.012, "healing_size": 512}
IMAGE = [
    InputParam("image", required=True, description="photos, see BPFRePipeline"),
    InputParam("output_type", default="pil", description="'pil', 'np' or 'pt'"),
    InputParam("working_size", description=f"side in pixels, or {OWN_SIZE!r} for its own size"),
]


def pipeline_class() -> Any:
    """`BPFRePipeline`."""
    return beside(__name__, "modular", "pipeline").BPFRePipeline


class BPFReBlock(Block):
    """One of the two things that the pipeline does."""

    model_name = "bpfre"
    part: ClassVar[str]
    also: ClassVar[tuple[str, ...]] = ()  # networks that work with it where they are
    gives = ("images", "output")

    @property
    def expected_components(self) -> list[ComponentSpec]:
        """The networks."""
        kinds = pipeline_class().network_classes
        return [ComponentSpec(name, type_hint=kinds(name)[0]) for name in (self.part, *self.also)]

    @property
    def expected_configs(self) -> list[ConfigSpec]:
        """The pipeline's settings."""
        return [ConfigSpec(name, value) for name, value in SETTINGS.items()]

    def pipeline(self, components: Any) -> Any:
        """The pipeline of this block's networks alone."""
        kind = pipeline_class()
        parts = dict.fromkeys(kind._optional_components)
        parts[self.part] = getattr(components, self.part)
        if parts[self.part] is None:
            raise ValueError(f"the {self.part} is not loaded: call load_components()")
        parts |= {name: getattr(components, name, None) for name in self.also}
        settings = {name: components.config[name] for name in SETTINGS}
        return kind(**parts, **settings)

    def options(self, given: Any) -> dict[str, Any]:
        """How photos come in and go out."""
        size = "config" if given.working_size is None else given.working_size
        size = None if size == OWN_SIZE else size
        return {"output_type": given.output_type, "working_size": size}


class RetouchBlock(BPFReBlock):
    """Finds blemishes and retouches them."""

    about = "Finds blemishes and retouches them."
    part = "retoucher"
    also = ("healer",)
    takes: ClassVar[list[Any]] = [
        *IMAGE,
        InputParam("mask", description="retouch only where this is white"),
        InputParam("preserve", description="keep what is white here"),
        InputParam("strength", default=1.0, description="how much is done, 0 .. 1"),
        InputParam("kinds", description="what is retouched; None = all that there is"),
    ]

    def run(self, components: Any, given: Any) -> None:
        """Gives the images, and the whole BPFRePipelineOutput."""
        chosen = {name: getattr(given, name) for name in ("mask", "preserve", "strength", "kinds")}
        given.output = self.pipeline(components)(given.image, **chosen, **self.options(given))
        given.images = given.output.images


class InpaintBlock(BPFReBlock):
    """Fills holes."""

    about = "Fills holes: what lies under them is not looked at."
    part = "inpainter"
    takes: ClassVar[list[Any]] = [
        *IMAGE,
        InputParam("hole", required=True, description="the holes: white is filled"),
    ]

    def run(self, components: Any, given: Any) -> None:
        """Gives the images, and the whole BPFRePipelineOutput."""
        pipeline = self.pipeline(components)
        given.output = pipeline.inpaint(given.image, given.hole, **self.options(given))
        given.images = given.output.images


class WorkBlock(Choice):
    """Fills holes where any are given, else retouches."""

    block_classes: ClassVar[list[Any]] = [RetouchBlock, InpaintBlock]
    block_names: ClassVar[list[str]] = ["retouch", "inpaint"]
    block_trigger_inputs: ClassVar[list[str]] = ["hole"]
    default_block_name = "retouch"

    @property
    def description(self) -> str:
        """What the block does."""
        return "Fills holes where `hole` is given, else finds blemishes and retouches them."

    def select_block(self, hole: Any = None) -> str | None:
        """What is asked for."""
        return None if hole is None else "inpaint"


class BPFReBlocks(Chain):
    """The pipeline, of which a call does one of two things."""

    model_name = "bpfre"
    block_classes: ClassVar[list[Any]] = [WorkBlock]
    block_names: ClassVar[list[str]] = ["work"]
    _workflow_map: ClassVar[dict[str, Any]] = {
        "retouch": {"image": True},
        "inpaint": {"image": True, "hole": True},
    }

    @property
    def description(self) -> str:
        """What the pipeline does."""
        return "Retouches the blemishes of faces, or fills holes in them."

    @property
    def outputs(self) -> list[Any]:
        """What a call is for."""
        return [OutputParam("images", description="the photos"), OutputParam("output")]
