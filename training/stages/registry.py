"""The stages by name. Importing this file loads no network: `frr train --help` reads it."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from ..data.pools import PoolConfig
    from .base import StageConfig


class Entry(NamedTuple):
    """Where a stage, or what makes its pools, stands: a file beside this one, and a class there."""

    module: str
    config: str
    summary: str
    pool: str = ""  # the pools that it learns from, where its batches can be stored


STAGES = {
    "router": Entry("router", "RouterConfig", "MoFRR: which operations a photo shows.", "router"),
    "warp": Entry("coarse", "WarpConfig", "MoFRR: a geometric expert's flow head.", "warp"),
    "tone": Entry("coarse", "ToneConfig", "MoFRR: a tonal expert's tone head.", "tone"),
    "expert": Entry("expert", "ExpertConfig", "MoFRR: a whole expert for one operation."),
    "shared": Entry("shared", "SharedConfig", "MoFRR: the expert for all operations."),
    "merger": Entry("merger", "MergerConfig", "MoFRR: how answers are fused.", "merger"),
    "native_router": Entry(
        "native_router",
        "NativeRouterConfig",
        "MoFRR at the photo's own size: which operations it shows.",
        "native",
    ),
    "native_flow": Entry(
        "native_flow", "NativeFlowConfig", "The same: an expert that moves pixels.", "native"
    ),
    "native_tone": Entry(
        "native_tone", "NativeToneConfig", "The same: an expert for light and colour.", "native"
    ),
    "native_texture": Entry(
        "native_texture", "NativeTextureConfig", "The same: an expert for detail.", "native"
    ),
    "native_diffusion": Entry(
        "native_diffusion",
        "NativeDiffusionConfig",
        "The same: texture that samples of such an expert draw.",
        "native",
    ),
    "bpfre": Entry("bpfre", "BPFReConfig", "BPFRe: find blemishes and retouch them."),
    "bpfre_healer": Entry(
        "bpfre_healer",
        "HealerConfig",
        "BPFRe: natural skin, spots and lines, healed at the photo's own size.",
        "natural",
    ),
    "bpfre_inpaint": Entry("bpfre_inpaint", "InpaintConfig", "BPFRe: fill holes in faces."),
}

POOLS = {
    "router": Entry("router", "RouterPool", STAGES["router"].summary),
    "warp": Entry("coarse", "WarpPool", STAGES["warp"].summary),
    "tone": Entry("coarse", "TonePool", STAGES["tone"].summary),
    "merger": Entry("merger", "MergerPool", STAGES["merger"].summary),
    "native": Entry(
        ".data.native_chains",
        "ChainPool",
        "MoFRR at the photo's own size: what its router and its experts learn from.",
    ),
    "natural": Entry(
        ".data.natural", "NaturalPool", "BPFRe: faces and what a retoucher finds on them."
    ),
}


def find_stage(name: str) -> Entry:
    """The entry of a stage.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in STAGES:
        raise ValueError(f"unknown stage {name!r}; choose from {', '.join(STAGES)}")
    return STAGES[name]


def stage_config(name: str) -> "type[StageConfig]":
    """The class of a stage's settings."""
    entry = find_stage(name)
    return getattr(import_module(f".{entry.module}", __package__), entry.config)


def pool_config(name: str) -> "type[PoolConfig]":
    """The class of the settings of pools: those of a name, or those that a stage learns from.

    Raises:
        ValueError: an unknown stage, or one whose batches are not stored.
    """
    pool = name if name in POOLS else find_stage(name).pool
    if not pool:
        pooled = [other for other, each in STAGES.items() if each.pool]
        raise ValueError(f"stage {name} has no pools; those that have: {', '.join(pooled)}")
    entry = POOLS[pool]
    return getattr(import_module(f".{entry.module}", __package__), entry.config)


def refuse_foreign(name: str, given: Mapping[str, object]) -> None:
    """Raises ValueError, saying whose it is, where a setting is not the stage's own."""
    own = stage_config(name).names()
    for setting in given:
        if setting in own:
            continue
        owners = [other for other in STAGES if setting in stage_config(other).names()]
        if not owners:
            raise ValueError(f"unknown setting {setting!r}; stage {name} has {', '.join(own)}")
        raise ValueError(
            f"stage {name} has no setting {setting!r}, which belongs to {', '.join(owners)}; "
            f"it has {', '.join(own)}"
        )


def simulation_settings(name: str) -> list[str]:
    """Settings of a stage that its pools decide, where it learns from pools."""
    from .base import StageConfig

    if not find_stage(name).pool:
        return []
    shared = set(pool_config(name).names()) - set(StageConfig.names())
    return [setting for setting in stage_config(name).names() if setting in shared]
