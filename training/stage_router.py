"""Stage `router`: presence and degree of each operation.

A batch holds the same faces untouched, under each operation, and under a mixture, so that who it is
cannot answer what was done.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..models.mofrr_router import RetouchRouter
from .batches import RetouchSource, random_subset, retouch_to_8_bits
from .losses import (
    degree_classification,
    location_classification,
    presence_classification,
)


@dataclass
class RouterStage:
    """Trains a `RetouchRouter` on `faces_per_batch` faces, each in all its versions."""

    model: RetouchRouter
    source: RetouchSource
    faces_per_batch: int = 6
    degree_weight: float = 0.1
    location_weight: float = 0.2

    def losses(self, rng: np.random.Generator) -> dict[str, Tensor]:
        """L_class of the paper, presence and degree, and where each operation acted."""
        images, points = self.source.draw(rng, self.faces_per_batch)
        recipes, rows, operations = [], [], self.source.operations
        for row in range(self.faces_per_batch):
            versions = [[], *([name] for name in operations), random_subset(rng, operations)]
            recipes += [self.source.recipe(rng, version) for version in versions]
            rows += [row] * len(versions)
        points = None if points is None else points[rows]
        photos = retouch_to_8_bits(images[rows], recipes, points, operations)

        verdict = self.model.train()(photos.image)
        return {
            "presence": presence_classification(verdict.presence_logits, photos.degrees),
            "degree": self.degree_weight
            * degree_classification(verdict.degree_logits, photos.degrees),
            "location": self.location_weight
            * location_classification(verdict.location_logits, photos.masks),
        }
