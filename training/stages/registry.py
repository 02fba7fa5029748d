"""The stages by name, with everything one needs: settings, networks, data, and the run itself."""

import dataclasses
import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...models.bpfre.critic import PixelCritic
from ...models.bpfre.retoucher import BlemishRetoucher
from ...models.mofrr.expert import WaveFRRExpert
from ...models.mofrr.merger import ExpertMerger
from ...models.mofrr.router import RetouchRouter
from ...models.mofrr.shared import SharedExpert
from ...models.presets import PRESETS
from ...pipelines.simulate import bank
from ...pipelines.simulate.recipe import OPERATIONS
from ..data.retouching import RetouchSource
from ..data.blemishes import BlemishSource
from ..data.faces import load_faces
from ..loop import LoopConfig, Stage, train
from ..perceptual import feature_loss
from .bpfre import BPFReStage
from .coarse import CoarseStage, ToneStage, WarpStage
from .expert import ExpertStage
from .bpfre_inpaint import InpaintStage
from .merger import MergerStage
from .router import RouterStage
from .shared import SharedStage

_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True)
class StageConfig(LoopConfig):
    """The loop's settings and what the stage is made of. Each field can be set by name."""

    preset: str = "tiny"
    operations: str = ",".join(OPERATIONS)  # all that photos get, in the order of the outputs
    operation: str = ""  # stages `warp`, `tone` and `expert`: which one
    batch_size: int = 12  # photos; stage `router`: faces, each in all its versions
    size: int = 256  # side of the faces in pixels
    export_probability: float = 0.15  # photos compressed or resized after retouching
    min_degree: float = 0.15  # degrees are drawn evenly from here to 1
    vary_light: float = 0.5  # share of the faces whose exposure and white balance vary
    vary_capture: float = 0.6  # share of the faces whose sharpness and noise vary
    start: str = ""  # model folder to start from instead of random weights
    pool: int = 0  # faces simulated once for all steps (not `expert`, `shared`); 0 = ever new
    frozen_statistics: bool = False  # stage `router`: batch normalisation as `start` left it
    keep_heads: bool = False  # stage `expert`: all but degree estimator and coarse head
    models: str = ""  # stage `merger`: folder that holds the run folders of the other stages
    limit: int = 0  # faces at most; 0 = all
    pair_share: float = 1.0  # stage `bpfre`: share of the faces that have pairs
    unpaired: bool = False  # stage `bpfre`: learn from the other faces too
    detection_only: bool = False  # stage `bpfre`: encoder and E2D map alone, a quick first phase
    paintings: int = 0  # stage `bpfre`: paintings of each face; 0 = ever new ones
    keep_detection: bool = False  # stage `bpfre`: all but encoder and E2D map, the second phase
    crop: int = 0  # stage `bpfre`: side of the windows trained on; 0 = whole faces
    adversarial: float = 0.002  # stage `bpfre`: weight of the critic's verdict; 0 = no critic
    vgg: str = ""  # stage `bpfre`: VGG-19 weights for the perceptual loss; Haar bands when empty
    device: str = ""  # accelerate's choice when empty

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.preset not in PRESETS:
            raise ValueError(f"preset {self.preset!r} is unknown; choose from {tuple(PRESETS)}")
        if unknown := set(self.names) - set(bank.ALGORITHMS):
            raise ValueError(
                f"operations names {sorted(unknown)}; the simulator has {tuple(bank.ALGORITHMS)}"
            )
        if self.batch_size < 1 or self.size < 32:
            raise ValueError(
                f"batch_size must be at least 1 and size at least 32, got {self.batch_size}, "
                f"{self.size}"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """The operations."""
        return tuple(name.strip() for name in self.operations.split(","))


def _router(config: StageConfig, source: RetouchSource) -> RouterStage:
    model = _network(RetouchRouter, config, "router")
    return RouterStage(
        model,
        source,
        faces_per_batch=config.batch_size,
        pool=config.pool,
        frozen_statistics=config.frozen_statistics,
        seed=config.seed,
    )


def _operation(config: StageConfig, choices: tuple[str, ...]) -> str:
    if config.operation not in choices:
        raise ValueError(
            f"this stage needs operation=NAME, one of {choices}; got {config.operation!r}"
        )
    return config.operation


def expert_part(operation: str) -> str:
    """The preset's name for the expert that undoes an operation."""
    if operation in bank.GEOMETRIC:
        return "geometric_expert"
    return "tonal_expert" if operation in bank.TONAL else "expert"


def _coarse(
    kind: type[CoarseStage], choices: Collection[str], config: StageConfig, source: RetouchSource
) -> CoarseStage:
    operation = _operation(config, tuple(name for name in config.names if name in choices))
    model = _network(WaveFRRExpert, config, expert_part(operation))
    return kind(
        model,
        source,
        operation,
        batch_size=config.batch_size,
        pool=config.pool,
        seed=config.seed,
    )


def _expert(config: StageConfig, source: RetouchSource) -> ExpertStage:
    operation = _operation(config, config.names)
    model = _network(WaveFRRExpert, config, expert_part(operation))
    return ExpertStage(model, source, operation, config.batch_size, config.keep_heads)


def _shared(config: StageConfig, source: RetouchSource) -> SharedStage:
    model = _network(SharedExpert, config, "shared")
    return SharedStage(model, source, batch_size=config.batch_size)


def _merger(config: StageConfig, source: RetouchSource) -> MergerStage:
    if not config.models:
        raise ValueError("stage merger needs models=FOLDER, which holds the other stages' runs")
    folder = Path(config.models)
    router = RetouchRouter.from_pretrained(folder / "router" / "model")
    experts = [
        *(WaveFRRExpert.from_pretrained(folder / name / "model") for name in config.names),
        SharedExpert.from_pretrained(folder / "shared" / "model"),
    ]
    networks: list[Any] = [router, *experts]
    for network in networks:
        network.to(source.faces.images.device)
    model = _network(ExpertMerger, config, "merger")
    return MergerStage(
        model,
        source,
        router,
        experts,
        batch_size=config.batch_size,
        pool=config.pool,
        seed=config.seed,
    )


def _features(config: StageConfig, source: RetouchSource) -> Any:
    features = feature_loss(config.vgg)
    if isinstance(features, torch.nn.Module):
        features.to(source.faces.images.device)
    return features


def _bpfre(config: StageConfig, source: RetouchSource) -> BPFReStage:
    model = _network(BlemishRetoucher, config, "retoucher").to(memory_format=torch.channels_last)
    torch.manual_seed(config.seed)
    critic: Any = PixelCritic(**PRESETS[config.preset]["critic"])
    critic = critic.to(memory_format=torch.channels_last)
    return BPFReStage(
        model,
        critic.to(source.faces.images.device),
        BlemishSource(
            source.faces, config.pair_share, config.paintings, config.crop, seed=config.seed
        ),
        batch_size=config.batch_size,
        unpaired=config.unpaired,
        detection_only=config.detection_only,
        keep_detection=config.keep_detection,
        features=_features(config, source),
        adversarial_weight=config.adversarial,
    )


def _bpfre_inpaint(config: StageConfig, source: RetouchSource) -> InpaintStage:
    model = _network(BlemishRetoucher, config, "inpainter").to(memory_format=torch.channels_last)
    blemishes = BlemishSource(source.faces, crop=config.crop, windows=1, seed=config.seed)
    features = _features(config, source)
    return InpaintStage(model, blemishes, batch_size=config.batch_size, features=features)


STAGES: dict[str, Callable[[StageConfig, RetouchSource], Stage]] = {
    "router": _router,
    "warp": partial(_coarse, WarpStage, bank.GEOMETRIC),
    "tone": partial(_coarse, ToneStage, bank.TONAL),
    "expert": _expert,
    "shared": _shared,
    "merger": _merger,
    "bpfre": _bpfre,
    "bpfre_inpaint": _bpfre_inpaint,
}


def _network(kind: type, config: StageConfig, part: str) -> Any:
    """A network of the preset with random weights, or the one in the folder `start`."""
    if config.start:
        network = kind.from_pretrained(config.start)
        made_for = tuple(network.config.get("operations", config.names))
        if made_for != config.names:
            raise ValueError(
                f"start={config.start} was made for the operations {made_for}; got {config.names}"
            )
        return network
    torch.manual_seed(config.seed)
    arguments = dict(PRESETS[config.preset][part])
    if "operations" in inspect.signature(kind.__init__).parameters:
        arguments["operations"] = config.names
    return kind(**arguments)


def make_config(settings: dict[str, object]) -> StageConfig:
    """Settings by name, numbers as text allowed, as a checked `StageConfig`.

    Raises:
        ValueError: unknown name, or a value of the wrong kind.
    """
    fields = {field.name: field for field in dataclasses.fields(StageConfig)}
    values = {}
    for name, value in settings.items():
        if name not in fields:
            raise ValueError(f"unknown setting {name!r}; known: {', '.join(fields)}")
        kind = type(fields[name].default)
        try:
            values[name] = _BOOLEANS[str(value).lower()] if kind is bool else kind(value)
        except (TypeError, ValueError, KeyError) as error:
            raise ValueError(f"{name}={value!r} is not a {kind.__name__}") from error
    return StageConfig(**values)


def run_stage(
    name: str,
    settings: dict[str, object],
    run_dir: Path | str,
    faces_dir: Path | str,
    *,
    resume: bool = True,
    on_step: Callable[[int, dict[str, float]], None] | None = None,
) -> Path:
    """Trains a stage on a folder of faces and returns the folder of the trained model.

    Args:
        name: a key of `STAGES`.
        settings: fields of `StageConfig` by name.
        run_dir: where config, log, checkpoint and model go.
        faces_dir: folder of aligned face crops, with their landmarks (see `load_faces`).
        resume: continue a stopped run found in `run_dir`; False refuses one.
        on_step: called with step number and loss terms after each step.

    Raises:
        ValueError: unknown stage or setting, or a folder without faces.
    """
    if name not in STAGES:
        raise ValueError(f"unknown stage {name!r}; choose from {tuple(STAGES)}")
    config = make_config(settings)
    device = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
    faces = load_faces(faces_dir, config.size, config.limit or None).to(device)
    source = RetouchSource(
        faces,
        config.names,
        export_probability=config.export_probability,
        min_degree=config.min_degree,
        vary_light=config.vary_light,
        vary_capture=config.vary_capture,
    )
    stage = STAGES[name](config, source)
    stage.model.to(device)
    note = {"stage": name, "faces": len(faces), "settings": dataclasses.asdict(config)}
    loop = LoopConfig(
        **{field.name: getattr(config, field.name) for field in dataclasses.fields(LoopConfig)}
    )
    return train(stage, loop, run_dir, note=note, resume=resume, on_step=on_step)
