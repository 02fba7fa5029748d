"""How `frr retouch` and `frr inpaint` treat one photo."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from .. import __version__
from . import options
from .photos import Job, open_photo, own_files, save_photo
from .results import Results
from .working import Saved

if TYPE_CHECKING:
    from PIL import Image

    from ..pipelines.bpfre.pipeline import BPFRePipeline, BPFRePipelineOutput


class Loaded(NamedTuple):
    """A photo that is ready to be retouched.

    Attributes:
        photo: the picture.
        masks: by name: `mask`, white where the photo may change, and `preserve`, where not.
    """

    photo: Image.Image
    masks: dict[str, Image.Image | None]


class Retouched(NamedTuple):
    """A photo that is ready to be saved.

    Attributes:
        photo: as it came.
        output: all that the pipeline says about it.
    """

    photo: Image.Image
    output: BPFRePipelineOutput


@dataclass(frozen=True)
class Retouching:
    """How photos are retouched, or their holes filled, in plain values.

    Attributes:
        model: as `--model`.
        device: as `--device`.
        dtype: as `--dtype`.
        working_size: shorter side the networks see, 0 for the photo's own, None for the model's.
        mask: picture(s), white where the photo may change.
        preserve: picture(s), white where it may not.
        inpaints: whether holes are filled; else blemishes are removed.
        strength: how much is removed.
        kinds: of blemishes; none names all.
        stages: whether the coarse result and both maps are written, too.
    """

    model: str
    device: str | None
    dtype: str
    working_size: int | None
    mask: Path | None
    preserve: Path | None = None
    inpaints: bool = False
    strength: float = 1.0
    kinds: tuple[str, ...] = ()
    stages: bool = False

    @property
    def context(self) -> dict[str, Any]:
        """What reports say of how it was done."""
        settings: dict[str, Any] = {"working_size": self.working_size, "mask": _text(self.mask)}
        if not self.inpaints:
            settings |= {"strength": self.strength, "preserve": _text(self.preserve)}
            settings["kinds"] = list(self.kinds)
        return {"model": self.model, "settings": settings}

    @property
    def columns(self) -> dict[str, Any]:
        """What a list of many photos says of each: a kind of value, or kinds by name."""
        return {"changed": float, "largest_blemish": float, "kinds": list}

    def row(self, record: dict[str, Any]) -> dict[str, Any]:
        """The columns' values, from a photo's report."""
        kinds = sorted({finding["kind"] for finding in record.get("findings", ())})
        names = ("changed", "largest_blemish")
        return {**{name: record[name] for name in names}, "kinds": kinds}

    def files(self, job: Job) -> tuple[Path, ...]:
        """All that is written for a photo."""
        return (*own_files(job), *(_stages(job) if self.stages else ()))

    def on(self, device: str) -> Retouching:
        """The same on a device."""
        return replace(self, device=device)

    def begin(self) -> Retoucher:
        """Load the networks."""
        return Retoucher(self, options.load_bpfre(self.model, self.device, self.dtype))


class Retoucher:
    """Retouches photos, or fills their holes, in this process.

    Args:
        how: all that was asked for.
        pipe: the networks.
    """

    def __init__(self, how: Retouching, pipe: BPFRePipeline) -> None:
        self.how, self.pipe = how, pipe

    def files(self, job: Job) -> Iterable[Path]:
        """All that `save` may write."""
        return self.how.files(job)

    def load(self, job: Job, data: bytes | None = None) -> Loaded:
        """Read the photo and its masks."""
        photo = open_photo(job.photo, data)
        sources = {"mask": self.how.mask, "preserve": self.how.preserve}
        return Loaded(photo, {name: _mask(place, job.photo) for name, place in sources.items()})

    def work(self, loaded: Loaded) -> Retouched:
        """Retouch it, or fill its holes."""
        how, photo, masks = self.how, loaded.photo, loaded.masks
        size = {None: "config", 0: None}.get(how.working_size, how.working_size)
        if how.inpaints:
            output: Any = self.pipe.inpaint(photo, cast(Any, masks["mask"]), working_size=size)
        else:
            wishes: Any = {"kinds": how.kinds or None, **masks}
            output = self.pipe(photo, strength=how.strength, working_size=size, **wishes)
        return Retouched(photo, output)

    def save(self, job: Job, done: Retouched, results: Results) -> Saved:
        """Write the picture, and the report last."""
        photo, output = done
        result = cast("Image.Image", output.images[0])
        save_photo(result, job.target, results, photo.info.get("icc_profile"))
        if self.how.stages:
            _write_stages(job, output, results)
        record = self._report(job, photo, output)
        results.write_json(job.report, record)
        return Saved(record, f"{job.target}: {record['changed']:.1%} of the pixels changed")

    def _report(self, job: Job, photo: Image.Image, output: BPFRePipelineOutput) -> dict[str, Any]:
        import numpy as np

        pictures = photo, cast("Image.Image", output.images[0])
        before, after = (np.asarray(each.convert("RGB")) for each in pictures)
        record = {
            "frr": __version__,
            "photo": str(job.photo),
            "output": str(job.target),
            "changed": round(float((before != after).any(-1).mean()), 6),
            "largest_blemish": round(float(output.blemish_maps[0][0].max()), 4),
            **self.how.context,
        }
        if output.findings is not None:
            record["findings"] = [finding._asdict() for finding in output.findings[0]]
        return record


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _stages(job: Job) -> tuple[Path, ...]:
    """Files for the coarse result and both maps."""
    return tuple(
        job.target.with_name(f"{job.target.stem}_{name}.png") for name in ("coarse", "e2d", "d2g")
    )


def _write_stages(job: Job, output: BPFRePipelineOutput, results: Results) -> None:
    from ..pipelines.photos.drawings import map_picture

    coarse, *maps = _stages(job)
    save_photo(cast("Image.Image", output.coarse_images[0]), coarse, results)
    for path, found in zip(maps, output.blemish_maps[0], strict=True):
        save_photo(map_picture(found), path, results)


def _mask(source: Path | None, photo: Path) -> Image.Image | None:
    """The mask of a photo: the file itself, or the file of the photo's name in a folder."""
    if source is None:
        return None
    if source.is_dir():
        found = sorted(path for path in source.iterdir() if path.stem == photo.stem)
        if len(found) != 1:
            raise ValueError(f"{source} holds {len(found)} masks named {photo.stem}, expected one")
        source = found[0]
    return open_photo(source).convert("L")
