"""Router thresholds: calibrated so that untouched photos stay untouched (MoFRR, routing)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.faces import FaceSet, to_signed
from .conditions import conditions_of, recipe_for, retouched_faces
from .metrics import calibrate_threshold


class RouterScores(NamedTuple):
    """A router's verdicts on n photos beside the truth, for K operations.

    Attributes:
        probabilities: n K in [0, 1].
        degrees: n K in (0, 1], estimated, given that the operation is present.
        true_degrees: n K in [0, 1], 0 where the operation is absent.
    """

    probabilities: NDArray[np.float64]
    degrees: NDArray[np.float64]
    true_degrees: NDArray[np.float64]

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which operations are really there, n K."""
        return self.true_degrees > 0

    @property
    def untouched(self) -> NDArray[np.bool_]:
        """Which photos have no operation at all, n."""
        return np.logical_not(self.present.any(axis=1))


@torch.no_grad()
def score_faces(
    router: Any,
    faces: FaceSet,
    *,
    split: str = "seen",
    seed: int = 0,
    batch_size: int = 8,
    exported: bool = False,
) -> RouterScores:
    """Run the router over every face untouched, under each operation, and mixed.

    Args:
        router: a RetouchRouter; it is left in the mode, training or not, that it came in.
        faces: the photos, N of them; the verdicts are on N (K + 2).
        split: which algorithms retouch them, "seen", "unseen" or "all".
        seed: fixes the recipes.
        batch_size: photos at a time.
        exported: whether every photo is saved with loss first.
    """
    operations = tuple(router.config.operations)
    device = next(router.parameters()).device
    was_training = router.training
    router.eval()

    verdicts: list[RouterScores] = []
    for condition in conditions_of(split, exported, operations):
        for batch in faces.batches(batch_size):
            recipes = [recipe_for(condition, name, seed, operations) for name in batch.names]
            verdict = router(to_signed(retouched_faces(batch, recipes)).to(device))
            truth = np.array([recipe.degrees(operations) for recipe in recipes], dtype=np.float64)
            verdicts.append(
                RouterScores(
                    verdict.probabilities.double().cpu().numpy(),
                    verdict.degrees.double().cpu().numpy(),
                    truth,
                )
            )
    router.train(was_training)
    return join_scores(verdicts)


def join_scores(parts: Sequence[RouterScores]) -> RouterScores:
    """Verdicts on several groups of photos as one."""
    return RouterScores(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def calibrated_thresholds(
    router: Any,
    faces: FaceSet,
    seed: int = 0,
    batch_size: int = 8,
    max_false_positive_rate: float = 0.02,
    exported: bool = False,
) -> tuple[float, ...]:
    """The presence threshold of each operation, for the router's config.

    For each operation by itself: a threshold of high balanced accuracy over the untouched
    faces, each single operation and mixed ones, under algorithms seen in training, among those
    that find the operation on at most `max_false_positive_rate` of the untouched faces. Calibrate
    on faces that neither training nor the reported results use.

    Args:
        router: a RetouchRouter.
        faces: validation faces.
        seed: fixes the recipes.
        batch_size: photos at a time.
        max_false_positive_rate: cap for each operation; up to K times it of the untouched photos
            can be touched by one operation or another.
        exported: calibrate on photos saved with loss as well as on those that were not.

    Returns:
        K thresholds in [0, 1], in the order of the router's operations.

    Raises:
        ValueError: if some untouched photos score 1, so that no threshold keeps the cap.
    """
    scores = join_scores(
        [
            score_faces(router, faces, seed=seed, batch_size=batch_size, exported=lossy)
            for lossy in ((False, True) if exported else (False,))
        ]
    )
    return thresholds_from(scores, max_false_positive_rate)


def thresholds_from(
    scores: RouterScores, max_false_positive_rate: float = 0.02
) -> tuple[float, ...]:
    """Calibrate each operation's threshold on verdicts already at hand."""
    return tuple(
        calibrate_threshold(
            probability,
            present,
            max_false_positive_rate=max_false_positive_rate,
            guarded=scores.untouched,
        )
        for probability, present in zip(scores.probabilities.T, scores.present.T, strict=True)
    )
