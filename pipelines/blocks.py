"""A block of a modular pipeline: a step that says in plain words what it takes and gives."""

from typing import Any, ClassVar

from diffusers.modular_pipelines import ModularPipelineBlocks
from diffusers.modular_pipelines.modular_pipeline_utils import InputParam, OutputParam


def passed(*names: str) -> list[Any]:
    """Inputs that an earlier block gives."""
    return [InputParam(name, required=True, description="from an earlier block") for name in names]


class Block(ModularPipelineBlocks):
    """A leaf: a step without blocks of its own."""

    about: ClassVar[str] = ""
    takes: ClassVar[list[Any]] = []
    gives: ClassVar[tuple[str, ...]] = ()

    @property
    def description(self) -> str:
        """What the block does."""
        return self.about

    @property
    def inputs(self) -> list[Any]:
        """What it takes from the caller or from earlier blocks."""
        return self.takes

    @property
    def intermediate_outputs(self) -> list[Any]:
        """What it leaves for later blocks."""
        return [OutputParam(name) for name in self.gives]

    def __call__(self, components: Any, state: Any) -> tuple[Any, Any]:
        """Runs the block on the state that earlier ones left."""
        given = self.get_block_state(state)
        self.run(components, given)
        self.set_block_state(state, given)
        return components, state

    def run(self, components: Any, given: Any) -> None:
        """Reads and writes the fields of `given`, which are its inputs and outputs."""
        raise NotImplementedError
