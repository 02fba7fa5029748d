"""The recipes of the shipped sets: `frr` commands from folders of faces to a model folder.

A recipe is a file of commands that a shell could run too. `$FACES` is the folder with `train`,
`val` and `test` (and others that the recipe names), `$WORK` a folder for pools, runs and reports,
`$OUT` the folder of the model.
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

FOLDER = Path(__file__).parent
_QUICK = {
    "steps": "1",
    "items": "2",
    "batch_size": "2",
    "size": "64",
    "limit": "3",
    "crop": "32",
    "warmup": "0",
    "mixed_precision": "no",
    "side": "160",
    "smallest": "1",
    "processes": "1",
}
_QUICK_OPTIONS = {"export": ("--size", "64", "--limit", "2")}
_QUICK_OPTIONS["evaluate"] = _QUICK_OPTIONS["export"]


def recipe_names() -> list[str]:
    """The names of the recipes, which are those of the sets they make."""
    return sorted(path.stem for path in FOLDER.glob("*.sh"))


def read_recipe(name: str, places: Mapping[str, Path]) -> list[list[str]]:
    """The arguments of each `frr` command, in order.

    Args:
        name: of the recipe.
        places: FACES, WORK and OUT.

    Raises:
        ValueError: there is no such recipe.
    """
    if name not in recipe_names():
        raise ValueError(f"unknown recipe {name!r}; choose from {', '.join(recipe_names())}")
    text = (FOLDER / f"{name}.sh").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.startswith("frr ")]
    values = {place: str(folder) for place, folder in places.items()}
    return [[Template(item).substitute(values) for item in shlex.split(x)[1:]] for x in lines]


def shrink(arguments: Sequence[str]) -> list[str]:
    """The same command at a size that takes about a second: for trying a recipe out.

    Numbers of steps, items and faces, sides of photos and windows become small; what is learnt
    from, and the order of things, stay.
    """
    command = arguments[0]
    if command in ("train", "pool"):
        return _shrink_settings(arguments)
    kept = list(arguments)
    for option in ("--size", "--limit"):
        if option in kept:
            place = kept.index(option)
            del kept[place : place + 2]
    if command == "evaluate" and "--candidates" in kept:
        kept[kept.index("--candidates") + 1] = "2"
    if "real" in kept:  # photos of every size and kind of each face
        return [*kept, "--limit", "1"]
    return [*kept, *_QUICK_OPTIONS.get(command, ())]


def _shrink_settings(arguments: Sequence[str]) -> list[str]:
    """A `train` or `pool` command with small settings."""
    from ..stages.registry import pool_config, simulation_settings, stage_config

    command, stage = arguments[:2]
    own = set((pool_config if command == "pool" else stage_config)(stage).names())
    if "--pool" in arguments:
        own -= set(simulation_settings(stage))
    kept, values = [], dict[str, str]()
    rest = iter(arguments)
    for item in rest:
        if item == "--set":
            name, _, value = next(rest).partition("=")
            values[name] = value
        else:
            kept.append(item)
    values |= {name: value for name, value in _QUICK.items() if name in own}
    return [*kept, *(part for n, v in values.items() for part in ("--set", f"{n}={v}"))]
