"""The training stages on small faces: what a batch holds, learning, exact resumption, assembly."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from frr.models.mofrr.expert import WaveFRRExpert
from frr.models.mofrr.merger import ExpertMerger
from frr.models.mofrr.router import RetouchRouter
from frr.models.mofrr.shared import SharedExpert
from frr.pipelines.simulate.recipe import OPERATIONS
from frr.training.data.retouching import (
    RetouchSource,
    random_subset,
    retouch_and_target,
    vary_light,
)
from frr.training.publishing.assemble_mofrr import assemble
from frr.training.data.faces import load_faces, to_signed
from frr.training.loop import LoopConfig, seed_step, train
from frr.training.losses import hybrid
from frr.training.stages.coarse import ToneStage, WarpStage
from frr.training.stages.expert import ExpertStage, make_scheduler, sample_timesteps
from frr.training.stages.merger import MergerStage
from frr.training.stages.router import RouterStage
from frr.training.stages.registry import make_config, run_stage

SIZE = 64


@pytest.fixture(scope="module")
def faces_dir(tmp_path_factory):
    """Six smooth coloured pictures with a dark oval: enough for the canonical mesh."""
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE - 0.5
    for index in range(6):
        base = rng.uniform(60, 200, size=(1, 1, 3)) + rng.normal(0, 12, (SIZE, SIZE, 3))
        base = base * (1 - 0.4 * ((x / 0.3) ** 2 + (y / 0.4) ** 2 < 1))[..., None]
        picture = Image.fromarray(base.clip(0, 255).astype(np.uint8))
        picture.save(folder / f"{index}.png")
    return folder


@pytest.fixture()
def source(faces_dir):
    return RetouchSource(load_faces(faces_dir, SIZE), max_shift=4)


def test_the_same_generator_draws_the_same_batch(source):
    first, second = (source.draw(np.random.default_rng(3), 4)[0] for _ in range(2))
    other = source.draw(np.random.default_rng(4), 4)[0]
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert first.shape == (4, 3, SIZE, SIZE) and first.abs().max() <= 1


def test_landmarks_follow_mirror_and_shift(faces_dir):
    faces = load_faces(faces_dir, SIZE)
    images = torch.full_like(faces.images, 128)
    images[..., 20, 10] = 255  # one bright pixel a face, and a landmark on it
    landmarks = torch.tensor([10.5, 20.5]).div(SIZE).expand(len(faces), 478, 2).clone()
    marked = RetouchSource(dataclasses.replace(faces, images=images, landmarks=landmarks))
    for seed in range(4):
        drawn, points = marked.draw(np.random.default_rng(seed), 5)
        for image, point in zip(drawn, points[:, 0] * SIZE - 0.5, strict=True):
            column, row = (round(float(value)) for value in point)
            if 0 <= row < SIZE and 0 <= column < SIZE:
                assert image[1, row, column] == image[1].max()


def test_light_varies_within_bounds():
    photo = torch.rand(2, 3, 8, 8) * 2 - 1
    varied = vary_light(photo, torch.rand(2, 4))
    assert varied.abs().max() <= 1 and 0 < (varied - photo).abs().mean() < 0.2


def test_random_subset_has_no_repeats():
    rng = np.random.default_rng(0)
    sizes = set()
    for _ in range(60):
        subset = random_subset(rng)
        assert len(set(subset)) == len(subset) and set(subset) <= set(OPERATIONS)
        sizes.add(len(subset))
    assert sizes == {2, 3, 4}


def test_target_is_the_photo_without_the_operation(source):
    rng = np.random.default_rng(1)
    images, points = source.draw(rng, 3)
    recipes = [
        dataclasses.replace(source, export_probability=0).recipe(rng, names)
        for names in (["whitening"], ["whitening", "smoothing"], ["smoothing"])
    ]
    photos, target = retouch_and_target(images, points, recipes, "whitening")
    assert torch.equal(target[0], images[0])  # only whitened: the clean face
    assert not torch.equal(target[1], images[1])  # still smoothed
    assert torch.equal(target[2], photos.image[2])  # not whitened: as it is
    _, clean = retouch_and_target(images, points, recipes, None)
    assert torch.equal(clean, images)


def test_half_of_the_timesteps_are_pure_noise():
    steps = sample_timesteps(np.random.default_rng(0), 2000, make_scheduler())
    assert 0.45 < (steps == 999).float().mean() < 0.55
    assert steps.min() >= 0


def test_a_router_batch_holds_each_face_in_all_versions(source):
    batch = RouterStage(RetouchRouter(), source, faces_per_batch=2).draw(np.random.default_rng(0))
    assert batch.photos.shape == (2, 6, 3, SIZE, SIZE) and batch.photos.dtype == torch.uint8
    assert batch.masks.shape == (2, 6, 4, SIZE // 8, SIZE // 8)
    found = batch.degrees > 0
    single = torch.tensor([[False] * 4, *torch.eye(4).bool().tolist()])
    assert torch.equal(found[:, :5], single.expand(2, -1, -1))
    assert (found[:, 5].sum(1) >= 2).all()
    assert (batch.masks.amax((-1, -2)) > 0).eq(found).all()
    changed = (batch.photos[:, 1:] != batch.photos[:, :1]).flatten(2).any(2)
    assert changed.all()


def test_a_pool_is_simulated_once_and_mirrored(source):
    stage = RouterStage(RetouchRouter(), source, faces_per_batch=3, pool=2)
    batch = stage.draw(np.random.default_rng(0))
    stage.batches.simulate = None  # none is simulated any more
    again = stage.draw(np.random.default_rng(0))
    assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True))
    known = stage.batches.items.photos
    for photos in torch.cat([stage.draw(np.random.default_rng(i)).photos for i in range(4)]):
        same = [torch.equal(photos, k) or torch.equal(photos.flip(-1), k) for k in known]
        assert any(same)
    assert set(stage.losses(np.random.default_rng(0))) == {"presence", "degree", "location"}


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_statistics_stay(source, frozen):
    router = RetouchRouter()
    before = {k: v.clone() for k, v in router.state_dict().items() if "running" in k}
    RouterStage(router, source, 1, frozen_statistics=frozen).losses(np.random.default_rng(0))
    after = router.state_dict()
    assert all(torch.equal(value, after[name]) == frozen for name, value in before.items())


def test_an_expert_learns_to_undo_whitening(faces_dir, tmp_path):
    settings = {"operation": "whitening", "steps": 25, "batch_size": 4, "size": SIZE}
    settings |= {"log_every": 5, "learning_rate": "2e-3", "warmup": 2, "ema_decay": 0.8}
    settings |= {"vary_light": "0", "vary_capture": "0"}
    losses = []
    run_stage(
        "expert", settings, tmp_path / "run", faces_dir, on_step=lambda _, t: losses.append(t)
    )
    space = [terms["space"] for terms in losses]
    assert np.mean(space[-5:]) < 0.8 * np.mean(space[:5])
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").open()]
    assert [line["step"] for line in lines] == [5, 10, 15, 20, 25]


def test_resuming_repeats_the_run_to_the_bit(faces_dir, tmp_path):
    source = RetouchSource(load_faces(faces_dir, SIZE), max_shift=4)

    def make_stage():
        torch.manual_seed(0)
        return RouterStage(RetouchRouter(), source, faces_per_batch=1)

    config = LoopConfig(steps=4, warmup=1, save_seconds=0)
    whole = make_stage()
    train(whole, config, tmp_path / "whole")

    class Stopped(Exception):
        pass

    def stop(step, terms):
        if step == 3:
            raise Stopped

    with pytest.raises(Stopped):
        train(make_stage(), config, tmp_path / "parts", on_step=stop)
    resumed = make_stage()
    train(resumed, config, tmp_path / "parts")
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    with pytest.raises(ValueError, match="holds a checkpoint"):
        train(make_stage(), config, tmp_path / "parts", resume=False)


def test_steps_are_seeded_apart():
    draws = [seed_step(0, step, process).random() for step in range(3) for process in range(2)]
    assert len(set(draws)) == 6


@pytest.mark.parametrize(
    ("kind", "head", "other", "operation"),
    [(WarpStage, "warp", "tone", "face_slimming"), (ToneStage, "tone", "warp", "whitening")],
)
def test_a_coarse_stage_trains_its_head_and_the_degree_alone(source, kind, head, other, operation):
    expert = WaveFRRExpert(**{f"has_{head}_head": True})
    stage = kind(expert, source, operation, batch_size=3)
    sum(stage.losses(np.random.default_rng(0)).values()).backward()
    assert getattr(expert, f"{head}_head").out.weight.grad.abs().sum() > 0
    assert expert.degree_estimator.head.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in expert.denoiser.parameters())
    for without in ({}, {f"has_{other}_head": True}):
        with pytest.raises(ValueError, match=f"no {head} head"):
            kind(WaveFRRExpert(**without), source, operation)


@pytest.mark.parametrize(("head", "operation"), [("warp", "face_slimming"), ("tone", "whitening")])
def test_kept_heads_stay_while_the_rest_of_the_expert_learns(source, head, operation):
    expert = WaveFRRExpert(**{f"has_{head}_head": True})
    before = {name: value.clone() for name, value in expert.state_dict().items()}
    stage = ExpertStage(expert, source, operation, batch_size=2, keep_heads=True)
    optimizer = torch.optim.SGD([p for p in expert.parameters() if p.requires_grad], lr=1.0)
    losses = stage.losses(np.random.default_rng(0))
    assert set(losses) == {"idem", "simple", "high", "space"}
    sum(losses.values()).backward()
    optimizer.step()
    changed = {
        name.partition(".")[0]
        for name, value in expert.state_dict().items()
        if not torch.equal(value, before[name])
    }
    assert changed == {"idem", "denoiser", "hfcam"}


def test_a_mirrored_photo_has_the_mirrored_flow(source):
    stage = WarpStage(WaveFRRExpert(has_warp_head=True), source, "face_slimming", 8, pool=1)
    (known,) = stage.batches.items.truth.float()
    drawn = stage.draw(np.random.default_rng(0))
    plain = torch.tensor([torch.equal(flow, known) for flow in drawn.truth])
    assert plain.any() and not plain.all()
    turned = torch.stack((-known[0].flip(-1), known[1].flip(-1)))
    assert all(torch.equal(flow, turned) for flow in drawn.truth[~plain])
    assert torch.equal(drawn.traces[0, -3:], drawn.traces[1, -3:])  # the position stays


def test_the_tone_head_is_taught_what_whitening_did_to_the_low_band(source):
    expert = WaveFRRExpert(has_tone_head=True)
    stage = ToneStage(expert, source, "whitening", pool=12)
    batch = stage.batches.items
    present = batch.degree > 0
    assert present.any() and not present.all()
    assert (batch.truth[present].float().mean((1, 2, 3)) < 0).all()  # whitening brightened
    assert (batch.truth[~present].abs() < 1e-3).all()
    drawn = stage.draw(np.random.default_rng(0))
    rows = [[torch.equal(low, each.float()) for each in batch.low] for low in drawn.low]
    turned = [[torch.equal(low.flip(-1), each.float()) for each in batch.low] for low in drawn.low]
    assert torch.tensor(rows).any() and torch.tensor(turned).any()
    for row, low in enumerate(torch.tensor(turned)):
        if low.any():
            item = batch.truth[low.nonzero()[0, 0]].float()
            assert torch.equal(drawn.truth[row], item.flip(-1))


@pytest.fixture()
def merging(source):
    experts = [*(WaveFRRExpert() for _ in OPERATIONS), SharedExpert()]
    return MergerStage(ExpertMerger(), source, RetouchRouter(), experts, batch_size=2)


def test_the_merger_sees_photos_of_every_kind(merging):
    rng = np.random.default_rng(0)
    counts = np.array([len(merging.draw_operations(rng)) for _ in range(400)])
    assert (counts == 0).mean() == pytest.approx(merging.untouched_share, abs=0.05)
    assert (counts == 1).mean() == pytest.approx(merging.single_share, abs=0.06)
    assert set(counts) == {0, 1, 2, 3, 4}


def test_the_merger_sees_gates_as_the_pipeline_sets_them(merging):
    present = torch.rand(300, 4) < 0.5
    probabilities = torch.rand(300, 4) * 0.98 + 0.01
    active, gates = merging.route(np.random.default_rng(0), present, probabilities)
    given = ((gates == 0) | (gates == 1)).all(1)
    assert given.float().mean().item() == pytest.approx(merging.given_share, abs=0.1)
    assert torch.equal(active[given], gates[given] == 1)
    wrong = (active[given] != present[given]).float().mean().item()
    assert wrong == pytest.approx(merging.wrong_share, abs=0.03)

    found, (low, high) = ~given, merging.thresholds
    assert torch.equal(gates[found], probabilities[found])
    assert active[found][probabilities[found] >= high].all()
    assert not active[found][probabilities[found] < low].any()
    between = (probabilities[found] > low) & (probabilities[found] < high)
    assert active[found][between].any() and not active[found][between].all()


def test_experts_that_change_nothing_leave_the_merger_nothing_to_gain(merging):
    merging = dataclasses.replace(merging, pool=6)
    batch = merging.batches.draw(np.random.default_rng(0), merging.batch_size)
    assert batch.residuals.shape == (2, 5, 3, SIZE, SIZE) and not batch.residuals.any()
    loss = merging.losses(np.random.default_rng(0))["space"]
    photo, clean = to_signed(batch.photos), to_signed(batch.clean)
    assert loss.item() == pytest.approx(hybrid(photo, clean).item(), abs=1e-6)


def test_an_expert_that_does_not_run_counts_for_nothing(merging):
    with torch.no_grad():
        for expert in merging.experts[:-1]:
            expert.hfcam[0].tail[-1].bias.fill_(0.5)
    never = dataclasses.replace(merging, given_share=0.0, thresholds=(1.1, 1.2), pool=4)
    batch = never.batches.draw(np.random.default_rng(0), never.batch_size)
    assert batch.residuals[:, :-1].abs().amax((2, 3, 4)).min() > 0.01
    loss = never.losses(np.random.default_rng(0))["space"]
    expected = hybrid(to_signed(batch.photos), to_signed(batch.clean))
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)


def test_capture_varies_only_the_chosen_faces(source):
    plain, _ = dataclasses.replace(source, vary_light=0.0).draw(np.random.default_rng(0), 6)
    none, _ = dataclasses.replace(source, vary_light=0.0, vary_capture=0.0).draw(
        np.random.default_rng(0), 6
    )
    half, _ = dataclasses.replace(source, vary_light=0.0, vary_capture=1.0).draw(
        np.random.default_rng(0), 6
    )
    assert torch.equal(plain, none)
    assert ((half - plain).abs().mean((1, 2, 3)) > 1e-4).all()
    assert (half.mean((1, 2, 3)) - plain.mean((1, 2, 3))).abs().max() < 0.02
    levels = (half + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-3)


def test_all_stages_run_and_assemble(faces_dir, tmp_path):
    short = {"steps": 1, "batch_size": 2, "size": SIZE}
    run_stage("router", short | {"batch_size": 1}, tmp_path / "router", faces_dir)
    for name in OPERATIONS:
        run_stage("expert", short | {"operation": name}, tmp_path / name, faces_dir)
    run_stage("shared", short, tmp_path / "shared", faces_dir)
    with pytest.raises(ValueError, match="run that stage to its end first"):
        assemble(tmp_path)
    run_stage("merger", short | {"models": str(tmp_path)}, tmp_path / "merger", faces_dir)
    pipe = assemble(tmp_path, load_faces(faces_dir, SIZE, limit=2))
    photo = torch.rand(1, 3, SIZE, SIZE)
    output = pipe(photo, operations=list(OPERATIONS), output_type="pt", num_inference_steps=1)
    assert output.images.shape == photo.shape


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"speed": 3}, "unknown setting 'speed'"),
        ({"steps": "many"}, "steps='many' is not a int"),
        ({"steps": 0}, "at least 1"),
        ({"learning_rate": -1}, "must be positive"),
        ({"preset": "huge"}, "'huge' is unknown"),
        ({"frozen_statistics": "perhaps"}, "is not a bool"),
    ],
)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        make_config(settings)


def test_unknown_stage_or_operation_is_named(faces_dir, tmp_path):
    with pytest.raises(ValueError, match="unknown stage 'critic'"):
        run_stage("critic", {}, tmp_path, faces_dir)
    with pytest.raises(ValueError, match="operation=NAME"):
        run_stage("expert", {"size": SIZE}, tmp_path, faces_dir)
    with pytest.raises(ValueError, match="models=FOLDER"):
        run_stage("merger", {"size": SIZE}, tmp_path, faces_dir)
