"""The files by which diffusers' modular loader reads a repository, beside `model_index.json`.

`modular_model_index.json` says where each network is and of which class; `modular_config.json`
names the class of the blocks and its file, `block.py`, which takes it from the versioned files. The
classes of networks are looked up in modules that were imported under the names which the index
gives: `block.py` imports them.
"""

import json
import re
from pathlib import Path
from typing import Any

import diffusers

from .code import VERSION, Code, flat_name
from .writing import replacing

INDEX = "modular_model_index.json"
CONFIG = "modular_config.json"
BLOCK = "block.py"
BLOCK_TEXT = '''\
"""The blocks of this repository's modular pipeline; diffusers reads this file."""

import sys

{imports}
# diffusers takes a network's class from an imported module of the name that the index gives.
for _name in (
{names}):
    sys.modules[_name] = sys.modules[f"{{__package__}}.{{_name}}"]
'''


def write_modular(
    pipeline: Any, folder: Path, code: Code, networks: dict[str, type], variant: str | None
) -> None:
    """Writes the three files to a repository that holds everything else.

    Args:
        pipeline: its classmethod `modular_blocks` gives the class of the blocks.
        folder: the repository.
        code: that travels with it.
        networks: the class of each network of the package's own, by component.
        variant: of the weights' files.
    """
    blocks = type(pipeline).modular_blocks()
    files = {name: code.name(flat_name(kind.__module__)) for name, kind in networks.items()}
    module = code.name(flat_name(blocks.__module__))
    rest = [code.name(flat) for flat in code.texts if code.name(flat) != module]
    text = BLOCK_TEXT.format(
        imports=f"from .{module} import {blocks.__name__}\n"
        + "".join(f"from .{each} import __doc__ as _{each}\n" for each in rest),
        names="".join(f'    "{each}",\n' for each in sorted(set(files.values()))),
    )
    (folder / BLOCK).write_text(text, encoding="utf-8")
    about = {"_class_name": blocks.__name__, "_diffusers_version": diffusers.__version__}
    reference = f"{Path(BLOCK).stem}.{blocks.__name__}"
    _write(folder / CONFIG, about | {"auto_map": {"ModularPipelineBlocks": reference}})
    _write(folder / INDEX, _index(pipeline, files, blocks.__name__, variant))


def _index(
    pipeline: Any, files: dict[str, str], blocks: str, variant: str | None
) -> dict[str, Any]:
    """Settings, and where each component is that the pipeline has."""
    index: dict[str, Any] = {
        "_blocks_class_name": blocks,
        "_class_name": "ModularPipeline",
        "_diffusers_version": diffusers.__version__,
    }
    modules, settings = pipeline._get_signature_keys(pipeline)
    order = [name for name in pipeline.components if name in modules]
    for name in order:
        component = getattr(pipeline, name)
        if component is not None:
            kind = [files.get(name, "diffusers"), type(component).__name__]
            index[name] = [*kind, _place(name, kind, variant if name in files else None)]
    return index | {name: pipeline.config[name] for name in sorted(settings)}


def _place(name: str, kind: list[str], variant: str | None) -> dict[str, Any]:
    """Where a component is: without a repository's name in the folder that the index is in."""
    place = {"pretrained_model_name_or_path": None, "subfolder": name}
    return {"type_hint": kind, **place, "variant": variant, "revision": None}


def name_repository(folder: Path, repo_id: str) -> None:
    """Writes a repository's name on the Hub where the index says in which its networks are."""
    _change(folder, lambda entry: entry[2].update(pretrained_model_name_or_path=repo_id))


def remove_block(folder: Path, package: str) -> None:
    """Removes the code; the index then names the package's own modules."""
    (folder / BLOCK).unlink(missing_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)

    def rename(entry: list[Any]) -> None:
        if VERSION.search(entry[0]):
            flat = re.sub(VERSION, "", entry[0])
            entry[0] = f"{package}.models.{flat.replace('_', '.', 1)}"
            entry[2]["type_hint"] = entry[:2]

    _change(folder, rename)


def _change(folder: Path, change: Any) -> None:
    """Applies a function to each component's entry of the index, where there is one."""
    if (folder / INDEX).is_file():
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        for entry in index.values():
            if isinstance(entry, list):
                change(entry)
        _write(folder / INDEX, index)


def _write(file: Path, entries: dict[str, Any]) -> None:
    with replacing(file) as beside:
        beside.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
