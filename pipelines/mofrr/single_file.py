"""A whole MoFRRPipeline in one safetensors file, as model folders of desktop programs like it.

Tensors are named `<part>.<name>`; the configs stand as JSON in the file's metadata under "frr".
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import SchedulerMixin
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..repository.fitting import check_finite, check_fit
from ..repository.writing import replacing
from .pipeline import MoFRRPipeline

METADATA_KEY = "frr"
FORMAT = "mofrr-1"
SETTINGS = ("working_size", "degree_source")


def save_single_file(pipe: MoFRRPipeline, file: str | os.PathLike) -> None:
    """Write networks, configs and scheduler of a pipeline to one file.

    Args:
        pipe: the pipeline.
        file: its path, ending in .safetensors.
    """
    parts: dict[str, Any] = {
        name: part for name, part in pipe.components.items() if isinstance(part, nn.Module)
    }
    tensors = {
        f"{name}.{key}": tensor.detach().cpu().contiguous()
        for name, part in parts.items()
        for key, tensor in part.state_dict().items()
    }
    record = {
        "format": FORMAT,
        "operations": list(pipe.operations),
        "parts": {name: _with_class(part) for name, part in parts.items()},
        "scheduler": [type(pipe.scheduler).__name__, _plain(pipe.scheduler.config)],
        "settings": {name: pipe.config[name] for name in SETTINGS},
    }
    with replacing(Path(file)) as beside:
        save_file(tensors, str(beside), metadata={METADATA_KEY: json.dumps(record)})


def _with_class(part: Any) -> dict[str, Any]:
    return {"_class_name": type(part).__name__, **_plain(part.config)}


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if not key.startswith("_")}


def load_single_file(
    file: str | os.PathLike,
    dtype: torch.dtype | None = None,
    read: Callable[[str], Mapping[str, Tensor]] | None = None,
) -> MoFRRPipeline:
    """Load what `save_single_file` wrote.

    Args:
        file: the file.
        dtype: of the weights; None as they were saved.
        read: reads the tensors of a safetensors file; None takes safetensors' own way.

    Raises:
        ValueError: the file is no such file, is damaged, or does not fit its configs.
    """
    record, tensors = _read(Path(file), read)
    try:
        pipeline_class: Any = MoFRRPipeline.for_operations(record["operations"])
        parts: dict[str, Any] = dict.fromkeys(pipeline_class._optional_components)
        for name, config in record["parts"].items():
            kind: Any = pipeline_class.network_class(name, config.get("_class_name"))
            prefix = f"{name}."
            weights = {
                k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)
            }
            check_fit(kind, config, {key: tuple(v.shape) for key, v in weights.items()}, file)
            network = kind.from_config(config)
            network.load_state_dict(weights)
            parts[name] = network.to(dtype=dtype) if dtype is not None else network
            check_finite(network, file)
        scheduler_name, config = record["scheduler"]
        scheduler = _scheduler(scheduler_name, config)
        return pipeline_class(scheduler=scheduler, **parts, **record["settings"])
    except (KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise ValueError(f"{file} does not fit its own configs: {error}") from error


def _scheduler(name: str, config: dict[str, Any]) -> Any:
    found: Any = getattr(diffusers, str(name), None)
    if not (isinstance(found, type) and issubclass(found, SchedulerMixin)):
        raise TypeError(f"diffusers {diffusers.__version__} has no scheduler {name!r}")
    scheduler_class: Any = found
    return scheduler_class.from_config(config)


def _read(
    file: Path, read: Callable[[str], Mapping[str, Tensor]] | None
) -> tuple[dict[str, Any], Mapping[str, Tensor]]:
    try:
        with safe_open(str(file), "pt") as content:
            text = (content.metadata() or {}).get(METADATA_KEY)
            record = json.loads(text) if text else {}
            if record.get("format") != FORMAT:
                raise ValueError(
                    f"{file} is a safetensors file, but no MoFRR pipeline in one file; it lacks "
                    f"the {FORMAT} configs in its metadata"
                )
            if read is not None:
                return record, read(str(file))
            return record, {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"{file} is no whole safetensors file ({error}); fetch it again"
        ) from error
