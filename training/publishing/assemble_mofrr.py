"""Assembles the stages' trained networks into a pipeline folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...models.mofrr.expert import WaveFRRExpert
from ...models.mofrr.merger import ExpertMerger
from ...models.mofrr.native_router import NativeRouter
from ...models.mofrr.router import RetouchRouter
from ...models.mofrr.shared import SharedExpert
from ...models.presets import PRESETS
from ...pipelines.mofrr.pipeline import MoFRRPipeline
from ...pipelines.operations import OPERATIONS
from ..data.faces import FaceSet
from ..judging.thresholds import calibrated_thresholds
from ..run_folder import load_trained, model_folder
from ..stages.expert import expert_part, make_scheduler

MAX_FALSE_POSITIVE_RATE = 0.15  # of each operation, on untouched validation faces


def assemble(
    runs: Path | str,
    faces: FaceSet | None = None,
    seed: int = 0,
    degree_source: str = "expert",
) -> MoFRRPipeline:
    """A pipeline from the run folders `router`, `shared`, `merger` and one for each operation.

    The operations are those that the router was trained for. Experts that answer at once need
    neither merger nor shared expert: beside a router that reads photos at their own size, those
    that no run folder holds are left out.

    Args:
        runs: folder of the run folders, each with a trained `model`.
        faces: validation faces to calibrate the router's thresholds on; None keeps them.
        seed: fixes the recipes of the calibration.
        degree_source: who estimates degrees, as for `MoFRRPipeline`.

    Raises:
        ValueError: a run folder has no trained model, the source is unknown, or the router is
            calibrated in another way.
    """
    runs = Path(runs)
    router = _trained("router", runs / "router")
    native = isinstance(router, NativeRouter)
    networks: dict[str, Any] = {"router": router}
    for name, component in (("shared", "shared_expert"), ("merger", "merger")):
        absent = native and not (runs / name).exists()
        networks[name] = None if absent else _trained(component, runs / name)
    operations = tuple(router.config.operations)
    experts = {f"{name}_expert": _trained(f"{name}_expert", runs / name) for name in operations}
    if faces is not None:
        if native:
            raise ValueError(
                "this router reads photos at their own size: calibrate it with `frr evaluate "
                "--world real` on validation people and `frr thresholds`"
            )
        thresholds = calibrated_thresholds(
            router, faces, seed=seed, max_false_positive_rate=MAX_FALSE_POSITIVE_RATE
        )
        router.register_to_config(thresholds=thresholds)
    return _join(networks, experts, degree_source=degree_source)


def fresh_pipeline(preset: str = "tiny", **settings: Any) -> MoFRRPipeline:
    """A pipeline of a preset's networks with random weights: they cost what trained ones do.

    Args:
        preset: name of the sizes.
        settings: as for `MoFRRPipeline`.
    """
    sizes = PRESETS[preset]
    networks = {
        "router": RetouchRouter(OPERATIONS, **sizes["router"]),
        "shared": SharedExpert(**sizes["shared"]),
        "merger": ExpertMerger(OPERATIONS, **sizes["merger"]),
    }
    experts = {f"{name}_expert": WaveFRRExpert(**sizes[expert_part(name)]) for name in OPERATIONS}
    return _join(networks, experts, **settings)


def _join(
    networks: Mapping[str, Any], experts: Mapping[str, Any], **settings: Any
) -> MoFRRPipeline:
    """The pipeline of those networks, for the router's operations."""
    kind: Any = MoFRRPipeline.for_operations(networks["router"].config.operations)
    return kind(
        router=networks["router"],
        scheduler=make_scheduler(_predicted({**experts, "shared": networks["shared"]})),
        shared_expert=networks["shared"],
        merger=networks["merger"],
        **experts,
        **settings,
    )


def _predicted(networks: Mapping[str, Any]) -> str:
    """What all networks that denoise predict.

    Raises:
        ValueError: one predicts the clean sample and another the noise.
    """
    kinds = {
        name: each.config.get("prediction_type", "sample")
        for name, each in networks.items()
        if hasattr(each, "denoise")
    }
    if len(set(kinds.values())) > 1:
        raise ValueError(
            f"networks that predict different things came ({kinds}); one scheduler steps all of "
            "them: train them with the same prediction_type"
        )
    return next(iter(kinds.values()), "sample")


def _trained(component: str, run: Path) -> Any:
    """The network that a run folder holds, of whichever class may stand there in a pipeline."""
    folder = model_folder(run)
    name = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("_class_name")
    classes: dict[str, Any] = {
        kind.__name__: kind for kind in MoFRRPipeline.network_classes(component)
    }
    if name not in classes:
        raise ValueError(f"{folder} holds a {name}; {component} is one of {', '.join(classes)}")
    return load_trained(classes[name], folder).eval()
