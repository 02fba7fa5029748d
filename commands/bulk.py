"""Very many photos on Ray Data: one laptop, a machine with several GPUs, or a cluster.

Tasks read files' bytes; actors, one for each GPU or core, decode, work, and write beside the place
and rename, so that only bytes and short rows travel. A photo that fails is a row with its error.
"""

from __future__ import annotations

import json
import logging
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from .listing import Listing, listing
from .photos import Job, Problems, find, own_files
from .progress import Pace
from .results import Results
from .station import Station, row_of_before
from .working import Recipe

ray = click.option("--ray", is_flag=True, help="Share the photos out on Ray (the `ray` extra).")
actors = click.option(
    "--actors",
    type=click.IntRange(1),
    help="With --ray: processes that work.  [default: one for each GPU, else for each core]",
)
LIST_NAME = "photos.parquet"
STARTS = 3  # times that Ray is tried to be started
BLOCK = 8  # photos that travel together
STORE = 2**30  # bytes of Ray's object store, where no cluster is there already
ACTOR_CORES = 0.8  # of a core that an actor books; the rest is for the tasks that read
READER_CORES = 0.2

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_worker_niceness": "0",  # by default workers give way to all else on a machine
}


class Source(NamedTuple):
    """Where photos come from.

    Attributes:
        photos: their paths; on another file system, as it names them.
        filesystem: pyarrow's; None is this machine's.
    """

    photos: list[Path]
    filesystem: Any

    @property
    def local(self) -> list[Path]:
        """Those that are files here."""
        return self.photos if self.filesystem is None else []


class Layout(NamedTuple):
    """Who works.

    Attributes:
        actors: how many processes.
        gpus: of each: 1 or 0.
        cores: that each books.
        threads: of each one's networks.
    """

    actors: int
    gpus: int
    cores: float
    threads: int

    @property
    def device(self) -> str:
        """What each one's networks run on: Ray shows an actor its own GPU only."""
        return "cuda" if self.gpus else "cpu"


def find_photos(paths: Sequence[Path | str], problems: Problems, on_ray: bool) -> Source:
    """List the photos of files and folders, or of addresses such as s3://bucket/folder.

    Raises:
        click.UsageError: places on different file systems.
    """
    addresses = [path for path in paths if isinstance(path, str)]
    if not (on_ray and addresses):
        return Source(find(paths, problems), None)
    _need_ray()
    from pyarrow import fs

    found = [fs.FileSystem.from_uri(address) for address in addresses]
    if len(addresses) < len(paths) or any(each[0] != found[0][0] for each in found):
        raise click.UsageError("with --ray, photos by address are all on one file system")
    filesystem = found[0][0]
    photos: dict[Path, None] = {}
    for address, (_, place) in zip(addresses, found, strict=True):
        with problems.of(Path(address)):
            photos.update(dict.fromkeys(_listed(filesystem, place)))
    return Source(list(photos), filesystem)


def _listed(filesystem: Any, place: str) -> list[Path]:
    """A file, or the files directly inside a folder that are not hidden and no reports.

    Raises:
        OSError: there is nothing.
    """
    from pyarrow import fs

    info = filesystem.get_file_info(place)
    if info.type == fs.FileType.File:
        return [Path(place)]
    inside = filesystem.get_file_info(fs.FileSelector(place))
    files = [Path(each.path) for each in inside if each.type == fs.FileType.File]
    return sorted(path for path in files if path.name[0] != "." and path.suffix != ".json")


def start(device: str | None, wished: int | None, folder: Path) -> Layout:
    """Begin Ray on this machine, or join the cluster of RAY_ADDRESS, and see what it has.

    Raises:
        click.ClickException: the extra is missing, or there is no GPU where one is asked for.
    """
    ray = _need_ray()
    if not ray.is_initialized():
        own: dict[str, Any] = {"object_store_memory": STORE, "include_dashboard": False}
        quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
        _begin(ray, **({} if "RAY_ADDRESS" in os.environ else own), **quiet)
    if len([node for node in ray.nodes() if node["Alive"]]) > 1 and not folder.is_absolute():
        raise click.ClickException(
            f"-o {folder}: on a cluster give the whole path of a folder that all machines see"
        )
    have = ray.cluster_resources()
    return layout_of(int(have.get("CPU", 1)), int(have.get("GPU", 0)), device, wished)


def _begin(ray: Any, **options: Any) -> None:
    """Start or join Ray, which may take longer on a busy machine than Ray waits.

    Raises:
        click.ClickException: it did not begin.
    """
    for attempt in range(STARTS):
        try:
            ray.init(**options)
            return
        except Exception as error:  # Ray raises plain ones
            ray.shutdown()
            if attempt == STARTS - 1:
                reason = str(error).strip().splitlines()[0]
                raise click.ClickException(f"--ray: Ray did not begin: {reason}") from error


def layout_of(cores: int, gpus: int, device: str | None, wished: int | None) -> Layout:
    """Who works on so many cores and GPUs.

    Args:
        cores: of all machines.
        gpus: of all machines.
        device: None takes GPUs where there are any.
        wished: how many processes; None is one for each GPU, or for each core.

    Raises:
        click.ClickException: a device that Ray cannot share out, or no GPU where one is asked for.
    """
    if device not in (None, "cpu", "cuda"):
        raise click.ClickException(f"--device {device}: with --ray it is cpu or cuda")
    if device == "cuda" and not gpus:
        raise click.ClickException(
            "--device cuda: Ray knows of no GPU here, and would wait for one for ever; leave "
            "--device out, or start Ray with --num-gpus"
        )
    on_gpus = gpus > 0 and device != "cpu"
    if on_gpus and wished is not None and wished > gpus:
        raise click.ClickException(f"--actors {wished}: there are {gpus} GPU(s), one for each")
    count = wished or (gpus if on_gpus else cores)
    share = min(ACTOR_CORES, ACTOR_CORES * cores / count)
    return Layout(count, int(on_gpus), round(share, 3), max(1, cores // count))


def _need_ray() -> Any:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise click.ClickException(f'--ray: {error}; pip install "frr[ray]"') from error
    return ray


def run(
    recipe: Recipe,
    source: Source,
    jobs: Sequence[Job],
    left: Sequence[Job],
    results: Results,
    problems: Problems,
    layout: Layout,
) -> None:
    """Work on what is left, and write the list of all photos.

    Args:
        recipe: what is done.
        source: where the photos are.
        jobs: all of them.
        left: those that no earlier run finished.
        results: the folder.
        problems: told of every photo that failed.
        layout: who works.
    """
    target = results.folder / LIST_NAME
    results.folder.mkdir(parents=True, exist_ok=True)
    waiting = {_key(job, source): job for job in left}
    with results.writing(target) as beside, listing(beside, recipe.columns) as rows:
        for job in sorted(set(jobs) - set(left), key=lambda job: job.target):
            rows.add(row_of_before(recipe, job))
        for key, error in _refused(waiting, source, results):
            _fail(waiting.pop(key), error, rows, problems)
        pace = Pace(len(waiting))
        for key, row in _work(recipe, source, dict(waiting), results, layout):
            job = waiting.pop(key)
            rows.add(row)
            pace.show(row.get("error") is None)
            if row.get("error") is not None:
                problems.report(job.photo, row["error"])
        for job in waiting.values():
            _fail(job, "was not read: its part of the run failed; try --resume", rows, problems)
    results.gather()
    click.echo(f"{pace.line()}, {layout.actors} actor(s) on {layout.device}; {target}", err=True)


def _fail(job: Job, error: str, rows: Listing, problems: Problems) -> None:
    rows.add({"path": str(job.photo), "error": error})
    problems.report(job.photo, error)


def _key(job: Job, source: Source) -> str:
    """The path as Ray gives it beside a file's bytes."""
    return str(job.photo.absolute()) if source.filesystem is None else job.photo.as_posix()


def _refused(waiting: dict[str, Job], source: Source, results: Results) -> list[tuple[str, str]]:
    """What cannot be read or may not be written, seen before a task fails with all its block."""
    found = []
    for key, job in waiting.items():
        try:
            results.check(*own_files(job))
            if source.filesystem is None:
                if not stat.S_ISREG(job.photo.stat().st_mode):
                    raise ValueError(f"{job.photo.name} is no regular file")
                with job.photo.open("rb"):
                    pass
        except (OSError, ValueError) as error:
            found.append((key, str(error)))
    return found


def _work(
    recipe: Recipe, source: Source, jobs: dict[str, Job], results: Results, layout: Layout
) -> Iterable[tuple[str, dict[str, Any]]]:
    """The key and the row of each photo, as they are finished."""
    if not jobs:
        return
    import ray
    from pyarrow import fs
    from ray.data import ActorPoolStrategy, DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # a block that is lost costs its photos, not the run
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    photos = ray.data.read_binary_files(
        list(jobs),
        include_paths=True,
        filesystem=source.filesystem or fs.LocalFileSystem(),
        ignore_missing_paths=True,
        override_num_blocks=-(-len(jobs) // BLOCK),
        num_cpus=READER_CORES,
    )
    rows = photos.map_batches(
        Station,
        batch_size=None,
        compute=ActorPoolStrategy(size=layout.actors),
        num_cpus=layout.cores,
        num_gpus=layout.gpus,
        fn_constructor_kwargs={
            "recipe": recipe.on(layout.device),
            "jobs": ray.put(jobs),
            "folder": results.folder,
            "home": Path.cwd(),
            "threads": layout.threads,
            "overwrite": results.overwrite,
            "resume": results.resume,
        },
    )
    for row in rows.iter_rows():
        yield row["path"], json.loads(row["row"])
