"""What every stage's settings have in common, and the networks that they name."""

import inspect
from dataclasses import dataclass
from typing import Any

import torch

from ...models.presets import PRESETS
from ..data.material import Material
from ..data.pools import Batches, Fresh, StoredPool
from ..loop import LoopConfig, Stage
from ..run_folder import load_trained
from ..settings import setting


@dataclass(frozen=True, kw_only=True)
class StageConfig(LoopConfig):
    """The loop's settings and the network's; a stage's own class adds what it learns from.

    A stage whose batches can be stored has a class with a method `simulator(material)` and the
    settings that it needs; both this stage's settings and its pool's derive from that class.
    """

    preset: str = setting("tiny", f"sizes of the network: {', '.join(PRESETS)}", choices=[*PRESETS])
    batch_size: int = setting(12, "photos of one step", least=1)
    start: str = setting("", "run or model folder to start from; empty = random weights")
    device: str = setting("", "torch device; empty = a GPU if there is one", free=True)

    def build(self, material: Material) -> Stage:
        """The stage, its network and data loaded."""
        raise NotImplementedError(f"{type(self).__name__} must say how its stage is built")

    def batches(self, material: Material, kind: type[Any]) -> Batches[Any]:
        """Where the stage draws from: the pools if there are any, else ever new items.

        Args:
            material: pools, or faces.
            kind: the named tuple that an item is.
        """
        if material.pools:
            return StoredPool(material.pools, kind, material.device, material.share)
        return Fresh(self.simulator(material))  # pooled stages have it

    def network(self, kind: type[Any], part: str) -> Any:
        """A network of the preset with random weights, or the one that `start` names.

        Raises:
            ValueError: `start` holds none, or one for other operations.
        """
        operations = getattr(self, "operations", None)
        if self.start:
            network = load_trained(kind, self.start)
            made_for = network.config.get("operations", operations)
            if operations is not None and tuple(made_for) != operations:
                raise ValueError(
                    f"start={self.start} was made for the operations {tuple(made_for)}; "
                    f"got {operations}"
                )
            return network
        torch.manual_seed(self.seed)
        arguments = dict(PRESETS[self.preset][part])
        if "operations" in inspect.signature(kind.__init__).parameters:
            arguments["operations"] = operations
        return kind(**arguments)
