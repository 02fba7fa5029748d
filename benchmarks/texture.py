"""Texture of restored skin against the true one: `python -m benchmarks.texture --faces FOLDER ...`.

Photos are made as for `frr evaluate --world real`, smoothed alone. Compared are the photo as it
came, the answers of the smoothing expert and what its diffusion draws beyond them: power spectra of
skin in half octaves from 1/16 to 1/2 cycle a pixel, Gram matrices of random features, PSNR, and
seconds. With --patches a folder gets shuffled patches for a blind look, and the key beside them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from frr import MoFRRPipeline, hub
from frr.models.mofrr.idem import IDEM
from frr.models.mofrr.texture_diffusion import BANDS, from_bands
from frr.pipelines.simulate.colour import luma, unit
from frr.pipelines.simulate.effects import FELT
from frr.pipelines.simulate.landmarks import FaceRegions
from frr.training.data.native_capture import NativeFaces, open_faces
from frr.training.judging.evaluate_native import decibels
from frr.training.judging.native_world import Photo, World, photos_of, saved

NAME = "smoothing"
SIDE, STRIDE = 32, 16  # of the patches, in pixels
EDGES = tuple(2.0 ** (k / 2) for k in range(-8, -1))
"""Bounds of the bands in cycles a pixel."""
SKIN = 0.95
WANTED = 1.5  # dB, of the mean distance over the bands of a photo
Rows = dict[str, list[dict[str, Any]]]


def patches(grey: Tensor, skin: Tensor) -> Tensor:
    """Patches of skin, n 32 32, of a grey photo 1 1 H W; none where there is too little skin."""
    cut = F.unfold(grey, SIDE, stride=STRIDE)[0].T.reshape(-1, SIDE, SIDE)
    share = F.unfold(skin, SIDE, stride=STRIDE)[0].mean(0)
    return cut[share > SKIN]


def power(cut: Tensor) -> Tensor:
    """Mean power of patches n 32 32 in each band, and in all of them: 7."""
    window = torch.hann_window(SIDE, periodic=False)
    flat = (cut - cut.mean((1, 2), keepdim=True)) * window * window[:, None]
    spectrum = torch.fft.fft2(flat).abs().square().mean(0)
    axis = torch.fft.fftfreq(SIDE)
    radius = (axis.square() + axis.square()[:, None]).sqrt()
    bands = [(radius >= low) & (radius < high) for low, high in pairwise(EDGES)]
    every = (radius >= EDGES[0]) & (radius <= EDGES[-1])
    return torch.stack([spectrum[band].mean() for band in (*bands, every)])


def gram(cut: Tensor) -> Tensor:
    """Gram matrix of random features of patches n 32 32 (Ustyuzhaninov et al., ICLR 2017)."""
    filters = torch.randn(48, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    filters = filters - filters.mean((2, 3), keepdim=True)
    found = F.relu(F.conv2d((cut - cut.mean((1, 2), keepdim=True))[:, None], filters))
    flat = found.transpose(0, 1).flatten(1)
    return flat @ flat.T / flat.shape[1]


def variants(
    pipe: Any, photo: Photo, steps: list[int], seed: int
) -> Iterator[tuple[str, Callable[[], Tensor]]]:
    """What is compared, by name: each restores the photo, 1 3 H W."""
    image, expert = photo.image, getattr(pipe, f"{NAME}_expert")
    place, routing = pipe.operations.index(NAME), pipe.route(image)
    view, told = routing.sight.view, routing.degrees[:, place]
    degree = image.new_tensor([photo.effects[NAME]])
    answer: Tensor = expert.answer(image, view, degree).residual
    gains = pipe.router.config.get("sample_gain") or [1.0] * len(pipe.operations)
    gain = gains[place]

    def drawn(count: int) -> Tensor:
        before = expert.config.diffusion_steps
        expert.register_to_config(diffusion_steps=count)
        try:
            made = expert.draw(image, answer, degree, [torch.Generator().manual_seed(seed)])
        finally:
            expert.register_to_config(diffusion_steps=before)
        return image + answer + made

    def of_scale_alone() -> Tensor:
        even = (..., slice(image.shape[-2] // 2 * 2), slice(image.shape[-1] // 2 * 2))
        condition = expert.diffusion.prepare(image[even], answer[even], degree)
        generator = torch.Generator().manual_seed(seed)
        shape = 1, BANDS, image.shape[-2] // 2, image.shape[-1] // 2
        made = from_bands(torch.randn(shape, generator=generator) * condition.scale)
        odd = (0, image.shape[-1] % 2, 0, image.shape[-2] % 2)
        return image + answer + F.pad(made, odd)

    yield "as it came", lambda: image
    yield "image", lambda: image + expert.answer(image, view, told).residual
    yield "answer, degree told", lambda: image + answer
    yield "answer, sample_gain", lambda: image + gain * answer
    if expert.diffusion is not None:
        yield "noise of that scale", of_scale_alone
        for count in steps:
            yield f"drawn, {count} steps", lambda count=count: drawn(count)

        def without_idem() -> Tensor:
            with patch.object(IDEM, "forward", lambda self, degree, low, noisy: noisy * 0):
                return drawn(steps[0])

        yield f"drawn, {steps[0]} steps, without IDEM", without_idem


@torch.no_grad()
def measure(
    pipe: Any, faces: NativeFaces, world: World, limit: int, steps: list[int]
) -> tuple[Rows, list[dict[str, Tensor]]]:
    """What is measured of each variant on each photo; and for a look, luma patches of some."""
    rows, shown = defaultdict(list), []
    for split in world.splits:
        for number, (face, side) in enumerate(world.shown(faces, limit)):
            for photo in photos_of(face, side, split, world, (NAME,)):
                if photo.condition == NAME and photo.effects[NAME] >= FELT[NAME]:
                    _measure_one(rows, shown, pipe, photo, split, steps, number)
    return rows, shown


def _measure_one(
    rows: Rows,
    shown: list[dict[str, Tensor]],
    pipe: Any,
    photo: Photo,
    split: str,
    steps: list[int],
    number: int,
) -> None:
    assert photo.points is not None
    height, width = photo.image.shape[-2:]
    skin = FaceRegions(photo.points, height, width).skin.clamp(0, 1)
    true = patches(luma(unit(photo.target)), skin)
    if len(true) < 8:
        return
    spectrum, features, kept = power(true), gram(true), {"truth": photo.target}
    for name, restore in variants(pipe, photo, steps, number):
        begun = time.thread_time()
        image = saved(restore())
        seconds = time.thread_time() - begun
        cut = patches(luma(unit(image)), skin)
        apart = 10 * torch.log10(power(cut) / spectrum)
        rows[name].append(
            {
                "split": split,
                "side": width,
                "spectrum": apart.tolist(),
                "gram": float((gram(cut) - features).norm() / features.norm()),
                "psnr": decibels(image, photo.target),
                "seconds": seconds / (height * width) * 1e6,
            }
        )
        kept[name] = image
    at = _patch(skin, number)
    shown.append({name: image[at] for name, image in kept.items()})


def _patch(skin: Tensor, seed: int, side: int = 64) -> tuple:
    """Where a patch lies that is all skin, or nearly so."""
    share = F.avg_pool2d(skin, side, 8)[0, 0]
    good = (share >= min(SKIN, float(share.max()))).nonzero()
    top, left = (8 * good[np.random.default_rng(seed).integers(len(good))]).tolist()
    return (0, slice(None), slice(top, top + side), slice(left, left + side))


def as_markdown(rows: Rows, split: str) -> str:
    """A table: a row for each variant, columns for the bands; means over photos."""
    titles = [f"{low:.3f}" for low in EDGES[:-1]]
    lines = [
        "| | " + " | ".join(titles) + " | all | within 1.5 dB | Gram | PSNR | s / MP |",
        "|---|" + "---:|" * (len(titles) + 5),
    ]
    for name, values in rows.items():
        mine = [each for each in values if split in ("", each["split"])]
        apart = np.array([each["spectrum"] for each in mine])
        inside = (np.abs(apart[:, :-1]).mean(1) <= WANTED).mean()
        cells = [f"{value:+.1f}" for value in apart.mean(0)]
        means = [np.mean([each[field] for each in mine]) for field in ("gram", "psnr", "seconds")]
        cells += [f"{inside:.0%}", f"{means[0]:.2f}", f"{means[1]:.2f}", f"{means[2]:.2f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_patches(shown: list[dict[str, Tensor]], name: str, folder: Path, count: int) -> None:
    """Pairs of patches, the truth and a variant, in random order, four times as large; the key."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, key = np.random.default_rng(len(shown)), {}
    for number in range(min(count, len(shown))):
        pair = [shown[number]["truth"], shown[number][name]]
        first = int(rng.integers(2))
        both = torch.cat([pair[first], torch.ones(3, 64, 4), pair[1 - first]], dim=2)
        pixels = ((both.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        picture = Image.fromarray(pixels)
        picture.resize((picture.width * 4, picture.height * 4), Image.Resampling.NEAREST).save(
            folder / f"pair_{number:02}.png"
        )
        key[number] = "left" if first == 0 else "right"
    (folder / "key.json").write_text(json.dumps(key, indent=1))


def main() -> None:
    """Measures, and prints the tables."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--source", action="append", default=[])
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--model", default=str(hub.folder()))
    parser.add_argument("--expert", type=Path, help="a smoothing expert in its place")
    parser.add_argument("--limit", type=int, default=20)
    parser.add_argument("--sides", default="420,512,700,1000")
    parser.add_argument("--steps", default="2,4,10")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patches", type=Path)
    parser.add_argument("--look-at", default="drawn, 2 steps")
    given = parser.parse_args()
    pipe = MoFRRPipeline.from_pretrained(given.model)
    if given.expert:
        expert = type(pipe.smoothing_expert).from_pretrained(given.expert)
        pipe.register_modules(smoothing_expert=expert.eval())
    world = World(given.seed, sides=tuple(int(side) for side in given.sides.split(",")))
    faces = open_faces(given.faces, given.source, given.without)
    steps = [int(count) for count in given.steps.split(",")]
    rows, shown = measure(pipe, faces, world, given.limit, steps)
    for split in ("seen", "unseen", ""):
        count = sum(split in ("", each["split"]) for each in rows["as it came"])
        if count:
            print(f"\n{split or 'both'}, {count} photos\n\n{as_markdown(rows, split)}")
    if given.patches:
        write_patches(shown, given.look_at, given.patches, 20)


if __name__ == "__main__":
    main()
