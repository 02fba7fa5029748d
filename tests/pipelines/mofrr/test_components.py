"""A fifth operation: one name more, and the pipeline trains, saves, loads and routes it."""

import inspect
import json
from functools import partial

import pytest
import torch
from diffusers import DiffusionPipeline

from frr.models.mofrr.expert import WaveFRRExpert
from frr.models.mofrr.merger import ExpertMerger
from frr.models.mofrr.router import RetouchRouter
from frr.pipelines.mofrr.pipeline import MoFRRPipeline
from frr.pipelines.operations import OPERATIONS
from frr.pipelines.repository.code import read_code
from frr.training.data.faces import FaceSet
from frr.training.data.pools import Fresh
from frr.training.data.retouching import RetouchSource
from frr.training.loop import LoopConfig, train
from frr.training.publishing.assemble_mofrr import assemble
from frr.training.stages.expert import ExpertStage
from frr.training.stages.merger import MergerStage, Restorations
from frr.training.stages.router import RouterConfig, RouterStage, simulate

FIVE = (*OPERATIONS, "lip_tinting")  # the one declaration
pytestmark = pytest.mark.skipif(
    "lip_tinting" in OPERATIONS, reason="the example is an operation of the list itself"
)
SIZE = 32


@pytest.fixture(scope="module")
def five(pipe, tmp_path_factory):
    """Router, lip tinting's expert and merger trained two steps each, the rest as it was."""
    folder = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    images = torch.randint(60, 200, (2, 3, SIZE, SIZE), dtype=torch.uint8)
    source = RetouchSource(FaceSet(images, None, ("a.png", "b.png")), FIVE, max_shift=2)
    config = LoopConfig(steps=2, warmup=1, log_every=1)

    router = RetouchRouter.from_config(pipe.router.config, operations=FIVE, thresholds=None)
    faces = Fresh(partial(simulate, source))
    train(RouterStage(router, faces, faces_per_batch=1), config, folder / "router")
    tinting = WaveFRRExpert.from_config(pipe.whitening_expert.config)
    stage = ExpertStage(tinting, source, "lip_tinting", batch_size=2)
    train(stage, config, folder / "lip_tinting")
    for name in (*OPERATIONS, "shared"):
        getattr(pipe, f"{name}_expert").save_pretrained(folder / name / "model")
    experts = [getattr(pipe, f"{name}_expert") for name in OPERATIONS]
    merger = ExpertMerger.from_config(pipe.merger.config, operations=FIVE)
    restored = Restorations(source, router, [*experts, tinting, pipe.shared_expert])
    train(MergerStage(merger, Fresh(restored.simulate), 1), config, folder / "merger")
    made = assemble(folder)
    made.set_progress_bar_config(disable=True)
    made.register_to_config(working_size=SIZE)
    return made


def restore(pipeline, photos, wishes):
    noise = torch.Generator().manual_seed(0)
    return pipeline(photos, operations=wishes, generator=noise, output_type="pt")


def test_the_constructor_follows_the_operations():
    kind = MoFRRPipeline.for_operations(FIVE)
    parameters = list(inspect.signature(kind.__init__).parameters)
    assert parameters.index("lip_tinting_expert") == parameters.index("shared_expert") - 1
    assert kind.for_operations(FIVE) is kind is MoFRRPipeline.for_operations(FIVE)
    assert kind.operations == FIVE and issubclass(kind, MoFRRPipeline)
    assert MoFRRPipeline.operations == OPERATIONS
    assert "lip_tinting_expert" not in inspect.signature(MoFRRPipeline.__init__).parameters
    assert MoFRRPipeline.for_operations(OPERATIONS) is MoFRRPipeline
    with pytest.raises(TypeError, match="lip_tinting_expert"):
        kind(**dict.fromkeys(MoFRRPipeline._optional_components), scheduler=None)


@pytest.mark.parametrize("names", [(), ("shared",), ("a", "a"), ("a b",)])
def test_names_that_cannot_be_operations_are_refused(names):
    with pytest.raises(ValueError, match="operations are"):
        MoFRRPipeline.for_operations(names)


def test_it_routes(five, photos):
    assert five.operations == FIVE
    routing = five.route(photos * 2 - 1)
    assert routing.probabilities.shape == (2, len(FIVE))
    least = routing.probabilities.min(dim=0).values.tolist()
    five.router.register_to_config(thresholds=[*[1.1] * len(OPERATIONS), least[-1]])
    output = restore(five, photos, None)
    assert output.active.tolist() == [[name == "lip_tinting" for name in FIVE]] * 2
    assert list(output.expert_images) == [*FIVE, "shared"]
    forced = restore(five, photos, {"lip_tinting", "whitening"})
    assert forced.active.tolist() == [[name in ("whitening", "lip_tinting") for name in FIVE]] * 2
    assert not torch.equal(forced.images, output.images)


def test_it_saves_and_loads_with_and_without_the_package(five, photos, tmp_path, written):
    five.save_pretrained(tmp_path / "five")
    index = json.loads((tmp_path / "five" / "model_index.json").read_text())
    version = read_code(type(five)).version
    assert index["lip_tinting_expert"] == [f"mofrr_expert_v{version}_part", "WaveFRRExpert"]
    declared = (tmp_path / "five" / f"operations_v{version}.py").read_text()
    space = {}
    exec(declared, space)  # noqa: S102
    assert space["OPERATIONS"] == FIVE
    assert space["label"]("lip_tinting") == "lip tinting"
    assert space["label"]("whitening") == "skin whitening"
    assert version != read_code(MoFRRPipeline).version

    expected = restore(five, photos, set(FIVE)).images
    own = MoFRRPipeline.from_pretrained(tmp_path / "five")
    assert type(own) is type(five)
    remote = DiffusionPipeline.from_pretrained(tmp_path / "five", trust_remote_code=True)
    assert type(remote).__module__.startswith("diffusers_modules")
    four = DiffusionPipeline.from_pretrained(written, trust_remote_code=True)
    for loaded in (own, remote):
        loaded.set_progress_bar_config(disable=True)
        assert loaded.operations == FIVE
        torch.testing.assert_close(
            restore(loaded, photos, set(FIVE)).images, expected, atol=1e-5, rtol=0
        )
    assert four.operations == OPERATIONS and type(four) is not type(remote)
    remote.save_pretrained(tmp_path / "again")
    for file in (tmp_path / "five").rglob("*.py"):
        copy = tmp_path / "again" / file.relative_to(tmp_path / "five")
        assert copy.read_bytes() == file.read_bytes()


def test_networks_of_other_operations_are_refused(five, pipe):
    with pytest.raises(ValueError, match="lip_tinting"):
        type(five)(**{**five.components, "router": pipe.router})


def test_training_takes_the_operations_by_one_setting():
    assert RouterConfig.read({}).operations == OPERATIONS
    assert RouterConfig.read({"operations": ",".join(FIVE)}).operations == FIVE
    with pytest.raises(ValueError, match="teeth"):
        RouterConfig.read({"operations": "whitening,teeth"})
