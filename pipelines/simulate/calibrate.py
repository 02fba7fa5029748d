"""How strong the simulator's retouches are, beside what the paper's data and vendors show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from . import bank
from .colour import luma, rgb_to_lab, unit
from .filters import gaussian
from .landmarks import EYE_CORNERS, JAW, FaceRegions, canonical_mesh
from .recipe import OPERATIONS, Recipe, sample_recipe
from .simulator import Retouched, retouch

PAPER_PSNR = {
    "whitening": 29.14,
    "smoothing": 35.59,
    "face_slimming": 29.55,
    "eye_enlarging": 35.82,
    "mixed": 28.03,
}
"""Mean copy-input PSNR of the paper's data in dB, which includes the vendors' own file coding."""
MIXED = "mixed"
"""Label of two or more operations drawn at random, as evaluation mixes them."""
TOGETHER = "all_together"
"""Label of all operations in one photo, in random order."""
_TEXTURE = 1.5 / 256  # Gaussian above which detail counts as high frequency, in heights
_JAW_PAIRS = tuple((JAW[i], JAW[-1 - i]) for i in range(3, 8))
_BATCH = 8
_MOST_PSNR = 100.0  # stands for identical pictures in means


@dataclass(frozen=True)
class Measurement:
    """Means over the faces for one algorithm, one operation, or all operations mixed.

    Attributes:
        operation: Name of the operation, or "mixed" / "all_together".
        algorithm: Name of the algorithm, or "seen" / "unseen" for a mean over the bank's split.
        held_out: Whether training never sees it.
        psnr: Copy-input PSNR in dB: retouched against original.
        lightness: Rise of CIE L on the skin (whitening), else None.
        colour: CIE76 colour difference on the skin (whitening), else None.
        texture_loss: Share of the skin's high-frequency energy that is gone (smoothing), in %.
        jaw: How much narrower the jaw is (face slimming), in %.
        eyes: How much wider the eyes are, corner to corner (eye enlarging), in %.
    """

    operation: str
    algorithm: str
    held_out: bool
    psnr: float
    lightness: float | None = None
    colour: float | None = None
    texture_loss: float | None = None
    jaw: float | None = None
    eyes: float | None = None


_COLUMNS = {
    "psnr": "PSNR dB",
    "lightness": "dL",
    "colour": "dE",
    "texture_loss": "texture -%",
    "jaw": "jaw -%",
    "eyes": "eyes +%",
}


@dataclass(frozen=True)
class Calibration:
    """What was measured, on how many faces and over which range of degrees.

    Attributes:
        rows: Algorithms of each operation followed by their means, then the mixtures.
        faces: Number of faces behind each row of an algorithm.
        size: Height of the faces in pixels.
        degrees: Range from which degrees were drawn uniformly.
    """

    rows: tuple[Measurement, ...]
    faces: int
    size: int
    degrees: tuple[float, float]

    def find(self, operation: str, algorithm: str) -> Measurement:
        """The row of an algorithm, or of the mean over "seen" or "unseen" ones.

        Raises:
            KeyError: If there is no such row.
        """
        for row in self.rows:
            if (row.operation, row.algorithm) == (operation, algorithm):
                return row
        raise KeyError(f"No row for {operation} / {algorithm}.")

    def as_text(self) -> str:
        """The table as plain text, the paper's PSNR in its last column."""
        low, high = self.degrees
        title = (
            f"{self.faces} faces of {self.size} px per algorithm, degrees {low:g} to {high:g}; "
            "means over faces; * = never seen in training"
        )
        head = f"{'operation':<15}{'algorithm':<24}"
        head += "".join(f"{text:>12}" for text in _COLUMNS.values()) + f"{'paper dB':>12}"
        return "\n".join([title, "", head, *(_as_line(row) for row in self.rows)])


def _as_line(row: Measurement) -> str:
    mean = row.algorithm in ("seen", "unseen")
    name = f"mean, {row.algorithm}" if mean else row.algorithm + "*" * row.held_out
    values = (getattr(row, column) for column in _COLUMNS)
    cells = "".join(f"{'' if value is None else f'{value:.2f}':>12}" for value in values)
    paper = f"{PAPER_PSNR[row.operation]:>12.2f}" if row.operation in PAPER_PSNR and mean else ""
    return f"{row.operation:<15}{name:<24}{cells}{paper}".rstrip()


@torch.no_grad()
def calibrate(
    images: Tensor,
    landmarks: Tensor | None = None,
    *,
    operations: Sequence[str] = OPERATIONS,
    degrees: tuple[float, float] = (0.15, 1.0),
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Calibration:
    """Retouches every face once by every algorithm and by mixtures of two kinds, and measures.

    Args:
        images: N 3 H W, uint8 in [0, 255] or float in [-1, 1], RGB.
        landmarks: N 478 2 in shares of width and height; None: the mean face.
        operations: The operations to measure, alone and mixed.
        degrees: Range of the uniformly drawn degrees.
        seed: Fixes degrees, variations and mixtures.
        progress: Called with the name of each row before it is measured.

    Returns:
        The table.

    Raises:
        ValueError: If there is no face, or the images have another shape.
    """
    if images.ndim != 4 or images.shape[1] != 3 or len(images) == 0:
        raise ValueError(f"Expected faces of shape N 3 H W with N >= 1, got {tuple(images.shape)}.")
    if landmarks is None:
        landmarks = canonical_mesh().expand(len(images), -1, -1)
    rng, report = np.random.default_rng(seed), progress or (lambda name: None)

    rows: list[Measurement] = []
    for operation in operations:
        found = []
        for algorithm in bank.algorithms(operation):
            report(f"{operation} / {algorithm}")
            recipes = [_single(rng, operation, algorithm, degrees) for _ in images]
            found.append(_measure(images, landmarks, recipes, operation, algorithm))
        rows += [*found, *_means(found)]
    for label, least in ((MIXED, 2), (TOGETHER, len(operations))):
        for split in ("seen", "unseen"):
            report(f"{label} / {split}")
            recipes = [_mixture(rng, operations, least, split, degrees) for _ in images]
            rows.append(_measure(images, landmarks, recipes, label, split))
    return Calibration(tuple(rows), len(images), images.shape[-2], degrees)


def _single(
    rng: np.random.Generator, operation: str, algorithm: str, degrees: tuple[float, float]
) -> Recipe:
    drawn = sample_recipe(rng, [operation], split="all", degrees=degrees)
    return Recipe((drawn.steps[0]._replace(algorithm=algorithm),))


def _mixture(
    rng: np.random.Generator,
    operations: Sequence[str],
    least: int,
    split: str,
    degrees: tuple[float, float],
) -> Recipe:
    """At least so many of the operations (as far as there are), the number drawn evenly."""
    count = rng.integers(min(least, len(operations)), len(operations) + 1)
    chosen = [operations[int(index)] for index in rng.permutation(len(operations))[:count]]
    return sample_recipe(rng, chosen, split=split, degrees=degrees)


def _measure(
    images: Tensor,
    landmarks: Tensor,
    recipes: Sequence[Recipe],
    operation: str,
    algorithm: str,
) -> Measurement:
    """Retouches all faces by their recipes, a batch at a time; means over faces."""
    found: dict[str, list[float]] = {}
    for start in range(0, len(images), _BATCH):
        part = slice(start, start + _BATCH)
        before = images[part]
        if before.dtype == torch.uint8:
            before = before.float() / 127.5 - 1
        points = landmarks[part].to(before)
        after = retouch(before, recipes[part], points, _listed(recipes))
        for column, values in _magnitudes(before, after, points, operation).items():
            found.setdefault(column, []).extend(values.tolist())
    held_out = algorithm == "unseen" or algorithm in bank.HELD_OUT.get(operation, ())
    return Measurement(
        operation, algorithm, held_out, **{column: fmean(v) for column, v in found.items()}
    )


def _listed(recipes: Sequence[Recipe]) -> tuple[str, ...]:
    """The operations of the recipes, in the order of the bank."""
    used = {step.operation for recipe in recipes for step in recipe.steps}
    return tuple(operation for operation in bank.ALGORITHMS if operation in used)


def _magnitudes(
    before: Tensor, after: Retouched, points: Tensor, operation: str
) -> dict[str, Tensor]:
    """What applies to the operation, one value per face."""
    found = {"psnr": psnr(before, after.image)}
    face = FaceRegions(points, before.shape[-2], before.shape[-1], before)
    if operation == "whitening":
        change = rgb_to_lab(unit(after.image)) - rgb_to_lab(unit(before))
        found["lightness"] = _over(face.skin, change[:, :1])
        found["colour"] = _over(face.skin, change.norm(dim=1, keepdim=True))
    elif operation == "smoothing":
        kept = _over(face.skin, _texture(after.image)) / _over(face.skin, _texture(before))
        found["texture_loss"] = 100 * (1 - kept)
    elif operation == "face_slimming":
        found["jaw"] = -widening(points, after.flows[:, 0], _JAW_PAIRS)
    elif operation == "eye_enlarging":
        found["eyes"] = widening(points, after.flows[:, 0], EYE_CORNERS)
    return found


def psnr(original: Tensor, other: Tensor) -> Tensor:
    """PSNR in dB of each pair of B 3 H W images in [-1, 1]; 100 where they are the same."""
    error = (original - other).square().mean((1, 2, 3)) / 4
    return (-10 * error.clamp_min(1e-30).log10()).clamp_max(_MOST_PSNR)


def widening(points: Tensor, undoing: Tensor, pairs: Iterable[tuple[int, int]]) -> Tensor:
    """How much further apart pairs of landmarks are after a geometric retouch, in %.

    Args:
        points: B 478 2, landmarks of the original in shares of width and height.
        undoing: B 2 H W, the flow that undoes the retouch, in pixels: what was at p before is at
            p + flow(p) after.
        pairs: Indices of the landmarks; distances are summed over the pairs.

    Returns:
        B.
    """
    size = points.new_tensor([undoing.shape[-1], undoing.shape[-2]])
    motion = torch.nn.functional.grid_sample(
        undoing, points[:, None] * 2 - 1, mode="bilinear", align_corners=False
    )[:, :, 0].mT
    left, right = (list(side) for side in zip(*pairs, strict=True))
    before, after = points * size, points * size + motion
    width = (before[:, right] - before[:, left]).norm(dim=-1).sum(1)
    return 100 * ((after[:, right] - after[:, left]).norm(dim=-1).sum(1) / width - 1)


def _texture(images: Tensor) -> Tensor:
    """Energy of the luma above a Gaussian low-pass, B 1 H W."""
    light = luma(unit(images))
    sigma = light.new_full((len(light),), _TEXTURE * light.shape[-2])
    return (light - gaussian(light, sigma)).square()


def _over(mask: Tensor, values: Tensor) -> Tensor:
    """Mean of B 1 H W values weighted by a mask, per sample."""
    return (values * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3)).clamp_min(1e-6)


def _means(rows: Sequence[Measurement]) -> list[Measurement]:
    """Means over the algorithms seen in training, and over those held out."""
    means = []
    for name, held_out in (("seen", False), ("unseen", True)):
        chosen = [row for row in rows if row.held_out == held_out]
        if not chosen:
            continue
        values = {
            field.name: fmean(getattr(row, field.name) for row in chosen)
            for field in fields(Measurement)
            if field.name in _COLUMNS and getattr(chosen[0], field.name) is not None
        }
        means.append(Measurement(chosen[0].operation, name, held_out, **values))
    return means
