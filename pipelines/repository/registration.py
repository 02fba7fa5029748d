"""Makes `DiffusionPipeline.from_pretrained` know this package's pipelines.

diffusers asks for `trust_remote_code=True` where a repository brings its own code. Where this
package is imported that code is here already: `install` wraps the one public method, so that a
repository of a pipeline listed below is loaded by the package's class, and none of the repository's
code runs. With the flag the repository's own code runs, as without this package.
"""

import functools
import importlib
import importlib.abc
import importlib.util
import json
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

PIPELINES = {"BPFRePipeline": "..bpfre.pipeline", "MoFRRPipeline": "..mofrr.pipeline"}
"""The module of each pipeline class, from this folder."""

TARGET = "diffusers.pipelines.pipeline_utils"
MARK = "_knows_frr"


def install() -> None:
    """Wraps diffusers' loader: now, or as soon as diffusers is imported; imports nothing itself."""
    if (module := sys.modules.get(TARGET)) is not None:
        _wrap(module)
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


class _Watch(importlib.abc.MetaPathFinder):
    """Waits for diffusers' module to be imported, wraps its loader, and is gone."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if fullname != TARGET:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Wrapping(spec.loader)
        return spec


class _Wrapping(importlib.abc.Loader):
    """A module's own loader, then `_wrap`."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec: Any = module.__spec__
        spec.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        _wrap(module)


def _wrap(module: ModuleType) -> None:
    pipeline: Any = getattr(module, "DiffusionPipeline", None)
    original: Callable[..., Any] | None = getattr(
        getattr(pipeline, "from_pretrained", None), "__func__", None
    )
    if original is None or hasattr(original, MARK):
        return

    @functools.wraps(original)
    def from_pretrained(cls: Any, pretrained_model_name_or_path: Any, **options: Any) -> Any:
        try:
            return original(cls, pretrained_model_name_or_path, **options)
        except Exception:
            unasked = cls is not pipeline or options.get("trust_remote_code")
            if unasked or options.get("custom_pipeline") is not None:
                raise
            own = own_class(pretrained_model_name_or_path, options)
            if own is None:
                raise
        return own.from_pretrained(pretrained_model_name_or_path, **options)

    setattr(from_pretrained, MARK, True)
    pipeline.from_pretrained = classmethod(from_pretrained)


def own_class(name: Any, options: dict[str, Any]) -> Any | None:
    """This package's class for a folder or a Hub id whose index was fetched, or None."""
    file = Path(name) / "model_index.json"
    if not Path(name).is_dir():
        from huggingface_hub import try_to_load_from_cache

        wanted = {key: options[key] for key in ("cache_dir", "revision") if options.get(key)}
        try:
            found = try_to_load_from_cache(str(name), file.name, **wanted)
        except ValueError:  # no Hub id
            return None
        if not isinstance(found, str):
            return None
        file = Path(found)
    try:
        kind = json.loads(file.read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    name = kind[-1] if isinstance(kind, list) and kind else kind
    if name not in PIPELINES:
        return None
    return getattr(importlib.import_module(PIPELINES[name], __package__), name)
