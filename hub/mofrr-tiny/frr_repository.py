"""Writing a pipeline as a Hub folder that loads anywhere.

Beside what diffusers writes, the folder holds the code: at its root the pipeline's file, the files
it imports and the networks' files; in each network's folder a stub of three lines, which takes the
class from the network's file at the root, so that all experts share one class. The index names
pipeline and networks by those files. `SHA256SUMS` lists the weights' digests.
"""

import hashlib
import json
import os
import re
import sys
import tempfile
from importlib.util import resolve_name
from mmap import ACCESS_READ, mmap
from pathlib import Path
from types import ModuleType
from typing import Any

from diffusers import DiffusionPipeline, ModelMixin
from huggingface_hub import create_repo, upload_folder
from torch import nn

INDEX_NAME = "model_index.json"
CHECKSUMS_NAME = "SHA256SUMS"
RELATIVE_IMPORT = re.compile(r"^(\s*from\s+)(\.+\w[\w.]*)(\s+import)", re.MULTILINE)
STUB = """\
# The class is in the file at the repository's root: all experts share that one copy.
from . import {module} as _module
{name} = _module.{name}
"""


def stub_name(network_class: type) -> str:
    """The stub's module, named unlike the network's file: all remote code shares one folder."""
    return f"{_stem(network_class)}_part"


def code_files(pipeline_class: type) -> dict[str, str]:
    """The text of each code file at a repository's root: the pipeline's and all it imports.

    Raises:
        ValueError: a file that the pipeline imports itself imports a file that the pipeline does
            not; diffusers fetches only what the pipeline's file names.
    """
    source = sys.modules[pipeline_class.__module__]
    helpers = _relative_imports(source)
    for helper in helpers:
        unnamed = {module.__name__ for module in _relative_imports(helper)}
        unnamed -= {module.__name__ for module in helpers}
        if unnamed:
            raise ValueError(
                f"{helper.__name__} imports {', '.join(sorted(unnamed))}; import it in "
                f"{source.__name__} too, so that it travels with the repository"
            )
    return {Path(str(module.__file__)).name: _flattened(module) for module in (source, *helpers)}


def _text(module: ModuleType) -> str:
    return Path(str(module.__file__)).read_text(encoding="utf-8")


def _relative_imports(module: ModuleType) -> list[ModuleType]:
    """The modules that a module's file imports relatively."""
    package = module.__name__.rpartition(".")[0]
    names = [match.group(2) for match in RELATIVE_IMPORT.finditer(_text(module))]
    return [sys.modules[resolve_name(name, package)] for name in dict.fromkeys(names)]


def _flattened(module: ModuleType) -> str:
    """A module's text with every relative import pointing to a file beside it."""

    def flatten(match: re.Match[str]) -> str:
        return f"{match.group(1)}.{match.group(2).rpartition('.')[2]}{match.group(3)}"

    return RELATIVE_IMPORT.sub(flatten, _text(module))


def write_layout(pipeline: Any, folder: Path) -> None:
    """Turns what diffusers' `save_pretrained` wrote into a repository that loads anywhere."""
    for name, text in code_files(type(pipeline)).items():
        (folder / name).write_text(text, encoding="utf-8")
    for name, component in pipeline.components.items():
        if isinstance(component, nn.Module) and _is_ours(component):
            _write_stub(folder / name, type(_unwrap(component)))
        if (config := _config_file(folder / name)) is not None:
            _strip_paths(config)
    _write_index(pipeline, folder)
    write_checksums(folder)


def _is_ours(component: nn.Module) -> bool:
    network = _unwrap(component)
    return isinstance(network, ModelMixin) and not type(network).__module__.startswith("diffusers.")


def _unwrap(component: nn.Module) -> nn.Module:
    return getattr(component, "_orig_mod", component)  # torch.compile's wrapper


def _stem(thing: type) -> str:
    return thing.__module__.rpartition(".")[2]


def _write_stub(folder: Path, network_class: type) -> None:
    text = STUB.format(name=network_class.__name__, module=_stem(network_class))
    (folder / f"{stub_name(network_class)}.py").write_text(text, encoding="utf-8")


def _config_file(folder: Path) -> Path | None:
    names = ("config.json", "scheduler_config.json")
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _strip_paths(file: Path) -> None:
    """Removes where a network was once loaded from."""
    entries = json.loads(file.read_text(encoding="utf-8"))
    if entries.pop("_name_or_path", None) is not None:
        _write_json(file, entries)


def _write_index(pipeline: Any, folder: Path) -> None:
    index = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
    index.pop("_name_or_path", None)
    index["_class_name"] = [_stem(type(pipeline)), type(pipeline).__name__]
    for name, component in pipeline.components.items():
        if isinstance(component, nn.Module) and _is_ours(component):
            network_class = type(_unwrap(component))
            index[name] = [stub_name(network_class), network_class.__name__]
    _write_json(folder / INDEX_NAME, index)


def _write_json(file: Path, entries: dict) -> None:
    file.write_text(json.dumps(entries, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_checksums(folder: Path) -> None:
    """Writes `SHA256SUMS` (as `sha256sum -c` reads it) over every weights file of a repository."""
    files = sorted(folder.glob("*/*.safetensors"))
    lines = [f"{digest(file)}  {file.parent.name}/{file.name}\n" for file in files]
    (folder / CHECKSUMS_NAME).write_text("".join(lines), encoding="utf-8")


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
        """Writes a complete repository: index, code, weights, scheduler. A README stays as it is.

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
        super().save_pretrained(folder, variant=variant, max_shard_size=max_shard_size)
        write_layout(self, folder)
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
    return upload_folder(
        repo_id=repo_id,
        folder_path=folder,
        token=token,
        commit_message=commit_message or f"Upload {what}",
        create_pr=create_pr,
    )
