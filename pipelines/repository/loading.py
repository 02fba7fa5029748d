"""How a pipeline's networks are to be loaded: in which dtype, and to which device."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers import PipelineQuantizationConfig

log = logging.getLogger("diffusers.pipelines.pipeline_utils")
"""The log in which diffusers' own loader names what it loads."""

Dtype = str | torch.dtype | Mapping[str, str | torch.dtype] | None
DeviceMap = str | int | torch.device | Mapping[str, str | int | torch.device] | None


def read_dtype(dtype: Dtype, component: str) -> torch.dtype | None:
    """The dtype of one component: "float16" and torch.float16 are the same; None: as diffusers.

    Args:
        dtype: of all components, or a mapping from a component's name, or "default", to its dtype.
        component: its name.

    Raises:
        ValueError: a name that is no floating point type of torch.
    """
    if isinstance(dtype, Mapping):
        dtype = dtype.get(component, dtype.get("default"))
    if dtype is None or isinstance(dtype, torch.dtype):
        return dtype
    found = getattr(torch, str(dtype).removeprefix("torch."), None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(
            f"dtype is {dtype!r}; expected a floating point type of torch or its name, as 'float16'"
        )
    return found


def read_device_map(device_map: DeviceMap) -> str | None:
    """The one device to which a pipeline's networks go; None: they stay where diffusers reads them.

    Args:
        device_map: a device; "balanced" for the accelerator with most room (the CPU where there is
            none); or a mapping from components to devices, all of which must be the same: a
            restoration hands tensors from network to network and needs all of them in one place.

    Raises:
        ValueError: no device, one that this machine does not have, or several.
    """
    if device_map is None:
        return None
    if device_map == "balanced":
        return _roomiest()
    asked = device_map.values() if isinstance(device_map, Mapping) else [device_map]
    devices = {_device(each) for each in asked}
    if len(devices) != 1:
        raise ValueError(
            f"device_map is {device_map!r}; expected one device for all networks: tensors go "
            "from one to the next. Where memory is short, use enable_model_cpu_offload()"
        )
    return str(devices.pop())


def _device(device: str | int | torch.device) -> torch.device:
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise ValueError(
            f"device_map names {device!r}, which is no device of this machine: {error}; expected "
            "'balanced' or a device, as 'cpu' or 'cuda'"
        ) from error
    return found


def _roomiest() -> str:
    from accelerate.utils import get_max_memory

    free = {name: size for name, size in get_max_memory().items() if name not in ("cpu", "disk")}
    if not free:
        return "cpu"
    kind = torch.accelerator.current_accelerator()
    return f"{kind.type if kind else 'cuda'}:{max(free, key=free.__getitem__)}"


def check_options(low_cpu_mem_usage: bool, device: str | None) -> None:
    """Raises ValueError for two options that exclude each other."""
    if device is not None and not low_cpu_mem_usage:
        raise ValueError(
            "device_map came with low_cpu_mem_usage=False; leave one of them out: networks that go "
            "to their device at once are not made in the host's memory first"
        )


def read_quantization(config: Any, networks: Sequence[str]) -> dict[str, Any]:
    """How each network is to be quantized, by component; one that is not named stays as it is.

    Quantizers replace linear layers alone, which are 69 % of the shipped router's weights and 1 %
    of the shipped experts'.

    Args:
        config: diffusers' PipelineQuantizationConfig, or None.
        networks: the components that could be.

    Raises:
        ValueError: a config of another kind, or one that names something else.
    """
    if config is None:
        return {}
    if not isinstance(config, PipelineQuantizationConfig):
        raise ValueError(
            f"quantization_config is a {type(config).__name__}; expected diffusers' "
            "PipelineQuantizationConfig, whose quant_mapping says how each network is quantized"
        )
    named = config.quant_mapping or config.components_to_quantize or ()
    if unknown := sorted(set(named) - set(networks)):
        raise ValueError(
            f"quantization_config names {', '.join(unknown)}; the networks here are "
            f"{', '.join(networks)}"
        )
    each = {name: config._resolve_quant_config(module_name=name) for name in networks}
    return {name: found for name, found in each.items() if found is not None}


def tell_loaded(name: str, component: Any, folder: Any) -> None:
    """Names a component in diffusers' log, as its own loader does."""
    kind = type(component).__name__
    log.info("Loaded %s as %s from `%s` subfolder of %s.", name, kind, name, folder)
