"""A block of a modular pipeline: a step that says in plain words what it takes and gives."""

import importlib
from typing import Any, ClassVar

from diffusers.modular_pipelines import (
    ConditionalPipelineBlocks,
    ModularPipelineBlocks,
    SequentialPipelineBlocks,
)
from diffusers.modular_pipelines.modular_pipeline_utils import InputParam, OutputParam

# As bases: diffusers' annotations of what blocks override are narrower than what it takes.
Leaf: Any = ModularPipelineBlocks
Choice: Any = ConditionalPipelineBlocks
Chain: Any = SequentialPipelineBlocks


def beside(module: str, own: str, other: str) -> Any:
    """The module that stands beside another one, under a like name.

    For a block's pipeline, which names the block's file: diffusers fetches what files of a
    repository import from each other, and goes round for ever where they do so in a circle.

    Args:
        module: the `__name__` of the one.
        own: the part of it that is the one's own.
        other: what stands for that in the other's name.
    """
    return importlib.import_module(other.join(module.rsplit(own, 1)))


def passed(*names: str) -> list[Any]:
    """Inputs that an earlier block gives."""
    return [InputParam(name, required=True, description="from an earlier block") for name in names]


class Block(Leaf):
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
