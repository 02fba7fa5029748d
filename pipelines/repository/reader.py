"""Reading a pipeline from the folder that `save_pretrained` writes, with every part checked.

diffusers' own `from_pretrained` would run the folder's code and asks for `trust_remote_code`; here
the classes come from the code that is already imported, and only configs and weights are read.
"""

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline, ModelMixin, SchedulerMixin
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

from .fitting import building, check_finite, check_fit, shapes_of
from .loading import (
    DeviceMap,
    Dtype,
    check_options,
    read_device_map,
    read_dtype,
    read_quantization,
    tell_loaded,
)
from .writer import CARD_NAME, CHECKSUMS_NAME, INDEX_NAME, digest

WEIGHTS_STEM = "diffusion_pytorch_model"
BESIDE_WEIGHTS = ("*.json", CHECKSUMS_NAME, CARD_NAME, "*.png", "*.jpg", "*.webp")


def read_json(file: Path, missing: str) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        ValueError: the file is not there (`missing` says what that means), or is not JSON.
    """
    if not file.is_file():
        raise ValueError(f"{file} does not exist: {missing}")
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{file} is not JSON ({error}); fetch or export it again") from error
    if not isinstance(entries, dict):
        raise ValueError(f"{file} holds no JSON object; fetch or export it again")
    return entries


def read_index(folder: Path, class_name: str) -> dict[str, Any]:
    """The index of a folder, which must be one of a `class_name`."""
    if (folder / "config.json").is_file() and not (folder / INDEX_NAME).is_file():
        kind = read_json(folder / "config.json", "").get("_class_name")
        raise ValueError(
            f"{folder} is the folder of a single network ({kind}); expected a {class_name}'s, "
            f"with {INDEX_NAME}"
        )
    index = read_json(folder / INDEX_NAME, f"a {class_name}'s folder holds it; is the path right?")
    kind = index.get("_class_name")
    kind = kind[-1] if isinstance(kind, list) and kind else kind
    if kind != class_name:
        raise ValueError(
            f"{folder / INDEX_NAME} describes a {kind}; expected a {class_name}: is the path right?"
        )
    return index


def weights_files(folder: Path, variant: str | None) -> list[Path]:
    """The safetensors files of a network's folder: one, several shards, or none."""
    stem = f"{WEIGHTS_STEM}.{variant}" if variant else WEIGHTS_STEM
    index = folder / f"{WEIGHTS_STEM}.safetensors.index{f'.{variant}' if variant else ''}.json"
    if index.is_file():
        shards = read_json(index, "").get("weight_map")
        names = sorted(set(map(str, shards.values()))) if isinstance(shards, dict) else []
        if not names or any(Path(name).name != name for name in names):
            raise ValueError(f"{index} lists no shards beside it; fetch or export it again")
        return [folder / name for name in names]
    whole = folder / f"{stem}.safetensors"
    return [whole] if whole.is_file() else []


def check_weights(files: list[Path], repository: Path) -> None:
    """Raises ValueError, naming the file, for weights that are missing, truncated or altered."""
    sums = repository / CHECKSUMS_NAME
    lines = sums.read_text(encoding="utf-8").splitlines() if sums.is_file() else []
    known = {name: value for value, _, name in (line.partition("  ") for line in lines)}
    for file in files:
        if not file.is_file():
            raise ValueError(f"{file} does not exist, though the folder's index names it")
        try:
            with safe_open(file, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"{file} is no whole safetensors file ({error}); fetch or export it again"
            ) from error
        expected = known.get(file.relative_to(repository).as_posix())
        if expected is not None and expected != digest(file):
            raise ValueError(
                f"{file} is not the file whose digest {CHECKSUMS_NAME} holds: it was altered or "
                f"damaged. Fetch it again; if you changed it on purpose, delete {sums}"
            )


def load_network(
    network_class: type[Any],
    folder: Path,
    dtype: torch.dtype | None,
    variant: str | None,
    **options: Any,
) -> ModelMixin:
    """Loads one network from its folder inside a repository.

    Raises:
        ValueError: naming the file that is missing, damaged or of another network.
    """
    config = read_json(folder / "config.json", f"the repository names the part {folder.name}")
    if config.get("_class_name") != network_class.__name__:
        raise ValueError(
            f"{folder / 'config.json'} describes a {config.get('_class_name')}; expected a "
            f"{network_class.__name__}"
        )
    variant = variant if variant and weights_files(folder, variant) else None
    files = weights_files(folder, variant)
    if not files:
        raise ValueError(f"{folder / WEIGHTS_STEM}.safetensors does not exist; fetch it again")
    check_weights(files, folder.parent)
    shapes = shapes_of(files)
    try:
        if not options.get("low_cpu_mem_usage", True):
            check_fit(network_class, config, shapes, files[0])
        with building(len(shapes), files[0]):
            network, info = network_class.from_pretrained(
                folder,
                torch_dtype=dtype,
                variant=variant,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        if "quantization_config" in options:
            raise ValueError(f"{folder.name} cannot be quantized as asked: {error}") from error
        raise ValueError(
            f"{files[0]} does not fit {folder / 'config.json'}, or one of them is damaged: {error}"
        ) from error
    _check_keys(files[0], network_class, info)
    check_finite(network, files[0])
    return network


def _check_keys(file: Path, network_class: type, info: Mapping[str, Any]) -> None:
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if info.get(what):
            some = ", ".join(map(str, info[what][:3]))
            raise ValueError(
                f"{file} does not hold the weights of this {network_class.__name__}: "
                f"{len(info[what])} {what.replace('_', ' ')} ({some}, ...)"
            )


def load_scheduler(class_name: str | None, folder: Path) -> Any:
    """Loads a scheduler of diffusers from its folder inside a repository."""
    found = getattr(diffusers, str(class_name), None)
    scheduler_class: Any = found
    if not (isinstance(found, type) and issubclass(found, SchedulerMixin)):
        raise ValueError(
            f"{folder.parent / INDEX_NAME} names the scheduler {class_name!r}, which diffusers "
            f"{diffusers.__version__} does not have"
        )
    file = folder / "scheduler_config.json"
    config = read_json(file, "the repository has no scheduler")
    try:
        return scheduler_class.from_config(config)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ValueError(f"{file} is no {class_name}'s config: {error}") from error


def find_folder(
    name: str | os.PathLike, skipped: list[str], variant: str | None, **hub: Any
) -> Path:
    """A folder as it is, or the snapshot of a Hub repository without the folders in `skipped`."""
    try:
        if Path(name).is_dir():
            return Path(name)
    except (OSError, ValueError) as error:
        raise ValueError(f"{str(name)[:80]!r} cannot be a folder ({error})") from error
    if Path(name).is_absolute() or str(name).startswith(".") or str(name).count("/") != 1:
        raise ValueError(f"{name} is no folder, and no Hub id of the form owner/name either")
    skipped = [f"{part}/*" for part in skipped]
    fetch = partial(snapshot_download, str(name), ignore_patterns=skipped, **hub)
    try:
        folder = Path(fetch(allow_patterns=[*BESIDE_WEIGHTS, *_weights_patterns(variant)]))
        if variant and (plain := _parts_without(folder, variant)):
            fetch(allow_patterns=[end.replace("*", part, 1) for part in plain for end in WEIGHTS])
        return folder
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{name} is no folder here, and the Hub did not give it either: {error}"
        ) from error


def _weights_patterns(variant: str | None) -> list[str]:
    stem = f"{WEIGHTS_STEM}.{variant}" if variant else WEIGHTS_STEM
    return [f"*/{stem}.safetensors", f"*/{stem}-*.safetensors"]


WEIGHTS = _weights_patterns(None)


def _parts_without(folder: Path, variant: str) -> list[str]:
    """The networks of a snapshot that have no weights of the variant."""
    parts = (file.parent for file in folder.glob("*/config.json"))
    return [part.name for part in parts if not weights_files(part, variant)]


class RepositoryReader(DiffusionPipeline):
    """`from_pretrained` of a pipeline that knows the classes of its networks."""

    @classmethod
    def network_classes(cls, name: str) -> tuple[type[ModelMixin], ...]:
        """The classes of which the network that stands as component `name` may be."""
        raise NotImplementedError

    @classmethod
    def network_class(cls, name: str, class_name: str | None) -> type[ModelMixin]:
        """The class of that name for component `name`; None: the first that it may be of.

        Raises:
            ValueError: the component cannot be of that class.
        """
        known = {each.__name__: each for each in cls.network_classes(name)}
        if class_name is None:
            return next(iter(known.values()))
        if class_name not in known:
            raise ValueError(f"{name} is of class {class_name!r}; expected {' or '.join(known)}")
        return known[class_name]

    @classmethod
    def for_index(cls, index: Mapping[str, Any]) -> type[Any]:
        """The class to make, which may depend on the parts that a repository's index lists."""
        return cls

    @classmethod
    def from_pretrained(  # pyright: ignore[reportIncompatibleMethodOverride]
        cls,
        pretrained_model_name_or_path: str | os.PathLike,
        *,
        dtype: Dtype = None,
        torch_dtype: Dtype = None,
        variant: str | None = None,
        low_cpu_mem_usage: bool = True,
        device_map: DeviceMap = None,
        quantization_config: Any = None,
        cache_dir: str | Path | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        **parts: Any,
    ) -> Any:
        """Loads a pipeline from a folder or a Hub id, running no code from there.

        Args:
            pretrained_model_name_or_path: a folder that `save_pretrained` wrote, or owner/name.
            dtype: of the weights, as torch.float16 or "float16"; or a mapping from a component's
                name, or "default", to its dtype.
            torch_dtype: the older name of `dtype`.
            variant: for example "fp16"; a network that has no such file is read without.
            low_cpu_mem_usage: see diffusers; False also fills networks with random weights first.
            device_map: the device to load to, as "cuda"; see `loading.read_device_map`.
            quantization_config: diffusers' PipelineQuantizationConfig, by component; see
                `loading.read_quantization`.
            cache_dir: see huggingface_hub, like the following four.
            force_download: fetch files again that are there already.
            local_files_only: use no network.
            token: Hub token; None takes the one of `hf auth login`.
            revision: branch, tag or commit.
            trust_remote_code: without effect: no code is taken from the repository.
            parts: any argument of the pipeline's constructor: a component to use instead (None
                leaves an optional one out: it is neither fetched nor loaded), or a setting.

        Raises:
            ValueError: the folder is of another kind, or a file in it is missing or damaged; the
                message names the file.
        """
        device = read_device_map(device_map)
        check_options(low_cpu_mem_usage, device)
        folder = find_folder(
            pretrained_model_name_or_path,
            list(parts),
            variant,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
            revision=revision,
        )
        index = read_index(folder, cls.__name__)
        kind = cls.for_index(index)
        modules, settings = kind._get_signature_keys(kind)
        if unknown := sorted(set(parts) - set(modules) - set(settings)):
            raise TypeError(f"{cls.__name__}.from_pretrained got unexpected arguments {unknown}")
        extra = sorted(
            name for name in index if name[0] != "_" and name not in (*modules, *settings)
        )
        if extra:
            raise ValueError(
                f"{folder / INDEX_NAME} holds {', '.join(extra)}, unknown to this {cls.__name__}; "
                "update the package"
            )
        _check_variant(folder, index, variant)
        networks = [name for name in modules if name not in parts and name != "scheduler"]
        quantized = read_quantization(quantization_config, networks)
        loaded = {name: index[name] for name in settings if name in index}
        for name in modules:
            if name not in parts:
                options = {"variant": variant, "low_cpu_mem_usage": low_cpu_mem_usage}
                if name in quantized:
                    options["quantization_config"] = quantized[name]
                if device is not None:
                    options["device_map"] = device
                wanted = read_dtype(torch_dtype if dtype is None else dtype, name)
                loaded[name] = kind._load_part(folder, index, name, dtype=wanted, **options)
        pipeline = kind(**{**loaded, **parts})
        pipeline.register_to_config(_name_or_path=str(folder))
        pipeline.hf_device_map = device
        return pipeline

    @classmethod
    def _load_part(cls, folder: Path, index: dict[str, Any], name: str, **options: Any) -> Any:
        entry = index.get(name, [None, None])
        if not isinstance(entry, list) or len(entry) != 2:
            raise ValueError(f"{folder / INDEX_NAME}: {name} is {entry!r}; expected [file, class]")
        class_name: Any = entry[1]
        if class_name is None and name in cls._optional_components:
            return None
        if name == "scheduler":
            component = load_scheduler(class_name, folder / name)
        else:
            try:
                expected = cls.network_class(name, str(class_name))
            except ValueError as error:
                raise ValueError(f"{folder / INDEX_NAME}: {error}") from error
            component = load_network(expected, folder / name, **options)
        tell_loaded(name, component, folder)
        return component


def _check_variant(folder: Path, index: dict[str, Any], variant: str | None) -> None:
    parts = [name for name, entry in index.items() if isinstance(entry, list) and name[0] != "_"]
    if variant and not any(weights_files(folder / name, variant) for name in parts):
        raise ValueError(
            f"You are trying to load the model files of the `variant={variant}`, but no such "
            f"modeling files are available: {folder} holds no such weights; leave variant out"
        )
