"""Running a stage, and making its pools, by name: all is checked before anything is written."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..data.material import Material, choose_device, faces_note
from ..data.pools import describe_pool, fill_pool, open_pool
from ..data.share import Share
from ..loop import train
from ..run_folder import RunFolder
from .registry import find_stage, pool_config, refuse_foreign, simulation_settings, stage_config


def run_stage(
    name: str,
    given: Mapping[str, object],
    folder: Path | str,
    faces: Path | str | None = None,
    *,
    pools: Sequence[Path | str] = (),
    resume: bool = True,
    seconds: float | None = None,
) -> Path | None:
    """Trains a stage on a folder of faces or on pools, alone or as one of several processes.

    Processes that `accelerate launch` started share each step's batch, and the pools' items.

    Args:
        name: a key of `STAGES`.
        given: the stage's settings by name.
        folder: where settings, log, checkpoint and model go.
        faces: folder of aligned face crops, with their landmarks (see `load_faces`).
        pools: instead of `faces`: folders that `make_pool` made for this stage.
        resume: continue a stopped run found in `folder`; False refuses one.
        seconds: stop after this time, with a checkpoint.

    Returns:
        The folder of the trained model; None where time was up first.

    Raises:
        ValueError: unknown stage or setting, a setting that pools decide or that the stopped run
            did not have, or nothing to learn from.
    """
    kind = stage_config(name)
    refuse_foreign(name, given)
    material = Material(None if faces is None else Path(faces), tuple(Path(p) for p in pools))
    data, decided = _learnt_from(name, given, material)
    facts = {"stage": name, "data": data}
    run = RunFolder(Path(folder))
    config = run.settle(kind, {**given, **decided}, facts, resume)
    if run.model.exists():
        return run.model
    device, share = choose_device(config.device), Share.of_process()
    part = replace(config, batch_size=share.of_batch(config.batch_size))
    stage = part.build(replace(material, device=device, share=share))
    stage.model.to(device)
    return train(stage, config, folder, facts=facts, resume=resume, seconds=seconds)


def make_pool(
    name: str,
    given: Mapping[str, object],
    folder: Path | str,
    faces: Path | str,
    *,
    resume: bool = False,
    seconds: float | None = None,
) -> Iterator[tuple[int, int]]:
    """Simulates items for a stage and stores them, file by file.

    Args:
        name: of the pools, a key of `POOLS`.
        given: settings of the pool by name.
        folder: where the items go.
        faces: folder of aligned face crops.
        resume: go on with a pool that was begun.
        seconds: stop after this time; what is made of a file by then is kept.

    Yields:
        The number of items stored and of all, after each file.

    Raises:
        ValueError: unknown stage or setting, no faces, or a pool that was begun in another way.
    """
    until = None if seconds is None else time.time() + seconds
    config = pool_config(name).read(given)
    material = Material(Path(faces), device=choose_device(config.device))
    facts = {"stage": name, "data": config.note(Path(faces))}
    simulate = config.simulator(material)
    open_pool(Path(folder), config, facts, resume)
    for done in fill_pool(Path(folder), config, simulate, until):
        yield done, config.items


def _learnt_from(
    name: str, given: Mapping[str, object], material: Material
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What config.json says of the data, and the settings that the pools decide."""
    if (material.faces is None) == (not material.pools):
        raise ValueError("a stage learns from a folder of faces or from pools: name one of them")
    if material.faces is not None:
        return faces_note(material.faces), {}
    notes = [describe_pool(folder) for folder in material.pools]
    decided: dict[str, Any] = {}
    pool_config(name)
    for folder, note in zip(material.pools, notes, strict=True):
        if note["stage"] != find_stage(name).pool:
            raise ValueError(f"{folder} is a pool of stage {note['stage']}, not of {name}")
        for setting in simulation_settings(name):
            value = note["settings"][setting]
            if setting in given:
                raise ValueError(f"{setting} is decided by the pool {folder}, which has {value!r}")
            if decided.setdefault(setting, value) != value:
                raise ValueError(
                    f"{folder} has {setting}={value!r}, the first pool {decided[setting]!r}: "
                    "pools must agree"
                )
    return {"pools": notes}, decided
