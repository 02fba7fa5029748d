"""Stage `bpfre`: blemish maps, coarse and refined retouching, on pairs and on unpaired faces.

The critic's logit is positive for clean skin. With s(x) = softplus(x) = -log sigmoid(-x):
critic: M s(D(raw)) + M s(D(refined)) + M s(-D(clean)); retoucher: M s(-D(refined)),
M the normalised D2G map.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...models.bpfre.critic import PixelCritic
from ...models.bpfre.retoucher import BlemishRetoucher, RetouchOutput
from ...models.presets import PRESETS
from ..data.blemishes import BlemishBatch, BlemishSource
from ..data.faces import FacesConfig
from ..data.material import Material
from ..losses import edit_weight
from ..perceptual import FeatureLoss, feature_loss, haar_features
from ..run_folder import load_trained
from ..settings import setting
from .base import StageConfig

DETECTION = ("stem", "encoder", "e2d")


@dataclass(frozen=True, kw_only=True)
class BlemishConfig(FacesConfig, StageConfig):
    """Settings of both stages of BPFRe."""

    crop: int = setting(0, "side of the windows trained on; 0 = whole faces", least=0)
    vgg: str = setting("", "VGG-19 weights for the perceptual loss; empty = Haar bands")

    def retoucher(self, part: str) -> BlemishRetoucher:
        """The network, laid out as convolutions on CPUs like it."""
        return self.network(BlemishRetoucher, part).to(memory_format=torch.channels_last)

    def features(self, material: Material) -> FeatureLoss:
        """The perceptual loss."""
        features = feature_loss(self.vgg)
        if isinstance(features, torch.nn.Module):
            features.to(material.device)
        return features


@dataclass(frozen=True, kw_only=True)
class BPFReConfig(BlemishConfig):
    """Settings of stage `bpfre`."""

    batch_size: int = setting(6, "faces or windows of one step", least=1)
    pair_share: float = setting(1.0, "share of the faces that have pairs", above=0, most=1)
    paintings: int = setting(0, "paintings of each face; 0 = ever new ones", least=0)
    unpaired: bool = setting(False, "learn from the other faces too")
    detection_only: bool = setting(False, "encoder and E2D map alone: a quick first phase")
    keep_detection: bool = setting(False, "all but encoder and E2D map: the last phase")
    coarse_only: bool = setting(False, "without the style generator: to see what it is worth")
    detection: str = setting("", "run or model folder whose encoder and E2D map to start from")
    adversarial: float = setting(0.002, "weight of the critic's verdict; 0 = none", least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.detection_only and self.keep_detection:
            raise ValueError("detection_only and keep_detection leave nothing to train: choose one")
        if self.coarse_only and self.adversarial > 0:
            raise ValueError("the critic judges refined photos: with coarse_only set adversarial=0")

    def build(self, material: Material) -> "BPFReStage":
        """The stage, its networks and data loaded."""
        faces = material.load_faces(self)
        return BPFReStage(
            self.joined(),
            self.critic(material.device),
            BlemishSource(faces, self.pair_share, self.paintings, self.crop, seed=self.seed),
            batch_size=self.batch_size,
            unpaired=self.unpaired,
            detection_only=self.detection_only,
            keep_detection=self.keep_detection,
            coarse_only=self.coarse_only,
            features=self.features(material),
            adversarial_weight=self.adversarial,
        )

    def joined(self) -> BlemishRetoucher:
        """The retoucher to start from, its encoder and E2D map perhaps another's."""
        model = self.retoucher("retoucher")
        if self.detection:
            other: Any = load_trained(BlemishRetoucher, self.detection)
            for name in DETECTION:
                getattr(model, name).load_state_dict(getattr(other, name).state_dict())
        return model

    def critic(self, device: torch.device | str) -> PixelCritic:
        """A critic of the preset with random weights."""
        torch.manual_seed(self.seed)
        critic: Any = PixelCritic(**PRESETS[self.preset]["critic"])
        return critic.to(device=device, memory_format=torch.channels_last)


class Draw(NamedTuple):
    """One step's faces: pairs, blemished ones without a target, clean ones without a source."""

    pairs: BlemishBatch
    blemished: Tensor
    clean: Tensor


@dataclass
class BPFReStage:
    """Trains a `BlemishRetoucher` against a `PixelCritic`.

    A quarter of a batch are clean faces. With `unpaired`, another quarter are blemished faces
    without a target, and the clean ones have no source; else all faces come from the pairs. With
    `detection_only` encoder and E2D map learn alone, from pairs and clean faces: to find blemishes
    takes more steps than to paint them over. With `keep_detection` these two stay as they are, and
    the rest learns. With `coarse_only` the refined result has no losses, so that D2G attention and
    generator do not learn and nothing learns through them.
    """

    model: BlemishRetoucher
    critic: PixelCritic
    source: BlemishSource
    batch_size: int = 4
    unpaired: bool = False
    detection_only: bool = False
    keep_detection: bool = False
    coarse_only: bool = False
    features: FeatureLoss = haar_features
    feature_weight: float = 0.5
    detect_weight: float = 0.2
    clean_map_weight: float = 0.25
    adversarial_weight: float = 0.002

    def __post_init__(self) -> None:
        if self.keep_detection:
            for name in DETECTION:
                getattr(self.model, name).requires_grad_(False)

    def draw(self, rng: np.random.Generator) -> Draw:
        """The faces of a step; there is always at least one pair and one clean face."""
        source, quarter = self.source, max(1, self.batch_size // 4)
        unpaired = self.unpaired and len(source.clean_only) > 0
        blemished = quarter if unpaired else 0
        pairs = source.draw(rng, source.paired, max(1, self.batch_size - quarter - blemished))
        clean = source.draw_clean(rng, source.clean_only if unpaired else source.paired, quarter)
        if not blemished:
            return Draw(pairs, clean[:0], clean)
        return Draw(pairs, source.draw(rng, source.blemished_only, blemished).photo, clean)

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """Every loss of the slides; on clean faces also the maps and the refined result."""
        with torch.autocast(self.source.faces.images.device.type, enabled=False), torch.no_grad():
            draw = self.draw(rng)
        pairs, raw = len(draw.pairs.photo), len(draw.pairs.photo) + len(draw.blemished)
        photos = torch.cat((draw.pairs.photo, draw.blemished, draw.clean))
        if self.detection_only:
            return self._detection_terms(self.model.train().find(photos), draw)
        output = self.model.train()(photos, noise=True)
        paired = RetouchOutput(*(each[:pairs] for each in output))
        clean = RetouchOutput(*(each[raw:] for each in output))

        terms = self._pair_terms(paired, draw.pairs) | self._clean_terms(clean, draw.clean)
        if self.adversarial_weight > 0:
            found = RetouchOutput(*(each[:raw] for each in output))
            real = torch.cat((draw.pairs.target, draw.clean))
            terms |= self._adversarial_terms(found, photos[:raw], real)
        return terms

    def _detection_terms(self, found: Tensor, draw: Draw) -> dict[str, Tensor]:
        """L_blem of the E2D map on pairs and clean faces, and its detection loss."""
        batch, pairs = draw.pairs, len(draw.pairs.photo)
        raw = pairs + len(draw.blemished)
        known = torch.cat((found[:pairs], found[raw:]))
        mask = torch.cat((batch.mask, torch.zeros_like(found[raw:])))
        weight = edit_weight(batch.mask[:, 0], share=0.3)
        weight = torch.cat((weight, torch.ones_like(found[raw:])))
        truth = difference(batch.photo, batch.target)
        map_weight = edit_weight(batch.mask[:, 0], share=0.75)
        return {
            "map_coarse": ((found[:pairs] - truth).abs() * map_weight).mean(),
            "detect": detection(self.model.openness, known, mask, weight),
        }

    def _pair_terms(self, output: RetouchOutput, batch: BlemishBatch) -> dict[str, Tensor]:
        """L_blem and L_cons of both stages on pairs; much of the weight lies on the blemishes."""
        weight = edit_weight(batch.mask[:, 0])
        map_weight = edit_weight(batch.mask[:, 0], share=0.75)  # else the median is no blemish
        coarse_truth = difference(batch.photo, batch.target)
        refined_truth = difference(output.coarse.detach(), batch.target)
        terms = {
            "map_coarse": ((output.coarse_map - coarse_truth).abs() * map_weight).mean(),
            "detect": self.detect_weight
            * detection(self.model.openness, output.coarse_map, batch.mask, weight),
            "coarse": self._distance(output.coarse, batch.target, weight),
        }
        if self.coarse_only:
            return terms
        return terms | {
            "map_refined": ((output.refined_map - refined_truth).abs() * map_weight).mean(),
            "refined": self._distance(output.refined, batch.target, weight),
        }

    def _clean_terms(self, output: RetouchOutput, clean: Tensor) -> dict[str, Tensor]:
        """Clean faces stay as they are."""
        if self.coarse_only:
            return {
                "clean": self._distance(output.coarse, clean),
                "map_clean": self.clean_map_weight * output.coarse_map.mean(),
            }
        return {
            "clean": self._distance(output.coarse, clean) + self._distance(output.refined, clean),
            "map_clean": self.clean_map_weight * (output.coarse_map + output.refined_map).mean(),
        }

    def _distance(self, result: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """L1 and feature distance."""
        error = (result - target).abs()
        if weight is not None:
            error = error * weight
        return error.mean() + self.feature_weight * self.features(result, target, weight)

    def _adversarial_terms(
        self, output: RetouchOutput, raw: Tensor, clean: Tensor
    ) -> dict[str, Tensor]:
        """L_adv of critic and retoucher; the module's docstring states the signs."""
        mask = output.refined_map.detach()
        mask = mask / mask.mean((1, 2, 3), keepdim=True).clamp_min(1e-3)
        self.critic.train().requires_grad_(False)
        deceive = (mask * F.softplus(-self.critic(output.refined))).mean()
        self.critic.requires_grad_(True)

        rows = [i % len(raw) for i in range(len(clean))]
        stack = torch.cat((raw, output.refined.detach(), clean))
        found, made, real = self.critic(stack).split((len(raw), len(raw), len(clean)))
        judge = (mask * (F.softplus(found) + F.softplus(made))).mean()
        judge = judge + (mask[rows] * F.softplus(-real)).mean()
        return {"deceive": self.adversarial_weight * deceive, "critic": judge}


def detection(
    openness: Callable[[Tensor], Tensor], found: Tensor, mask: Tensor, weight: Tensor
) -> Tensor:
    """Cross-entropy of what the gate lets through with the painted mask; not in the slides.

    L1 alone leaves a map at its median, which is zero until the features tell blemishes apart.

    Args:
        openness: the retoucher's gate, map -> share in [0, 1).
        found: B 1 H W >= 0, a map.
        mask: B 1 H W in [0, 1].
        weight: B 1 H W with mean about 1.
    """
    share = openness(found + 1e-3)
    entropy = mask * share.log() + (1 - mask) * (1 - share).clamp_min(1e-6).log()
    return -(entropy * weight).mean()


def difference(first: Tensor, second: Tensor) -> Tensor:
    """Mean over the colours of the absolute difference: B 3 H W twice -> B 1 H W."""
    return (first - second).abs().mean(1, keepdim=True)
