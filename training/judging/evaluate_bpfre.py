"""Evaluation of BPFRe: painted blemishes removed, moles and clean faces kept, blemishes found.

Copy-input, the score of doing nothing, stands beside every figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...pipelines.simulate.blemishes.painter import KINDS, Painted
from ..data.faces import FaceSet
from ..data.retouching import to_8_bits
from .conditions_bpfre import HARD_CASES, paint_condition, select_large_pose
from .metrics import psnr, ssim

PSNR_CAP = 100.0
"""Stands in, in averages, for the infinite PSNR in dB of photos that are equal to the bit."""
IN_MASK = 0.5
"""A pixel counts as blemished where the painter's mask is at least this."""
_BINS = 2048  # of the maps' histograms; values lie on a logarithmic scale
_RANGE = (1e-4, 2.0)


@dataclass(frozen=True)
class RetouchRow:
    """Means over the faces of one condition.

    Attributes:
        condition: "all" (several kinds at once), one kind of blemish, or a hard case.
        stage: "refined" or "coarse".
        photos: how many.
        copy_psnr: PSNR in dB of the blemished photos.
        psnr: PSNR in dB after retouching.
        copy_mask_psnr: PSNR of the blemished photos inside the blemish mask.
        mask_psnr: PSNR after retouching inside the blemish mask.
        copy_ssim: SSIM of the blemished photos.
        ssim: SSIM after retouching.
        improved: share of photos whose PSNR rose.
    """

    condition: str
    stage: str
    photos: int
    copy_psnr: float
    psnr: float
    copy_mask_psnr: float
    mask_psnr: float
    copy_ssim: float
    ssim: float
    improved: float


@dataclass(frozen=True)
class RetouchEvaluation:
    """All figures of one run.

    Attributes:
        faces: number of faces.
        size: their side in pixels.
        seed: of the paintings.
        rows: one for each condition and stage.
        mole_change: mean absolute change (grey levels of 255) that retouching makes inside moles.
        blemish_departure: the same inside blemish masks, blemished photo against target.
        clean_psnr: mean PSNR in dB of retouched clean faces to themselves (each at most 100).
        clean_psnr_least: the lowest of them.
        iou: best intersection over union of the E2D map with the painted mask, over all pixels.
        iou_threshold: the map's threshold that gives it.
        average_precision: area under the precision-recall curve of the E2D map's pixels.
        precision_of_chance: share of blemished pixels, what a random map would score.
        weights: digest of the weights that were judged, None if not recorded.
    """

    faces: int
    size: int
    seed: int
    rows: tuple[RetouchRow, ...]
    mole_change: float
    blemish_departure: float
    clean_psnr: float
    clean_psnr_least: float
    iou: float
    iou_threshold: float
    average_precision: float
    precision_of_chance: float
    weights: str | None = None

    def row(self, condition: str, stage: str = "refined") -> RetouchRow:
        """The row of one condition.

        Raises:
            ValueError: when it was not evaluated.
        """
        for row in self.rows:
            if (row.condition, row.stage) == (condition, stage):
                return row
        raise ValueError(f"{condition!r} of the stage {stage!r} was not evaluated.")


class _Tally:
    """Gathers one condition's figures, photo by photo."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, list[Tensor]]] = {}

    def add(self, stage: str, figures: Mapping[str, Tensor]) -> None:
        for name, value in figures.items():
            self.values.setdefault(stage, {}).setdefault(name, []).append(value)

    def rows(self, condition: str) -> list[RetouchRow]:
        found = []
        for stage, figures in self.values.items():
            columns = {name: torch.cat(parts) for name, parts in figures.items()}
            improved = float((columns["psnr"] > columns["copy_psnr"]).double().mean())
            means = {name: float(column.nanmean()) for name, column in columns.items()}
            photos = len(columns["psnr"])
            found.append(RetouchRow(condition, stage, photos, improved=improved, **means))
        return found


class _Pixels:
    """Histograms of a map's values on blemished and on other pixels."""

    def __init__(self) -> None:
        self.counts = np.zeros((2, _BINS))
        low, high = np.log(_RANGE)
        self.edges = np.exp(np.linspace(low, high, _BINS - 1))

    def add(self, found: Tensor, mask: Tensor) -> None:
        bins = np.digitize(found.double().cpu().numpy().ravel(), self.edges)
        blemished = (mask >= IN_MASK).cpu().numpy().ravel()
        for kind, chosen in enumerate((~blemished, blemished)):
            self.counts[kind] += np.bincount(bins[chosen], minlength=_BINS)

    def above(self) -> tuple[NDArray, NDArray]:
        """Pixels at or above each bin: wrong ones and right ones, highest threshold first."""
        wrong, right = self.counts[:, ::-1].cumsum(1)
        return wrong, right

    def best_iou(self) -> tuple[float, float]:
        """The best intersection over union, and its threshold."""
        wrong, right = self.above()
        iou = right / np.maximum(self.counts[1].sum() + wrong, 1)
        best = int(iou.argmax())
        thresholds = np.concatenate(([0.0], self.edges))[::-1]
        return float(iou[best]), float(thresholds[best])

    def average_precision(self) -> float:
        """Sum over the thresholds of precision times the rise in recall."""
        wrong, right = self.above()
        precision = right / np.maximum(right + wrong, 1)
        rise = np.diff(right, prepend=0) / max(self.counts[1].sum(), 1)
        return float((precision * rise).sum())

    def chance(self) -> float:
        return float(self.counts[1].sum() / self.counts.sum())


def masked_psnr(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    """PSNR in dB of each pair inside its mask, NaN where the mask is empty.

    Args:
        a: B 3 H W in [-1, 1].
        b: the same shape.
        mask: B 1 H W in [0, 1]; pixels of at least one half count.
    """
    chosen = (mask >= IN_MASK).double()
    error = (a.clamp(-1, 1).double() - b.clamp(-1, 1).double()).square().mean(1, keepdim=True)
    mean = (error * chosen).sum((1, 2, 3)) / chosen.sum((1, 2, 3))
    return (10 * torch.log10(4 / mean)).clamp_max(PSNR_CAP)


def evaluate_bpfre(
    pipe: Any,
    faces: FaceSet,
    *,
    seed: int = 0,
    batch_size: int = 8,
    by_kind: bool = True,
    hard_cases: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> RetouchEvaluation:
    """Paints blemishes on every face, retouches them and compares with the faces before.

    A healer is set aside: what it does to natural skin is judged by `evaluate_natural`.

    Args:
        pipe: a `BPFRePipeline`.
        faces: faces of one size, with landmarks.
        seed: fixes the paintings, whatever the batch size.
        batch_size: faces retouched at once.
        by_kind: also judge each kind of blemish by itself.
        hard_cases: also judge dim light, occlusion and the quarter of the faces of largest pose.
        progress: called with batches done and in all.
    """
    pipe = without_healer(pipe)
    conditions = ["all", *(KINDS if by_kind else ()), *(HARD_CASES if hard_cases else ())]
    rows: list[RetouchRow] = []
    pixels, kept = _Pixels(), _Kept()
    turned = select_large_pose(faces) if hard_cases else None
    total = (len(conditions) + 1) * -(-len(faces) // batch_size)
    done = 0
    for condition in conditions:
        tally = _Tally()
        chosen = turned if condition == "large pose" and turned is not None else faces
        for first, batch in enumerate(chosen.batches(batch_size)):
            painted = paint_condition(batch, condition, seed, first * batch_size)
            output = _retouch(pipe, painted.image)
            _judge(tally, painted, output)
            if condition == "all":
                pixels.add(output.blemish_maps[:, 0], painted.mask[:, 0])
                kept.add(painted, _signed(output.images))
            done += 1
            if progress:
                progress(done, total)
        rows += tally.rows(condition)
    clean = _clean(pipe, faces, batch_size)
    if progress:
        progress(total, total)
    iou, threshold = pixels.best_iou()
    return RetouchEvaluation(
        len(faces),
        int(faces.images.shape[-1]),
        seed,
        tuple(rows),
        *kept.means(),
        float(clean.mean()),
        float(clean.min()),
        iou,
        threshold,
        pixels.average_precision(),
        pixels.chance(),
    )


def without_healer(pipe: Any) -> Any:
    """The pipeline's first two stages; itself where it has no third."""
    if getattr(pipe, "healer", None) is None:
        return pipe
    settings = {name: pipe.config[name] for name in ("working_size", "tile_size", "threshold")}
    return type(pipe)(retoucher=pipe.retoucher, inpainter=None, healer=None, **settings)


class _Kept:
    """Mean changes inside moles and inside blemish masks, over all pixels of all photos."""

    def __init__(self) -> None:
        self.sums = np.zeros(4)

    def add(self, painted: Painted, retouched: Tensor) -> None:
        inside = painted.mask >= IN_MASK
        moles = (painted.moles[:, None] >= IN_MASK) & (painted.mask == 0)
        for i, (first, second, mask) in enumerate(
            ((retouched, painted.image, moles), (painted.image, painted.target, inside))
        ):
            change = (first - second).abs().mean(1, keepdim=True) * 127.5
            self.sums[2 * i] += float((change * mask).sum())
            self.sums[2 * i + 1] += float(mask.sum())

    def means(self) -> tuple[float, float]:
        moles, mole_pixels, blemishes, blemish_pixels = self.sums
        return float(moles / max(mole_pixels, 1)), float(blemishes / max(blemish_pixels, 1))


def _retouch(pipe: Any, photos: Tensor) -> Any:
    return pipe((photos + 1) / 2, output_type="pt")


def _signed(images: Any) -> Tensor:
    return to_8_bits(images * 2 - 1).cpu()


def _judge(tally: _Tally, painted: Painted, output: Any) -> None:
    copy, target = painted.image.cpu(), painted.target.cpu()
    mask = painted.mask.cpu()
    before = {
        "copy_psnr": psnr(copy, target).clamp_max(PSNR_CAP),
        "copy_mask_psnr": masked_psnr(copy, target, mask),
        "copy_ssim": ssim(copy, target),
    }
    for stage, images in (("refined", output.images), ("coarse", output.coarse_images)):
        result = _signed(images)
        after = {
            "psnr": psnr(result, target).clamp_max(PSNR_CAP),
            "mask_psnr": masked_psnr(result, target, mask),
            "ssim": ssim(result, target),
        }
        tally.add(stage, before | after)


def _clean(pipe: Any, faces: FaceSet, batch_size: int) -> Tensor:
    """PSNR of each face to itself after retouching."""
    values = []
    for batch in faces.batches(batch_size):
        images = batch.pixels()
        retouched = _signed(_retouch(pipe, images).images)
        values.append(psnr(retouched, images.cpu()).clamp_max(PSNR_CAP))
    return torch.cat(values)
