"""The stages on pools of chains: statistics, losses, and the experts' answers after learning."""

import numpy as np
import pytest
import torch
from tiny_native import NATIVE_ROUTER

from frr.models.mofrr.flow_expert import FlowExpert
from frr.models.mofrr.native_router import NativeRouter
from frr.models.mofrr.native_view import place
from frr.models.mofrr.texture_expert import TextureExpert
from frr.models.mofrr.tone_expert import ToneExpert
from frr.models.presets import PRESETS
from frr.pipelines.operations import OPERATIONS
from frr.training.data.native_batches import ChainPools
from frr.training.stages.native import known_degree, survey
from frr.training.stages.native_diffusion import NativeDiffusionStage
from frr.training.stages.native_flow import NativeFlowStage, move
from frr.training.stages.native_router import NativeRouterStage, two_hot_loss
from frr.training.stages.native_texture import NativeTextureStage
from frr.training.stages.native_tone import NativeToneStage
from frr.training.stages.running import run_stage

SMALL, NARROW = {"widths": (16, 16, 16), "fine": 8}, {"width": 8, "context_width": 8}
KINDS = {
    "native_router": NativeRouter,
    "native_flow": FlowExpert,
    "native_tone": ToneExpert,
    "native_texture": TextureExpert,
}


@pytest.fixture(scope="module")
def chains(native_pool):
    return ChainPools((native_pool,))


def test_statistics_are_the_pools(chains):
    router = NativeRouter(OPERATIONS)
    layer = router.trunk.embedder.standardization
    survey(chains, layer)
    view = chains.at(range(len(chains))).view()
    values = place(view.traces, view.side)
    torch.testing.assert_close(layer.running_mean, values.mean((0, 2, 3)), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(layer.running_var, values.var((0, 2, 3)), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", KINDS)
def test_stages_run_and_keep_the_pools_statistics(name, native_pool, tmp_path):
    folder = run_stage(name, {"steps": 2, "batch_size": 2}, tmp_path / "run", pools=[native_pool])
    network = KINDS[name].from_pretrained(folder)
    layers = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    read = {63: "traces", 27: "spectrum", 3: "fine"}
    assert len(layers) == {"native_texture": 0, "native_router": 3}.get(name, 1)
    for layer in layers:
        fresh = torch.nn.BatchNorm2d(layer.num_features, affine=False)
        survey(ChainPools((native_pool,)), fresh, read[layer.num_features])
        assert torch.equal(layer.running_mean, fresh.running_mean)
    again = {"steps": 1, "batch_size": 2, "start": str(tmp_path / "run")}
    assert run_stage(name, again, tmp_path / "next", pools=[native_pool])


def test_a_diffusion_is_added_to_an_expert_that_stays_as_it_is(native_pool, tmp_path):
    torch.manual_seed(0)
    expert = TextureExpert(unknown_share=0.5)
    torch.nn.init.normal_(expert.exit.weight, std=0.05)
    expert.save_pretrained(tmp_path / "expert")
    given = {"steps": 2, "batch_size": 2, "width": 8, "start": str(tmp_path / "expert")}
    folder = run_stage("native_diffusion", given, tmp_path / "run", pools=[native_pool])
    trained = TextureExpert.from_pretrained(folder)
    assert trained.config.diffusion_width == 8 and trained.config.unknown_share == 0.5
    for name, value in expert.state_dict().items():
        assert torch.equal(trained.state_dict()[name], value)
    again = {"steps": 1, "batch_size": 2, "start": str(tmp_path / "run")}
    assert run_stage("native_diffusion", again, tmp_path / "next", pools=[native_pool])
    with pytest.raises(ValueError, match="needs start=FOLDER"):
        run_stage("native_diffusion", {"steps": 1}, tmp_path / "none", pools=[native_pool])


def test_an_expert_for_another_operation_is_no_start(native_pool, tmp_path):
    FlowExpert(operation="eye_enlarging").save_pretrained(tmp_path / "eyes")
    given = {"steps": 1, "start": str(tmp_path / "eyes")}
    with pytest.raises(ValueError, match="is for eye_enlarging; this is for face_slimming"):
        run_stage("native_flow", given, tmp_path / "run", pools=[native_pool])


def test_faces_alone_are_not_enough(native_faces, tmp_path):
    with pytest.raises(ValueError, match="frr pool native"):
        run_stage("native_tone", {"steps": 1}, tmp_path / "run", native_faces / "real")


def learnt(stage, steps, rate=3e-3):
    """Sums of the losses over the first and the last steps."""
    torch.manual_seed(0)
    optimiser = torch.optim.Adam([p for p in stage.model.parameters() if p.requires_grad], rate)
    sums = []
    for step in range(steps):
        loss = sum(stage.losses(np.random.default_rng(step % 3)).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        sums.append(float(loss.detach()))
    return np.mean(sums[:3]), np.mean(sums[-3:])


@pytest.mark.parametrize("kind", ["router", "flow", "tone", "texture", "diffusion"])
def test_losses_fall(chains, kind):
    torch.manual_seed(0)
    stage = {
        "router": lambda: NativeRouterStage(
            NativeRouter(OPERATIONS, **NATIVE_ROUTER, dropout=0.0), chains, 2
        ),
        "flow": lambda: NativeFlowStage(FlowExpert(**SMALL), chains, "face_slimming", 4),
        "tone": lambda: NativeToneStage(ToneExpert(**SMALL), chains, "whitening", 4),
        "texture": lambda: NativeTextureStage(TextureExpert(**NARROW), chains, 2),
        "diffusion": lambda: NativeDiffusionStage(
            TextureExpert(**NARROW, diffusion_width=8), chains, 2
        ),
    }[kind]()
    first, last = learnt(stage, 12)
    assert last < first


def test_terms_of_the_router(chains):
    terms = NativeRouterStage(NativeRouter(OPERATIONS), chains, 2).losses(np.random.default_rng(0))
    assert set(terms) == {"presence", "degree", "ranking", "steady", "place"}
    assert all(bool(term.isfinite()) and term >= 0 for term in terms.values())


def test_a_degree_between_two_levels_by_hand():
    logits = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    # levels .25 .5 .75 1; .625 lies halfway between the second and the third
    expected = -(np.log(0.2) + np.log(0.3)) / 2
    assert two_hot_loss(logits, torch.tensor(0.625)).item() == pytest.approx(expected)
    assert two_hot_loss(logits, torch.tensor(1.0)).item() == pytest.approx(-np.log(0.4))
    assert two_hot_loss(logits, torch.tensor(0.01)).item() == pytest.approx(-np.log(0.1))


def test_degrees_are_told_for_two_in_five():
    degrees = known_degree(np.random.default_rng(0), torch.full((4000,), 0.5))
    known = degrees[~degrees.isnan()]
    assert len(known) / 4000 == pytest.approx(0.4, abs=0.03)
    assert known.mean().item() == pytest.approx(0.5, abs=0.01)
    assert known.std().item() == pytest.approx(0.025, abs=0.003)


def test_a_flow_moves_by_thousandths_of_the_side():
    photo = torch.zeros(1, 3, 50, 100)
    photo[..., 20, 40] = 1
    flow = torch.tensor([100.0, -60.0]).view(1, 2, 1, 1).expand(1, 2, 8, 8)
    moved = move(photo, flow)  # looks 10 to the right and 3 up
    assert moved[0, 0, 23, 30] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_have_sizes_for_every_network(preset):
    parts = {NativeRouter: "native_router", FlowExpert: "flow_expert"}
    parts |= {ToneExpert: "tone_expert", TextureExpert: "texture_expert"}
    settings = {part: dict(PRESETS[preset][part]) for part in parts.values()}
    settings["native_router"]["operations"] = OPERATIONS
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in kind(**settings[part]).parameters())
            for kind, part in parts.items()
        ]
    assert all(count > 20_000 for count in counts) and sum(counts) < 15e6  # 60 MB
