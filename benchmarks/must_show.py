"""The claims about speed, each a ratio of two things measured in the same run."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from . import haar
from .floor import Floor, record
from .sparse import memory_in_fresh_process
from .timing import Clock, take_turns
from .workloads import PaperWay, forced, make_pipeline, photos, restoring

PAIR = ("whitening", "face_slimming")
EQUAL = 0.1  # dB
LINEAR = 1.1  # a slope up to it counts as linear; quadratic cost has 2
GIGABYTE = 10**9


class Claim(NamedTuple):
    """One line of the answer; `measured` None where it was left out, and `note` says why."""

    name: str
    measured: float | None
    wanted: str
    met: bool | None
    note: str = ""

    def line(self) -> str:
        """The claim as a line of text."""
        verdict = {True: "met", False: "MISSED", None: "-"}[self.met]
        value = "left out" if self.measured is None else f"{self.measured:.3g}"
        note = f"  ({self.note})" if self.note else ""
        return f"{verdict:7s}{self.name}: {value}, wanted {self.wanted}{note}"


def at_least(name: str, measured: float, limit: float, note: str = "", unit: str = "") -> Claim:
    """A claim that `measured` is no less than a limit."""
    return Claim(name, measured, f">= {limit:g}{unit}", measured >= limit, note)


def at_most(name: str, measured: float, limit: float, note: str = "", unit: str = "") -> Claim:
    """A claim that `measured` is no more than a limit."""
    return Claim(name, measured, f"<= {limit:g}{unit}", measured <= limit, note)


def left_out(name: str, wanted: str, why: str) -> Claim:
    """A claim that this run cannot judge."""
    return Claim(name, None, wanted, None, why)


def against_the_paper(pipe: Any, size: int, repeats: int, clock: Clock) -> list[Claim]:
    """How many times faster than the paper's way, two operations given, one photo."""
    image = photos(size, 1, pipe._execution_device)
    dense, sparse = PaperWay(pipe), PaperWay(pipe, dense=False)
    jobs: dict[str, Callable[[], Any]] = {
        "ours": restoring(pipe, image, PAIR),
        "dense": lambda: dense(image, PAIR),
        "sparse": lambda: sparse(image, PAIR),
    }
    jobs["ours"]()
    seconds = take_turns(jobs, repeats, clock, warm_up=0)
    note = (
        f"{seconds['ours']:.3f} s against {seconds['dense']:.3f} s; "
        f"{seconds['sparse'] / seconds['ours']:.1f} times with the two active experts alone"
    )
    ratio = seconds["dense"] / seconds["ours"]
    return [at_least(f"times the paper's way's speed at {size} px", ratio, 8, note)]


def quality_against_the_paper(pipe: Any, folder: Path | None, size: int, limit: int) -> list[Claim]:
    """PSNR against the paper's way's, on faces retouched with the two operations."""
    name, wanted = f"dB of PSNR below the paper's way at {size} px", f"<= {EQUAL:g} dB"
    if folder is None:
        return [left_out(name, wanted, "no faces: pass --faces FOLDER")]
    ours, theirs, before = mean_psnr(pipe, folder, size, limit)
    note = f"{limit} faces; {before:.2f} dB as they came, {ours:.2f} ours, {theirs:.2f} the paper's"
    return [at_most(name, theirs - ours, EQUAL, note, " dB")]


def mean_psnr(pipe: Any, folder: Path, size: int, limit: int) -> tuple[float, float, float]:
    """Mean PSNR in dB of our restorations, of the paper's way's, and of the photos as they came."""
    from frr.pipelines.photos.quality import psnr
    from frr.pipelines.simulate.recipe import sample_recipe
    from frr.pipelines.simulate.simulator import retouch
    from frr.training.data.faces import load_faces

    faces, paper = load_faces(folder, size, limit), PaperWay(pipe)
    scores = []
    for index in range(len(faces)):
        face = faces.select([index])
        recipe = sample_recipe(np.random.default_rng(index), PAIR, split="seen")
        signed = retouch(face.pixels(), [recipe], face.landmarks).image
        image = ((signed + 1) * 127.5).round().clamp(0, 255) / 255
        image = image.to(pipe._execution_device)
        answers = restoring(pipe, image, PAIR)(), paper(image, PAIR), image
        scores.append([float(psnr(x.cpu() * 2 - 1, face.pixels())) for x in answers])
    ours, theirs, before = np.mean(scores, axis=0)
    return float(ours), float(theirs), float(before)


def over_the_floor(preset: str, pipe: Any, size: int, repeats: int, clock: Clock) -> list[Claim]:
    """What a call takes beyond its convolutions, products and attention, in percent."""
    work = restoring(pipe, photos(size, 1, pipe._execution_device), PAIR)
    floor = Floor(record(work))
    seconds = take_turns({"call": work, "floor": floor}, repeats, clock)
    overhead = 100 * (seconds["call"] / seconds["floor"] - 1)
    note = f"{seconds['call'] * 1e3:.0f} ms, floor {seconds['floor'] * 1e3:.0f} ms"
    return [at_most(f"overhead over the floor at {size} px, {preset}", overhead, 10, note, " %")]


def sparse_routing(pipe: Any, size: int, repeats: int, clock: Clock) -> list[Claim]:
    """One expert against four; an untouched photo against its routing alone."""
    image = photos(size, 1, pipe._execution_device)
    active: dict[str, Callable[[], Any]] = {
        "one": restoring(pipe, image, forced(pipe, 1)),
        "four": restoring(pipe, image, forced(pipe, 4)),
    }
    seconds = take_turns(active, 3 * repeats, clock)
    idle: dict[str, Callable[[], Any]] = {
        "untouched": restoring(pipe, image, ()),
        "routing": lambda: routed(pipe, image),
    }  # apart from the others, after which caches are cold
    seconds |= take_turns(idle, 15 * repeats, clock)
    share = 100 * seconds["one"] / seconds["four"]
    more = 100 * (seconds["untouched"] / seconds["routing"] - 1)
    return [
        at_most(
            f"one operation as a share of four at {size} px",
            share,
            45,
            f"{seconds['one'] * 1e3:.0f} of {seconds['four'] * 1e3:.0f} ms, the costliest expert",
            " %",
        ),
        at_most(
            f"an untouched photo beyond its routing at {size} px",
            more,
            5,
            f"{seconds['untouched'] * 1e3:.1f} ms; {seconds['routing'] * 1e3:.1f} ms from the "
            "photo's check to the router's verdict",
            " %",
        ),
    ]


def routed(pipe: Any, image: Tensor) -> Any:
    """The router's verdict on photos as a caller passes them: read, checked, reduced, judged."""
    from frr.pipelines.photos.arrays import read_photos, to_signed

    pixels = torch.stack([photo.pixels for photo in read_photos(image)])
    return pipe.route(to_signed(pixels))


def slope(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """The slope of log time against log pixels, by least squares: 1 is linear."""
    pixels = [2 * math.log(size) for size in sizes]
    return float(np.polyfit(pixels, np.log(seconds), 1)[0])


def growth(
    pipe: Any, sizes: Sequence[int], repeats: int, clock: Clock, native: bool
) -> list[Claim]:
    """How the cost of two operations grows with the photo."""
    options: dict[str, Any] = {"working_size": None} if native else {}
    jobs = {
        str(size): restoring(pipe, photos(size, 1, pipe._execution_device), PAIR, **options)
        for size in sizes
    }
    seconds = take_turns(jobs, repeats, clock)
    times = ", ".join(f"{size} px {seconds[size]:.3f} s" for size in jobs)
    how = "worked on at full size" if native else "as the pipeline does it"
    exponent = slope(sizes, [seconds[str(size)] for size in sizes])
    name = f"slope of log time against log pixels, {how}"
    return [at_most(name, exponent, LINEAR, times)]


def memory(size: int) -> list[Claim]:
    """What a photo needs beyond the weights, all operations on, in a fresh process."""
    needed = memory_in_fresh_process(["--size", str(size)], 4)
    note = "" if needed.exact else "a lower bound: the mark cannot be set back here"
    claim = at_most(f"GB beyond the weights at {size} px", needed.activations / GIGABYTE, 2, note)
    return [claim if needed.exact or not claim.met else claim._replace(met=None)]


def wavelets(repeats: int, clock: Clock) -> list[Claim]:
    """Haar forward and inverse against pytorch_wavelets."""
    claims = []
    for shape in haar.SHAPES:
        name = f"times pytorch_wavelets' speed at {'x'.join(map(str, shape))}"
        if haar.library() is None:
            claims.append(left_out(name, ">= 4", "pytorch_wavelets is not installed"))
            continue
        seconds = haar.seconds(shape, repeats, clock)
        ours, theirs = seconds["slices"], seconds["pytorch_wavelets"]
        note = f"{ours * 1e3:.2f} against {theirs * 1e3:.2f} ms"
        claims.append(at_least(name, theirs / ours, 4, note))
    return claims


def all_claims(
    clock: Clock,
    device: torch.device,
    *,
    quick: bool,
    repeats: int,
    faces: Path | None,
    limit: int,
    presets: Collection[str],
    say: Callable[[str], None],
) -> list[Claim]:
    """Every claim, said as soon as it is measured."""
    pipe = make_pipeline("tiny", device)
    few = max(1, repeats // 3)
    jobs: list[Callable[[], list[Claim]]] = [
        lambda: against_the_paper(pipe, 512, few, clock),
        lambda: against_the_paper(pipe, 1024, 1 if quick else few, clock),
        lambda: quality_against_the_paper(pipe, faces, 512, limit),
        lambda: over_the_floor("tiny", pipe, 512, repeats, clock),
        lambda: sparse_routing(pipe, 512, repeats, clock),
        lambda: growth(pipe, (256, 512, 1024, 2048), few, clock, native=False),
        lambda: growth(pipe, (256, 512, 1024), 1, clock, native=True),
        lambda: memory(2048),
    ]
    if not quick:
        jobs.insert(3, lambda: quality_against_the_paper(pipe, faces, 1024, max(1, limit // 4)))
    if "base" in presets:
        jobs.insert(
            4,
            lambda: over_the_floor("base", make_pipeline("base", device), 512, few, clock),
        )
    if device.type == "cpu":
        jobs.append(lambda: wavelets(10 * repeats, clock))
    claims = []
    for job in jobs:
        for claim in job():
            say(claim.line())
            claims.append(claim)
    return claims
