"""Writing a pipeline as a Hub folder that loads anywhere.

Beside what diffusers writes, the folder holds the code: at its root the pipeline's file and the
files it imports (see `code.py`); in each network's folder a stub of three lines, which takes the
class from the network's file at the root, so that all experts share one class. The index names
pipeline and networks by those files; three more are for the modular pipeline (see `modular.py`).
`SHA256SUMS` lists the weights' digests. The model card of the
folder that the pipeline was loaded from comes along.
"""

import hashlib
import inspect
import json
import os
import re
import shutil
import tempfile
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from diffusers import DiffusionPipeline, ModelMixin
from huggingface_hub import create_repo, upload_folder
from torch import nn

from .code import Code, flat_name, read_code
from .exchange import code_version, filling
from .modular import name_repository, remove_block, write_modular
from .writing import replacing

INDEX_NAME = "model_index.json"
CHECKSUMS_NAME = "SHA256SUMS"
CARD_NAME = "README.md"
PART = "_part"  # the end of a stub's name
PACKAGE = "frr"  # where an index says its classes are, in a folder without code
CARD_PICTURE = re.compile(r"\[[^\]]*\]\(([\w-]+\.(?:png|jpg|webp))\)")
STUB = """\
# The class is in the file at the repository's root: all experts share that one copy.
from . import {module} as _module
{name} = _module.{name}
"""


def write_layout(pipeline: Any, folder: Path, variant: str | None = None) -> None:
    """Turns what diffusers' `save_pretrained` wrote into a repository that loads anywhere.

    Raises:
        ValueError: a network's class is not in the code that travels with the pipeline.
    """
    code = read_code(type(pipeline))
    networks = _own_networks(pipeline, code)
    for name, text in code.texts.items():
        (folder / f"{code.name(name)}.py").write_text(text, encoding="utf-8")
    for name, kind in networks.items():
        module = code.name(flat_name(kind.__module__))
        stub = STUB.format(name=kind.__name__, module=module)
        (folder / name / f"{module}{PART}.py").write_text(stub, encoding="utf-8")
    for name in pipeline.components:
        if (config := _config_file(folder / name)) is not None:
            _strip_paths(config)
    _write_index(pipeline, folder, code, networks)
    write_modular(pipeline, folder, code, networks, variant)
    write_checksums(folder)


def _own_networks(pipeline: Any, code: Code) -> dict[str, type]:
    """The class of each network that is not diffusers' own, by component."""
    networks = {}
    for name, component in pipeline.components.items():
        if isinstance(component, nn.Module) and _is_ours(component):
            kind = networks[name] = type(_unwrap(component))
            if kind.__module__ not in code.modules:
                raise ValueError(
                    f"{name} is a {kind.__name__} of {kind.__module__}, which is not among the "
                    f"files of {type(pipeline).__module__}: load it with the code that the "
                    "pipeline was loaded with, or import its file in the pipeline's"
                )
    return networks


def remove_code(folder: Path) -> None:
    """Leaves weights, configs and card of a repository, which then loads with the package only.

    The package's own models are kept so: their code is the package's.
    """
    version = code_version(folder)
    remove_block(folder, PACKAGE)
    index = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
    for name, entry in index.items():
        if name == "_class_name" and isinstance(entry, list):
            index[name] = entry[-1]
        elif isinstance(entry, list) and str(entry[0]).endswith(PART):
            index[name] = [PACKAGE, entry[1]]
    with replacing(folder / INDEX_NAME) as beside:
        beside.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    if version is not None:
        for file in (*folder.glob(f"*{version}.py"), *folder.glob(f"*/*{version}{PART}.py")):
            file.unlink()


def _is_ours(component: nn.Module) -> bool:
    network = _unwrap(component)
    return isinstance(network, ModelMixin) and not type(network).__module__.startswith("diffusers.")


def _unwrap(component: nn.Module) -> nn.Module:
    return getattr(component, "_orig_mod", component)  # torch.compile's wrapper


def _config_file(folder: Path) -> Path | None:
    names = ("config.json", "scheduler_config.json")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _strip_paths(file: Path) -> None:
    """Removes where a network was once loaded from."""
    entries = json.loads(file.read_text(encoding="utf-8"))
    if entries.pop("_name_or_path", None) is not None:
        _write_json(file, entries)


def _write_index(pipeline: Any, folder: Path, code: Code, networks: dict[str, type]) -> None:
    """Rewrites the index: classes by the folder's files, components in the pipeline's order."""
    index = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
    kind = type(pipeline)
    index["_class_name"] = [code.name(flat_name(kind.__module__)), kind.__name__]
    for name, network in networks.items():
        index[name] = [f"{code.name(flat_name(network.__module__))}{PART}", network.__name__]
    order = [name for name in inspect.signature(kind.__init__).parameters if name in index]
    first = sorted(name for name in index if name.startswith("_") and name != "_name_or_path")
    rest = sorted(set(index) - set(order) - set(first) - {"_name_or_path"})
    entries = {name: index[name] for name in (*first, *order, *rest)}
    (folder / INDEX_NAME).write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")


def _write_json(file: Path, entries: dict) -> None:
    file.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def carry_card(source: Any, folder: Path) -> None:
    """Copies the card of the folder `source`, and its pictures, to a folder without a card."""
    card = Path(str(source)) / CARD_NAME
    if source is None or not card.is_file() or (folder / CARD_NAME).exists():
        return
    pictures = CARD_PICTURE.findall(card.read_text(encoding="utf-8"))
    present = (name for name in pictures if (card.parent / name).is_file())
    for name in (*present, CARD_NAME):
        if not (folder / name).exists():
            with replacing(folder / name) as beside:
                shutil.copyfile(card.parent / name, beside)


def write_checksums(folder: Path) -> None:
    """Writes `SHA256SUMS` (as `sha256sum -c` reads it) over every weights file of a repository."""
    files = sorted(folder.glob("*/*.safetensors"))
    lines = [f"{digest(file)}  {file.parent.name}/{file.name}\n" for file in files]
    with replacing(folder / CHECKSUMS_NAME) as beside:
        beside.write_text("".join(lines), encoding="utf-8")


def digest(file: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with file.open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as content:
        return hashlib.sha256(content).hexdigest()


class RepositoryWriter(DiffusionPipeline):
    """`save_pretrained` and `push_to_hub` of a pipeline whose code travels with its weights."""

    def save_pretrained(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        save_directory: str | os.PathLike,
        safe_serialization: bool = True,
        variant: str | None = None,
        max_shard_size: int | str | None = None,
        push_to_hub: bool = False,
        **hub: Any,
    ) -> None:
        """Writes a complete repository: index, code, weights, scheduler, card.

        A README in the folder stays as it is; without one, the card of the folder that the pipeline
        was loaded from is copied, with its pictures.

        Args:
            save_directory: folder, made if missing.
            safe_serialization: must be True; weights are written as safetensors only.
            variant: for example "fp16": part of the weights files' names.
            max_shard_size: larger weights are split into files of at most this size.
            push_to_hub: also upload it, see `push_to_hub`.
            hub: with `push_to_hub` its keyword arguments; `repo_id` defaults to the folder's name.
        """
        if not safe_serialization:
            raise ValueError("safe_serialization=False came; weights are saved as safetensors only")
        if hub and not push_to_hub:
            raise TypeError(f"save_pretrained got unexpected arguments {sorted(hub)}")
        folder = Path(save_directory)
        if folder.is_file():
            raise ValueError(f"{folder} is a file; expected a folder to write the pipeline to")
        with filling(folder) as beside:
            super().save_pretrained(beside, variant=variant, max_shard_size=max_shard_size)
            write_layout(self, beside, variant)
        write_checksums(folder)  # other variants too
        carry_card(self.config.get("_name_or_path"), folder)
        if push_to_hub:
            _upload(folder, hub.pop("repo_id", folder.name), type(self).__name__, **hub)

    def push_to_hub(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        repo_id: str,
        commit_message: str | None = None,
        private: bool | None = None,
        token: str | None = None,
        create_pr: bool = False,
        safe_serialization: bool = True,
        variant: str | None = None,
        max_shard_size: int | str | None = None,
    ) -> Any:
        """Uploads the folder that `save_pretrained` writes. A README on the Hub stays as it is.

        Args:
            repo_id: name of the repository, made if missing.
            commit_message: what the commit says.
            private: whether a new repository is private.
            token: Hub token; None takes the one of `hf auth login`.
            create_pr: open a pull request instead of committing.
            safe_serialization: must be True.
            variant: see `save_pretrained`.
            max_shard_size: see `save_pretrained`.

        Returns:
            What huggingface_hub says of the commit.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, safe_serialization, variant, max_shard_size)
            return _upload(
                Path(folder),
                repo_id,
                type(self).__name__,
                commit_message=commit_message,
                private=private,
                token=token,
                create_pr=create_pr,
            )


def _upload(
    folder: Path,
    repo_id: str,
    what: str,
    commit_message: str | None = None,
    private: bool | None = None,
    token: str | None = None,
    create_pr: bool = False,
) -> Any:
    repo_id = create_repo(repo_id, private=private, token=token, exist_ok=True).repo_id
    name_repository(folder, repo_id)
    return upload_folder(
        repo_id=repo_id,
        folder_path=folder,
        token=token,
        commit_message=commit_message or f"Upload {what}",
        create_pr=create_pr,
        delete_patterns=["*_v????????.py", f"*_v????????{PART}.py"],  # other versions' code
    )
