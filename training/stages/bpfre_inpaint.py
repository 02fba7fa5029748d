"""Stage `bpfre_inpaint`: the two-stage network fills holes (BPFRe's slides, last application)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...models.bpfre.retoucher import BlemishRetoucher, RetouchOutput
from ...models.bpfre.views import fill_smoothly
from ..data.blemishes import BlemishSource
from ..data.material import Material
from ..losses import edit_weight
from ..perceptual import FeatureLoss, haar_features
from ..settings import setting
from .bpfre import BlemishConfig, difference


@dataclass(frozen=True, kw_only=True)
class InpaintConfig(BlemishConfig):
    """Settings of stage `bpfre_inpaint`."""

    batch_size: int = setting(6, "faces or windows of one step", least=1)

    def build(self, material: Material) -> "InpaintStage":
        """The stage, its network and data loaded."""
        faces = material.load_faces(self)
        blemishes = BlemishSource(faces, crop=self.crop, windows=1, seed=self.seed)
        features = self.features(material)
        return InpaintStage(self.retoucher("inpainter"), blemishes, self.batch_size, features)


@dataclass
class InpaintStage:
    """Trains a `BlemishRetoucher` with `inpainting=True` on faces with random holes."""

    model: BlemishRetoucher
    source: BlemishSource
    batch_size: int = 6
    features: FeatureLoss = haar_features
    feature_weight: float = 0.5

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """L_cons of both stages, most of the weight in the holes, and L_blem of both maps."""
        with torch.autocast(self.source.faces.images.device.type, enabled=False), torch.no_grad():
            target = self.source.draw_clean(rng, self.source.paired, self.batch_size)
            holes = draw_holes(rng, len(target), target.shape[-1]).to(target)
        photo = target * (1 - holes)
        output: RetouchOutput = self.model.train()(photo, noise=True, hole=holes)
        weight = edit_weight(holes[:, 0], share=0.9)
        missing = difference(fill_smoothly(photo, holes), target)
        left = difference(output.coarse.detach(), target)
        return {
            "map_coarse": ((output.coarse_map - missing).abs() * weight).mean(),
            "map_refined": ((output.refined_map - left).abs() * weight).mean(),
            "coarse": self._distance(output.coarse, target, weight),
            "refined": self._distance(output.refined, target, weight),
        }

    def _distance(self, result: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        error = ((result - target).abs() * weight).mean()
        return error + self.feature_weight * self.features(result, target, weight)


def draw_holes(rng: np.random.Generator, count: int, size: int) -> Tensor:
    """Random holes: one to four ellipses and brush strokes in each square.

    Args:
        rng: source of all randomness.
        count: how many squares.
        size: side of the squares in pixels.

    Returns:
        B 1 S S float32, 1 in the holes, else 0; every square has a hole.
    """
    y, x = np.mgrid[:size, :size] / size
    holes = np.zeros((count, 1, size, size), dtype=np.float32)
    for hole in holes[:, 0]:
        for _ in range(int(rng.integers(1, 5))):
            at_x, at_y = rng.uniform(0.1, 0.9, 2)
            if rng.random() < 0.5:
                tall, wide = rng.uniform(0.03, 0.14, 2)
                inside = ((x - at_x) / wide) ** 2 + ((y - at_y) / tall) ** 2 < 1
            else:
                angle, length = rng.uniform(0, np.pi), rng.uniform(0.1, 0.3)
                along = (x - at_x) * np.cos(angle) + (y - at_y) * np.sin(angle)
                across = (y - at_y) * np.cos(angle) - (x - at_x) * np.sin(angle)
                inside = (np.abs(along) < length) & (np.abs(across) < rng.uniform(0.01, 0.04))
            hole[inside] = 1
    return torch.from_numpy(holes)
