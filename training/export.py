"""Assembles the stages' trained networks into a pipeline folder."""

from pathlib import Path

from ..models.mofrr_expert import WaveFRRExpert
from ..models.mofrr_merger import ExpertMerger
from ..models.mofrr_router import RetouchRouter
from ..models.mofrr_shared import SharedExpert
from ..pipelines.pipeline_mofrr import MoFRRPipeline
from ..pipelines.simulate.recipe import OPERATIONS
from .calibrate_router import calibrated_thresholds
from .faces import FaceSet
from .stage_expert import make_scheduler

MAX_FALSE_POSITIVE_RATE = 0.05  # of each operation, on untouched validation faces
STAGE_NETWORKS = {"router": RetouchRouter, "shared": SharedExpert, "merger": ExpertMerger}


def assemble(runs: Path | str, faces: FaceSet | None = None, seed: int = 0) -> MoFRRPipeline:
    """A pipeline from the run folders `router`, `shared`, `merger` and one for each operation.

    Args:
        runs: folder of the run folders, each with a trained `model`.
        faces: validation faces to calibrate the router's thresholds on; None keeps them.
        seed: fixes the recipes of the calibration.

    Raises:
        ValueError: a run folder has no trained model.
    """
    kinds = STAGE_NETWORKS | dict.fromkeys(OPERATIONS, WaveFRRExpert)
    networks = {}
    for name, kind in kinds.items():
        folder = Path(runs) / name / "model"
        if not (folder / "config.json").is_file():
            raise ValueError(f"{folder} holds no trained network: run that stage to its end first")
        networks[name] = kind.from_pretrained(folder).eval()

    router = networks["router"]
    if faces is not None:
        thresholds = calibrated_thresholds(
            router, faces, seed=seed, max_false_positive_rate=MAX_FALSE_POSITIVE_RATE
        )
        router.register_to_config(thresholds=thresholds)
    return MoFRRPipeline(
        router=router,
        scheduler=make_scheduler(),
        shared_expert=networks["shared"],
        merger=networks["merger"],
        **{f"{name}_expert": networks[name] for name in OPERATIONS},
    )
