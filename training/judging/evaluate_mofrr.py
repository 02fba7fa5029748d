"""Evaluation: how near restored faces come to the originals, beside doing nothing.

Faces are retouched by the simulator with algorithms seen in training and with held-out ones (an
unknown vendor), restored, and compared with the originals. Copy-input, the score of doing nothing,
stands in every row: a baseline of the paper falls below it on some operations (MoFRR, tables).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..data.faces import FaceSet, to_signed
from .conditions import Condition, conditions_of, face_seed, recipe_for, retouched_faces
from .identity import DriftMeter, FaceEmbedder
from .metrics import accuracy, balanced_accuracy, psnr, roc_auc, ssim
from .report_mofrr import Evaluation, RestorationRow, RouterRow
from .thresholds import RouterScores, join_scores

PSNR_CAP = 100.0
"""Stands in, in averages, for the infinite PSNR in dB of photos that are equal to the bit."""

Routing = Literal["given", "router"]
Progress = Callable[[int, int], None]


class _Settings(NamedTuple):
    """What stays the same over all conditions of a run."""

    pipe: Any
    seed: int
    batch_size: int
    routing: Routing
    steps: int | None
    meter: DriftMeter | None
    tick: Callable[[int], None]


def evaluate(
    pipe: Any,
    faces: FaceSet,
    *,
    seed: int = 0,
    batch_size: int = 8,
    routing: Routing = "given",
    splits: Sequence[str] = ("seen", "unseen"),
    steps: int | None = None,
    exported: bool = False,
    embedder: FaceEmbedder | None = None,
    persons: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Retouch, restore and judge every face under every condition.

    For each split: each operation by itself, mixed (2 or more operations, how many and which drawn
    evenly, in random order) and untouched. Recipes and noise hang on the seed and each face's name
    only, so that runs with other weights, steps or batch sizes see the same photos. Photos are
    rounded to 8 bits, as files are. Averages count a PSNR above 100 dB, infinite for photos equal
    to the bit, as 100.

    Args:
        pipe: a MoFRRPipeline.
        faces: the original faces.
        seed: fixes recipes and noise.
        batch_size: photos at a time.
        routing: "given" forces the operations that were applied (their degrees are estimated);
            "router" leaves all to the router and judges it too.
        splits: which algorithms, "seen", "unseen" or "all".
        steps: denoising steps; None is the pipeline's default.
        exported: also evaluate each split on the same photos saved with loss (JPEG 85 to 95, and
            reduced to 0.75 to 1 of their size and back).
        embedder: measures identity distances when given.
        persons: file name -> who it shows, for the same-person baseline; None takes each file
            for another person.
        progress: called with photos done and photos in all, after every batch.

    Raises:
        ValueError: for an unknown routing, or "router" on a pipeline without one.
    """
    if routing not in ("given", "router"):
        raise ValueError(f"routing must be 'given' or 'router', got {routing!r}.")
    if routing == "router" and pipe.router is None:
        raise ValueError("The pipeline has no router: evaluate it with routing='given'.")
    plan = [
        conditions_of(split, lossy, pipe.operations)
        for split in splits
        for lossy in ((False, True) if exported else (False,))
    ]
    tick = _ticker(sum(map(len, plan)) * len(faces), progress)
    meter = None if embedder is None else DriftMeter(embedder, faces.images)
    settings = _Settings(pipe, seed, batch_size, routing, steps, meter, tick)

    restoration: list[RestorationRow] = []
    router: list[RouterRow] = []
    for conditions in plan:
        verdicts = []
        for condition in conditions:
            photos = list(_restore(settings, faces, condition))
            restoration.append(_restoration_row(condition, photos))
            verdicts += [photo.verdict for photo in photos]
        if routing == "router":
            router += _router_rows(conditions[0], join_scores(verdicts), pipe)

    names = [(persons or {}).get(name, name) for name in faces.names]
    return Evaluation(
        routing=routing,
        faces=len(faces),
        size=int(faces.images.shape[-1]),
        seed=seed,
        steps=steps,
        restoration=tuple(restoration),
        router=tuple(router),
        baseline=None if meter is None else meter.baseline(names),
    )


class _Photo(NamedTuple):
    """What came of one photo: PSNR and SSIM before and after, identity drift, and the routing."""

    copy_psnr: float  # at most PSNR_CAP, as restored_psnr
    restored_psnr: float
    copy_ssim: float
    restored_ssim: float
    unchanged: bool
    drift_retouched: float | None
    drift_restored: float | None
    verdict: RouterScores  # of one photo; degrees NaN where no expert ran


def _restore(settings: _Settings, faces: FaceSet, condition: Condition) -> Iterator[_Photo]:
    """Retouch, restore and judge every face; given operations go together in batches."""
    operations = settings.pipe.operations
    recipes = [recipe_for(condition, name, settings.seed, operations) for name in faces.names]
    groups: dict[tuple[str, ...] | None, list[int]] = defaultdict(list)
    for index, recipe in enumerate(recipes):
        given = tuple(sorted(step.operation for step in recipe.steps))
        groups[given if settings.routing == "given" else None].append(index)

    for given, members in groups.items():
        for start in range(0, len(members), settings.batch_size):
            indices = members[start : start + settings.batch_size]
            batch = faces.select(indices)
            photos = retouched_faces(batch, [recipes[i] for i in indices]).cpu()
            output = _run(settings, batch.names, photos, given)
            truth = np.array([recipes[i].degrees(operations) for i in indices], dtype=np.float64)
            yield from _judge(settings, indices, batch, photos, output, truth)
            settings.tick(len(indices))


def _run(
    settings: _Settings, names: Sequence[str], photos: Tensor, given: tuple[str, ...] | None
) -> Any:
    """The pipeline's output for a batch of uint8 photos; `given` None leaves it to the router."""
    seeds = [face_seed(settings.seed, "noise", name) for name in names]
    options: dict[str, Any] = (
        {} if settings.steps is None else {"num_inference_steps": settings.steps}
    )
    if given is not None:
        options["operations"] = {name: name in given for name in settings.pipe.operations}
    return settings.pipe(
        photos.to(torch.float32) / 255,
        generator=[torch.Generator().manual_seed(each) for each in seeds],
        output_type="pt",
        **options,
    )


def _judge(
    settings: _Settings,
    indices: Sequence[int],
    faces: FaceSet,
    photos: Tensor,
    output: Any,
    truth: np.ndarray,
) -> Iterator[_Photo]:
    """Compare a batch with its originals: photos B 3 S S uint8, output.images in [0, 1]."""
    originals, before = faces.pixels().cpu(), to_signed(photos)
    restored = output.images.detach().cpu()
    after = restored.float() * 2 - 1
    decibels = (
        psnr(before, originals).clamp(max=PSNR_CAP),
        psnr(after, originals).clamp(max=PSNR_CAP),
    )
    similarity = ssim(before, originals), ssim(after, originals)
    unchanged = (restored == photos.to(torch.float32) / 255).flatten(1).all(1)
    degrees = torch.where(output.active, output.degrees.double(), torch.nan)

    for row, index in enumerate(indices):
        levels = (restored[row] * 255).round().to(torch.uint8)
        verdict = RouterScores(
            output.routing[row, None].double().cpu().numpy(),
            degrees[row, None].cpu().numpy(),
            truth[row, None],
        )
        yield _Photo(
            copy_psnr=float(decibels[0][row]),
            restored_psnr=float(decibels[1][row]),
            copy_ssim=float(similarity[0][row]),
            restored_ssim=float(similarity[1][row]),
            unchanged=bool(unchanged[row]),
            drift_retouched=settings.meter and settings.meter.drift(index, photos[row]),
            drift_restored=settings.meter and settings.meter.drift(index, levels),
            verdict=verdict,
        )


def _restoration_row(condition: Condition, photos: Sequence[_Photo]) -> RestorationRow:
    """Means over the photos of one condition."""

    def mean(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.mean(known)) if known else None

    return RestorationRow(
        split=condition.split,
        condition=condition.kind,
        exported=condition.exported,
        photos=len(photos),
        copy_psnr=float(np.mean([photo.copy_psnr for photo in photos])),
        restored_psnr=float(np.mean([photo.restored_psnr for photo in photos])),
        copy_ssim=float(np.mean([photo.copy_ssim for photo in photos])),
        restored_ssim=float(np.mean([photo.restored_ssim for photo in photos])),
        improved=float(np.mean([photo.restored_psnr > photo.copy_psnr for photo in photos])),
        unchanged=float(np.mean([photo.unchanged for photo in photos])),
        identity_retouched=mean([photo.drift_retouched for photo in photos]),
        identity_restored=mean([photo.drift_restored for photo in photos]),
        identity_photos=sum(photo.drift_restored is not None for photo in photos),
    )


def _router_rows(condition: Condition, scores: RouterScores, pipe: Any) -> Iterator[RouterRow]:
    """How the router did on each operation, over all photos of a split."""
    thresholds = np.asarray(pipe.router.config.thresholds, dtype=np.float32)
    found = scores.probabilities.astype(np.float32) >= thresholds
    for index, operation in enumerate(pipe.operations):
        present = scores.present[:, index]
        errors = np.abs(scores.degrees - scores.true_degrees)[present, index]
        errors = errors[np.isfinite(errors)]
        yield RouterRow(
            split=condition.split,
            operation=operation,
            exported=condition.exported,
            photos=len(present),
            threshold=float(thresholds[index]),
            auc=roc_auc(scores.probabilities[:, index], present),
            accuracy=accuracy(found[:, index], present),
            balanced_accuracy=balanced_accuracy(found[:, index], present),
            false_alarms=float(found[scores.untouched, index].mean()),
            degree_error=float(errors.mean()) if errors.size else None,
        )


def _ticker(total: int, progress: Progress | None) -> Callable[[int], None]:
    """Counts photos and hands the count on."""
    done = 0

    def tick(photos: int) -> None:
        nonlocal done
        done += photos
        if progress is not None:
            progress(done, total)

    return tick
