"""Candidates judged: whether samples of a restoration differ as the truth may.

For each operation alone one quantity is asked for: how much lighter skin became, how much texture
was lost, how far jaw or eyes were moved. An expert's answers to told degrees say which quantity
each degree would undo, so that every distribution of degrees is one of the quantity.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...models.mofrr.contract import DirectAnswer
from ...pipelines.mofrr.direct import draws_texture
from ...pipelines.photos.arrays import to_unit
from ...pipelines.simulate import eyes, slimming
from ...pipelines.simulate.colour import luma, rgb_to_lab, unit
from ...pipelines.simulate.effects import FELT, STRONG
from ...pipelines.simulate.filters import reduce
from ...pipelines.simulate.landmarks import FaceRegions
from ..data.native_capture import NativeFaces
from ..writing import write_text
from .conditions import face_seed
from .evaluate_native import Judge, decibels
from .native_world import Photo, Progress, World, photos_of_all

Floats = NDArray[np.float64]
TOLD = (0.03125, 0.125, 0.25, 0.5, 0.75, 1.0)
"""The degrees that experts are told; between them answers are interpolated."""
UNITS = {
    "whitening": "skin L*",
    "smoothing": "skin texture, dB",
    "face_slimming": "jaw, %",
    "eye_enlarging": "eyes, %",
}
COARSE = 64
LISTS = "logits", "answers", "candidates", "doubled"


@dataclass(frozen=True)
class JudgedCandidates:
    """One photo with one operation, and what is believed and known of it.

    Attributes:
        operation: the one that was applied, and that is undone.
        split: "seen" or "unseen" algorithms.
        face: name of the file it was made from.
        side: of the photo in pixels.
        effect: how strong it was, 0 .. 1.
        found: whether the router finds it.
        logits: the router's, over degree levels.
        truth: the quantity (see `UNITS`).
        point: the quantity that the main image undoes.
        answers: the quantity that would be undone at each of the degrees `TOLD`.
        decibels: PSNR of the "photo" and of the "main" image.
        candidates: PSNR of each candidate.
        error: root mean square error of the main image in levels of 8 bits.
        spread: likewise what the samples say it is, before `spread_scale`.
        doubled: `answers` with edits of twice the strength; empty where they are twice as much.
        textured: whether the expert draws texture beyond its answers, which counts in `answers`.
    """

    operation: str
    split: str
    face: str
    side: int
    effect: float
    found: bool
    logits: tuple[float, ...]
    truth: float
    point: float
    answers: tuple[float, ...]
    decibels: dict[str, float]
    candidates: tuple[float, ...]
    error: float
    spread: float
    doubled: tuple[float, ...] = ()
    textured: bool = False

    def undone(self, gain: float) -> Floats:
        """`answers` with edits of `gain` times the strength.

        Light and motion grow as the edit does; the energy of texture is a quadratic of it, which
        follows from the answers at once and twice the strength.
        """
        answers: Floats = np.array(self.answers, dtype=np.float64)
        if gain == 1 or not self.doubled:
            return gain * answers
        once, twice = (10 ** (np.array(each) / 10) - 1 for each in (self.answers, self.doubled))
        square = (twice - 2 * once) / 2
        energy = 1 + gain * (once - square) + gain**2 * square
        levels: Floats = np.log10(np.maximum(energy, 1e-3))
        return 10 * levels


class Quantity:
    """Measures on one photo how much of an operation there is, or is undone.

    Args:
        operation: its name, among `UNITS`.
        photo: the photo, with its points.
    """

    def __init__(self, operation: str, photo: Photo) -> None:
        self.operation, self.photo = operation, photo
        assert photo.points is not None
        height, width = photo.image.shape[-2:]
        self.face = FaceRegions(photo.points, height, width)

    def true(self) -> float:
        """What was done."""
        if self.operation in ("whitening", "smoothing"):
            return self.between(self.photo.target)
        return self.photo.effects[self.operation] * STRONG[self.operation] * 100

    def undone(self, answer: DirectAnswer, times: float = 1) -> float:
        """What an expert's answer, times a factor, would undo."""
        if answer.flow is None:
            assert answer.residual is not None
            change = times * answer.residual.cpu()
            return self.between((self.photo.image + change).clamp(-1, 1))
        measure = eyes.effect if self.operation == "eye_enlarging" else slimming.effect
        flow = -answer.flow.float().cpu() * COARSE / 1000
        assert self.photo.points is not None
        return float(measure(flow, self.photo.points, COARSE, COARSE)) * 100

    def between(self, restored: Tensor) -> float:
        """What lies between a restored photo 1 3 H W and the photo: L* units, or dB of texture."""
        if self.operation == "whitening":
            return self._lightness(self.photo.image) - self._lightness(restored)
        return self._texture(restored) - self._texture(self.photo.image)

    def _lightness(self, image: Tensor) -> float:
        step = max(1, image.shape[-1] // 128)
        lightness = rgb_to_lab(unit(reduce(image, step)))[:, :1]
        return _mean(lightness, reduce(self.face.skin, step))

    def _texture(self, image: Tensor) -> float:
        grey = luma(unit(image))
        detail = grey - torch.nn.functional.avg_pool2d(grey, 3, 1, 1, count_include_pad=False)
        return 10 * float(np.log10(max(_mean(detail.square(), self.face.skin), 1e-9)))


def _mean(values: Tensor, weights: Tensor) -> float:
    return float((values * weights).sum() / weights.sum().clamp_min(1e-6))


@torch.no_grad()
def judge_candidates(
    pipe: Any,
    faces: NativeFaces,
    world: World | None = None,
    *,
    count: int = 5,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Iterator[JudgedCandidates]:
    """Judges a pipeline's candidates on every face, for every split and operation.

    Args:
        pipe: a MoFRRPipeline with a router and experts that answer at once.
        faces: whom the photos show; people that training has not seen.
        world: how photos are made.
        count: candidates of each photo.
        limit: how many faces at most, spread evenly.
        progress: called with faces done and faces in all.

    Raises:
        ValueError: the pipeline is of another kind.
    """
    world = world or World()
    judge = Judge(pipe)
    names = [name for name in judge.operations if name in UNITS]
    for split, face, photo in photos_of_all(faces, world, judge.operations, limit, progress):
        name = photo.condition
        if name in names and photo.effects[name] >= FELT[name]:
            yield _judged(judge, photo, face, split, count)


def _judged(judge: Judge, photo: Photo, face: str, split: str, count: int) -> JudgedCandidates:
    pipe, name = judge.pipe, photo.condition
    place = judge.operations.index(name)
    image = photo.image.to(pipe.device)
    routing = pipe.route(image)
    assert routing.sight is not None
    view, expert = routing.sight.view, getattr(pipe, f"{name}_expert")
    logits = pipe.router.judge(view).degree_logits[0, place].float().log_softmax(-1)
    quantity, textured = Quantity(name, photo), draws_texture(expert)
    seed = face_seed(0, split, face, name)

    def undone(degree: float, times: float = 1, drawing: bool = textured) -> float:
        told = image.new_tensor([degree])
        answer = expert.answer(image, view, told)
        if drawing:
            noise = [torch.Generator().manual_seed(seed)]
            drawn = expert.draw(image, answer.residual, told, noise)
            answer = answer._replace(residual=answer.residual + drawn)
        return round(quantity.undone(answer, times), 4)

    output = pipe(
        to_unit(image),
        operations={name},
        num_samples=count,
        generator=torch.Generator().manual_seed(seed),
        output_type="pt",
    )
    target = photo.target.to(image)
    main = output.images * 2 - 1
    found = [decibels(each.image[None] * 2 - 1, target) for each in output.candidates[0]]
    scales = pipe.router.config.get("spread_scale") or [1.0] * len(judge.operations)
    return JudgedCandidates(
        operation=name,
        split=split,
        face=face,
        side=photo.image.shape[-1],
        effect=round(photo.effects[name], 4),
        found=bool(routing.active[0, place]),
        logits=tuple(round(value, 4) for value in logits.tolist()),
        truth=round(quantity.true(), 4),
        point=undone(float(routing.degrees[0, place]), drawing=False),
        answers=tuple(map(undone, TOLD)),
        doubled=tuple(undone(z, 2) for z in TOLD) if name == "smoothing" and not textured else (),
        decibels={"photo": decibels(image, target), "main": decibels(main, target)},
        candidates=tuple(found),
        error=round(float((main - target).square().mean().sqrt()) * 127.5, 4),
        spread=round(float(output.uncertainty.square().mean().sqrt()) * 255 / scales[place], 4),
        textured=textured,
    )


def write_candidates(rows: Iterable[JudgedCandidates], path: Path) -> None:
    """One line of JSON for each photo."""
    write_text(path, "".join(json.dumps(asdict(row)) + "\n" for row in rows))


def read_candidates(path: Path) -> list[JudgedCandidates]:
    """What `write_candidates` wrote.

    Raises:
        ValueError: a line is no such photo, or there is none.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            values = json.loads(line)
            lists = {n: tuple(values.get(n, ())) for n in LISTS}
            rows.append(JudgedCandidates(**{**values, **lists}))
        except (json.JSONDecodeError, TypeError, KeyError) as error:
            raise ValueError(f"{path}, line {number}, holds no candidates: {error}") from error
    if not rows:
        raise ValueError(f"{path} holds no photo: evaluate a model with --candidates first")
    return rows
