"""`frr simulate`: retouch photos of faces, and keep the recipe of what was done."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options
from .photos import FORMATS, Job, Problems, find, open_photo, own_files, plan, save_photo
from .results import Results

if TYPE_CHECKING:
    from torch import Tensor

    from ..pipelines.simulate.recipe import Recipe

SPLITS = ("seen", "unseen", "all")


@click.command(short_help="Retouch photos by recipes.")
@options.photos
@options.output
@click.option("--operations", metavar="A,B", help="Which to apply. [default: the four]")
@click.option("--degree", "degrees", multiple=True, metavar="NAME=0..1", help="[default: drawn]")
@click.option("--algorithm", "algorithms", multiple=True, metavar="NAME=ALGORITHM")
@click.option("--split", type=click.Choice(SPLITS), default="all", show_default=True)
@click.option("--lossy", type=click.FloatRange(0, 1), default=0.0, help="Chance of JPEG, resizing.")
@click.option("--recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--landmarks", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--sheet", is_flag=True, help="Write contact sheets of the algorithms instead.")
@options.seed
@click.option("--format", "suffix", type=click.Choice(FORMATS), default="png", show_default=True)
@options.overwrite
@options.resume
def simulate(
    paths: Sequence[Path],
    folder: Path,
    landmarks: Path | None,
    sheet: bool,
    suffix: str,
    overwrite: bool,
    resume: bool,
    **wishes: Any,
) -> None:
    """Retouch PHOTOs, aligned face crops, and write the results and their recipes to a folder.

    Algorithms (from the --split), degrees and order are drawn, from the seed and the file's name,
    unless given; --recipe repeats a recipe file. The face is where aligned crops have it, or where
    --landmarks says: an .npz of `names` and `points` (478 mesh points in pixels of each file).
    """
    problems = Problems()
    chosen = Wishes.of(**wishes)
    points = Landmarks(landmarks)
    photos = find(paths, problems)
    files = chosen.sheets if sheet else own_files
    jobs = plan(photos, folder, suffix, files)
    inputs = (*photos, landmarks, wishes["recipe"])
    results = Results(folder, inputs, overwrite=overwrite, resume=resume)
    write = write_sheets if sheet else write_retouched
    with click.progressbar(jobs, label="Retouching", file=sys.stderr) as bar:
        for job in bar:
            with problems.of(job.photo):
                if not (resume and results.has(*files(job))):
                    results.check(*files(job))
                    write(job, chosen, points, results)
    problems.end()


@dataclass(frozen=True)
class Wishes:
    """What the recipes must be like.

    Attributes:
        operations: those to apply.
        degrees: degrees by operation; others are drawn.
        algorithms: algorithms by operation; others are drawn.
        split: where algorithms are drawn from.
        lossy: chance of a lossy export.
        seed: seed of all draws.
        fixed: the recipe for every photo, instead of all the above.
    """

    operations: tuple[str, ...]
    degrees: Mapping[str, float]
    algorithms: Mapping[str, str]
    split: str
    lossy: float
    seed: int
    fixed: Recipe | None

    @classmethod
    def of(
        cls,
        operations: str | None,
        degrees: Sequence[str],
        algorithms: Sequence[str],
        recipe: Path | None,
        **drawn: Any,
    ) -> Wishes:
        """Read the command's options.

        Raises:
            click.BadParameter: unknown names, degrees outside 0..1, or no recipe in the file.
        """
        from ..pipelines.simulate.bank import ALGORITHMS
        from ..pipelines.simulate.recipe import OPERATIONS, Recipe

        names = options.split_names(operations, tuple(ALGORITHMS)) or OPERATIONS
        try:
            fixed = Recipe.from_json(recipe.read_text(encoding="utf-8")) if recipe else None
        except ValueError as error:
            raise click.BadParameter(f"--recipe {recipe}: {error}") from error
        return cls(
            operations=tuple(names),
            degrees=options.parse_degrees(degrees, names),
            algorithms=_parse_algorithms(algorithms, names),
            fixed=fixed,
            **drawn,
        )

    def sheets(self, job: Job) -> tuple[Path, ...]:
        """The contact sheets of a photo, one for each operation."""
        stem = job.target.stem
        return tuple(job.target.with_stem(f"{stem}_{name}") for name in self.operations)

    def recipe(self, name: str) -> Recipe:
        """The recipe of the photo of this file name."""
        import numpy as np

        from ..pipelines.simulate.recipe import sample_recipe

        if self.fixed is not None:
            return self.fixed
        rng = np.random.default_rng((self.seed, zlib.crc32(name.encode())))
        drawn = sample_recipe(rng, self.operations, split=self.split, export_probability=self.lossy)
        steps = (
            step._replace(
                degree=self.degrees.get(step.operation, step.degree),
                algorithm=self.algorithms.get(step.operation, step.algorithm),
            )
            for step in drawn.steps
        )
        return replace(drawn, steps=tuple(steps))


def _parse_algorithms(texts: Sequence[str], operations: Sequence[str]) -> dict[str, str]:
    from ..pipelines.simulate import bank

    algorithms = {}
    for text in texts:
        operation, _, algorithm = text.partition("=")
        options.check_operation(operation, operations)
        if algorithm not in bank.algorithms(operation):
            known = ", ".join(bank.algorithms(operation))
            raise click.BadParameter(f"{text!r}: the algorithms of {operation} are {known}")
        algorithms[operation] = algorithm
    return algorithms


class Landmarks:
    """Face-mesh points by file name, from a file such as the face folders have beside them."""

    def __init__(self, path: Path | None) -> None:
        self.points = None if path is None else _read_points(path)

    def find(self, photo: Path, size: tuple[int, int]) -> Tensor | None:
        """The photo's points, 1 478 2 in shares of its size; None means the mean face.

        Raises:
            ValueError: the file has no points for this photo.
        """
        import torch

        if self.points is None:
            return None
        if photo.name not in self.points:
            raise ValueError("the landmark file has no points of this name")
        return torch.as_tensor(self.points[photo.name] / [size])[None].float()


def _read_points(path: Path) -> dict[str, Any]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as file:
            points = dict(zip(file["names"].tolist(), file["points"], strict=True))
    except (OSError, ValueError, KeyError) as error:
        raise click.BadParameter(f"--landmarks {path}: {error}") from error
    return points


def write_retouched(job: Job, chosen: Wishes, points: Landmarks, results: Results) -> None:
    """Write the retouched photo, its alpha channel as it was, and its recipe."""
    from ..pipelines.photos.drawings import to_picture, to_tensor
    from ..pipelines.simulate.simulator import retouch

    photo = open_photo(job.photo)
    recipe = chosen.recipe(job.photo.name)
    landmarks = points.find(job.photo, photo.size)
    names = tuple(step.operation for step in recipe.steps)
    result = to_picture(retouch(to_tensor(photo), [recipe], landmarks, names).image[0])
    if photo.mode == "RGBA":
        result.putalpha(photo.getchannel("A"))
    save_photo(result, job.target, results, photo.info.get("icc_profile"))
    results.write_text(job.report, recipe.to_json() + "\n")


def write_sheets(job: Job, chosen: Wishes, points: Landmarks, results: Results) -> None:
    """Write a contact sheet for each operation: algorithms by rows, degrees by columns."""
    from ..pipelines.photos.drawings import to_tensor
    from ..pipelines.simulate.sheet import contact_sheet

    photo = open_photo(job.photo)
    landmarks = points.find(job.photo, photo.size)
    for name, target in zip(chosen.operations, chosen.sheets(job), strict=True):
        place = None if landmarks is None else landmarks[0]
        save_photo(contact_sheet(to_tensor(photo)[0], place, name), target, results)
