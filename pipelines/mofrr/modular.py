"""MoFRR as diffusers' modular pipeline: the steps of a restoration as blocks, over `MoFRRPipeline`.

```
image -> read -> route -> noise -> expert of each operation -> shared -> merge -> decode -> images
                   |                    |
                   |                    those that the caller names, else all
                   what the caller names, else what the router finds
```

Every block calls the pipeline's own methods on the components that are loaded; equal seeds give
equal bits, unless the scheduler draws noise in its steps. A workflow has the name of an operation
("whitening": nothing else is loaded or undone, and no router is asked) or is "restore" (the router
decides).
"""

from typing import Any, ClassVar

from diffusers.modular_pipelines.modular_pipeline_utils import OutputParam

from ..blocks import Chain, Choice
from ..operations import label
from .blocks import NAMES, GivenBlock, JudgedBlock, NoiseBlock, ReadBlock
from .components import SHARED
from .later_blocks import DecodeBlock, ExpertBlock, MergeBlock


class RouteBlock(Choice):
    """Who decides: the caller, where any operation is named, else the router."""

    block_classes: ClassVar[list[Any]] = [JudgedBlock, GivenBlock]
    block_names: ClassVar[list[str]] = ["judged", "given"]
    block_trigger_inputs: ClassVar[list[str]] = list(NAMES)
    default_block_name = "judged"

    @property
    def description(self) -> str:
        """What the block does."""
        return "Decides what is to be undone: what the caller names, else what the router finds."

    def select_block(self, **named: Any) -> str | None:
        """The caller's word where there is one."""
        return "given" if any(each is not None for each in named.values()) else None


class ExpertChoice(Choice):
    """An operation's expert: left out where other operations are named.

    Args:
        name: the operation.
    """

    block_names: ClassVar[list[str]] = ["expert"]
    block_trigger_inputs: ClassVar[list[str]] = list(NAMES)

    def __init__(self, name: str) -> None:
        self.name, self.block_classes = name, [ExpertBlock(name)]
        super().__init__()

    @property
    def description(self) -> str:
        """What the block does."""
        return f"Undoes {label(self.name)}, unless other operations are named."

    def select_block(self, **named: Any) -> str | None:
        """The expert where its operation is named, or none is."""
        others = [name for name, each in named.items() if each is not None]
        return "expert" if not others or self.name in others else None


class MoFRRBlocks(Chain):
    """The restoration, block by block."""

    model_name = "mofrr"
    block_classes: ClassVar[list[Any]] = [
        ReadBlock,
        RouteBlock,
        NoiseBlock,
        *map(ExpertChoice, NAMES),
        ExpertBlock(SHARED),
        MergeBlock,
        DecodeBlock,
    ]
    block_names: ClassVar[list[str]] = ["read", "route", "noise", *NAMES, SHARED, "merge", "decode"]
    _workflow_map: ClassVar[dict[str, Any]] = {
        "restore": {"image": True},
        **{name: {"image": True, name: True} for name in NAMES},
    }

    @property
    def description(self) -> str:
        """What the pipeline does."""
        return "Undoes face retouching: a router finds the operations, experts undo them."

    @property
    def outputs(self) -> list[Any]:
        """What a call is for."""
        return [OutputParam("images", description="the restored photos"), OutputParam("output")]
