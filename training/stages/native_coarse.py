"""What the stages share whose expert answers from what is seen of a whole photo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..data.material import Material
from ..data.native_batches import ChainPools
from ..settings import setting
from .native import NativeExpertConfig, learning, survey_all


@dataclass(frozen=True, kw_only=True)
class CoarseExpertConfig(NativeExpertConfig):
    """Settings of these stages."""

    batch_size: int = setting(24, "photos of one step", least=1)

    def surveyed(
        self, material: Material, kind: type[Any], part: str, operation: str
    ) -> tuple[Any, ChainPools]:
        """The expert for an operation, which knows what its pools are like, and these pools."""
        chains = self.chains(material)
        expert = self.expert(kind, part, operation)
        if not self.start:
            survey_all(chains, expert.encoder.standardizations)
        return expert, chains


@dataclass
class CoarseExpertStage:
    """What the losses of these stages are made of.

    Attributes:
        model: the expert.
        chains: what it learns from.
        operation: which one it undoes.
        count: photos of one step.
        decibels: weight of the error's logarithm.
    """

    model: Any
    chains: ChainPools
    operation: str
    count: int = 24
    decibels: float = 0.3

    def learner(self) -> Any:
        """The expert in training mode, but for what standardises what it sees."""
        return learning(self.model, *self.model.encoder.standardizations.values())
