"""Stage `merger`: how the frozen experts' answers are fused.

It learns on photos with no operation, one, and several; in a part of them the operations are given,
as a user may, in the others the router finds them, at thresholds of all heights. So it learns what
the router's probabilities are worth, and what to make of an expert that should not have run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...models.mofrr.contract import ESTIMATED
from ...models.mofrr.expert import WaveFRRExpert
from ...models.mofrr.merger import ExpertMerger
from ...models.mofrr.router import RetouchRouter
from ...models.mofrr.shared import SharedExpert
from ..data.faces import to_bytes, to_signed
from ..data.material import Material
from ..data.pools import Batches, PoolConfig, Simulate
from ..data.retouching import RetouchConfig, RetouchSource, random_subset, retouch_and_target
from ..losses import hybrid
from ..run_folder import load_trained
from ..settings import setting
from .base import StageConfig


class MergerBatch(NamedTuple):
    """What n photos show the merger, whatever is active; K operations, E = K + 1 experts.

    Attributes:
        photos: n 3 H W, uint8.
        clean: n 3 H W, uint8, without any operation.
        residuals: n E 3 H W, expert image minus photo on the [-1, 1] scale.
        probabilities: n K, the router's.
        present: n K, bool.
    """

    photos: Tensor
    clean: Tensor
    residuals: Tensor
    probabilities: Tensor
    present: Tensor


@dataclass(frozen=True, kw_only=True)
class MergerSimulation(RetouchConfig):
    """Which networks restore the photos that the merger learns from, and how those are made."""

    models: str = setting("", "folder of the runs router, shared, and one for each operation")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.models:
            raise ValueError("this needs models=FOLDER, which holds the other stages' runs")

    def simulator(self, material: Material) -> Simulate:
        """Makes `MergerBatch`es."""
        folder = Path(self.models)
        router: Any = load_trained(RetouchRouter, folder / "router")
        networks: list[Any] = [
            *(load_trained(WaveFRRExpert, folder / o) for o in self.operations),
            load_trained(SharedExpert, folder / "shared"),
        ]
        for network in (router, *networks):
            network.to(material.device)
        source = self.source(material.load_faces(self))
        return Restorations(source, router, networks).simulate


@dataclass(frozen=True, kw_only=True)
class MergerPool(MergerSimulation, PoolConfig):
    """Settings of a pool: an item is a photo restored by all experts (2.4 MB at 256 px)."""


@dataclass(frozen=True, kw_only=True)
class MergerConfig(MergerSimulation, StageConfig):
    """Settings of stage `merger`."""

    batch_size: int = setting(8, "photos of one step", least=1)

    def build(self, material: Material) -> "MergerStage":
        """The stage, its network and data loaded."""
        merger = self.network(ExpertMerger, "merger")
        return MergerStage(merger, self.batches(material, MergerBatch), self.batch_size)


@dataclass
class Restorations:
    """Retouched faces as every expert restores them.

    Attributes:
        source: where faces and recipes come from.
        router: it says how likely each operation is, and how strong.
        experts: of the operations, in their order, then the shared one.
        untouched_share: photos with no operation.
        single_share: photos with one operation; the others have two or more.
    """

    source: RetouchSource
    router: RetouchRouter
    experts: Sequence[WaveFRRExpert | SharedExpert]
    untouched_share: float = 0.15
    single_share: float = 0.45

    def __post_init__(self) -> None:
        operations = self.source.operations
        if tuple(self.router.config["operations"]) != operations:
            raise ValueError(
                f"the router is for {tuple(self.router.config['operations'])}, the photos get "
                f"{operations}"
            )
        if len(self.experts) != len(operations) + 1:
            raise ValueError(
                f"got {len(self.experts)} experts; expected one for each of {operations} and the "
                "shared one"
            )
        frozen: list[nn.Module] = [self.router, *self.experts]
        for network in frozen:
            network.eval().requires_grad_(False)

    @torch.no_grad()
    def simulate(self, rng: np.random.Generator, count: int) -> MergerBatch:
        """Retouches faces and has every expert restore them."""
        images, points = self.source.draw(rng, count)
        recipes = [self.source.recipe(rng, self.draw_operations(rng)) for _ in range(count)]
        operations = self.source.operations
        photos, clean = retouch_and_target(images, points, recipes, None, operations)
        verdict = self.router(photos.image)
        return MergerBatch(
            to_bytes(photos.image),
            to_bytes(clean),
            self.residuals(photos.image, verdict.degrees, rng),
            verdict.probabilities,
            photos.degrees > 0,
        )

    def residuals(self, photo: Tensor, degrees: Tensor, rng: np.random.Generator) -> Tensor:
        """What each expert, told the degree n K, would change: n E 3 H W."""
        changes = []
        for index, expert in enumerate(self.experts):
            told = degrees[:, index] if index < degrees.shape[1] else ESTIMATED
            shape = (len(photo), *expert.latent_shape(*photo.shape[-2:]))
            noise = torch.as_tensor(rng.standard_normal(shape, dtype=np.float32))
            changes.append(expert(photo, told, noise.to(photo)).image - photo)
        return torch.stack(changes, dim=1)

    def draw_operations(self, rng: np.random.Generator) -> list[str]:
        """What one photo is retouched with."""
        kind, operations = rng.random(), self.source.operations
        if kind < self.untouched_share:
            return []
        if kind < self.untouched_share + self.single_share:
            return [operations[int(rng.integers(len(operations)))]]
        return random_subset(rng, operations)


@dataclass
class MergerStage:
    """Trains an `ExpertMerger`; experts are in the order of the operations, the shared one last.

    Attributes:
        model: the merger.
        batches: where restored photos come from.
        batch_size: photos of one step.
        given_share: photos whose operations are given.
        wrong_share: chance that an operation is given against the truth.
        thresholds: range of the thresholds above which a probability means that an expert runs.
    """

    model: ExpertMerger
    batches: Batches[MergerBatch]
    batch_size: int = 8
    given_share: float = 0.4
    wrong_share: float = 0.05
    thresholds: tuple[float, float] = (0.05, 0.6)

    def route(
        self, rng: np.random.Generator, present: Tensor, probabilities: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Which experts run, and the gates that the merger sees, both B K."""
        shape = tuple(present.shape)

        def chance(share: float, size: tuple[int, ...]) -> Tensor:
            return torch.as_tensor(rng.random(size) < share, device=present.device)

        given = present ^ chance(self.wrong_share, shape)
        limit = torch.as_tensor(rng.uniform(*self.thresholds, shape)).to(probabilities)
        chosen = chance(self.given_share, (shape[0], 1))
        active = torch.where(chosen, given, probabilities >= limit)
        return active, torch.where(chosen, given.to(probabilities), probabilities)

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """L_space of the merged photo."""
        batch = self.batches.draw(rng, self.batch_size)
        active, gates = self.route(rng, batch.present, batch.probabilities)
        active = F.pad(active, (0, 1), value=True)  # the shared expert always runs
        photo, residuals = to_signed(batch.photos), batch.residuals * active[..., None, None, None]
        merged = self.model.train()(photo, residuals, gates)
        return {"space": hybrid(photo + merged, to_signed(batch.clean))}
