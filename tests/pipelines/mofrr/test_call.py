"""MoFRRPipeline: what is undone, by whom, and what stays as it was."""

import pytest
import torch
from by_operation import flags, values

from frr.models.mofrr.warping import warp
from frr.pipelines.operations import OPERATIONS

NAMES = (*OPERATIONS, "shared")
EXPERTS = tuple(f"{name}_expert" for name in NAMES)


def thresholds(pipeline, *given):
    pipeline.router.register_to_config(thresholds=given)
    return pipeline


def test_operations_follow_the_constructor(pipe):
    assert pipe.operations == OPERATIONS
    assert pipe.expert_names == NAMES
    assert pipe.model_cpu_offload_seq == "->".join(("router", *EXPERTS, "merger"))


def test_no_operation_found_gives_the_photo_back_to_the_bit(make_pipeline, photos, count_calls):
    pipeline = thresholds(make_pipeline(), *values(2))
    calls = [count_calls(getattr(pipeline, name)) for name in (*EXPERTS, "merger")]
    output = pipeline(photos, output_type="pt")
    assert torch.equal(output.images, photos)
    assert not output.active.any()
    assert not output.degrees.any()
    assert not any(calls)
    assert output.routing.shape == (2, len(OPERATIONS))
    assert all(image is None for images in output.expert_images.values() for image in images)


def test_the_router_decides_photo_by_photo(make_pipeline, photos):
    pipeline = make_pipeline()
    probabilities = pipeline.route(photos * 2 - 1).probabilities
    between = probabilities[:, 0].mean().item()
    output = thresholds(pipeline, *values(2, whitening=between))(photos, output_type="pt")
    on = int(probabilities[:, 0].argmax())
    assert output.active[:, 0].tolist() == [on == 0, on == 1]
    assert torch.equal(output.routing, probabilities)
    assert torch.equal(output.images[1 - on], photos[1 - on])
    assert (output.images[on] - photos[on]).abs().max() > 1e-3
    assert output.expert_images["whitening"][1 - on] is None
    assert output.expert_images["whitening"][on].shape == (3, 24, 30)
    assert output.degrees[on, 0] > 0


def test_a_probability_at_the_threshold_counts_as_found(make_pipeline, photos):
    pipeline = make_pipeline()
    probability = pipeline.route(photos[:1] * 2 - 1).probabilities[0, 1].item()
    pipeline = thresholds(pipeline, *values(2, smoothing=probability))
    assert pipeline(photos[:1]).active.tolist() == [flags("smoothing")]


def test_without_skipping_the_shared_expert_alone_runs(make_pipeline, photos, count_calls):
    pipeline = make_pipeline(merger=None)
    calls = {name: count_calls(getattr(pipeline, name)) for name in EXPERTS}
    output = pipeline(photos, operations=(), skip_untouched=False, output_type="pt")
    assert not output.active.any()
    assert "reconstruct" in calls.pop("shared_expert")
    assert not any(calls.values())
    shared = torch.stack(output.expert_images["shared"])
    assert (output.images - photos).abs().max() > 1e-3
    assert torch.allclose(output.images, shared, atol=1e-6)


def test_strength_zero_gives_the_photo_back_to_the_bit(pipe, photos):
    output = pipe(photos, operations=set(OPERATIONS), strength=0, output_type="pt")
    assert torch.equal(output.images, photos)
    assert not output.active.any()


def test_strength_scales_flow_and_residual(pipe, photos, seeded):
    def run(strength):
        return pipe(
            photos,
            operations={"face_slimming"},
            strength=strength,
            generator=seeded(),
            output_type="pt",
        )

    half, whole = run(0.5), run(1.0)
    for field in ("flows", "residuals"):
        for name in ("face_slimming", "shared"):
            part, all_of_it = getattr(half, field)[name][0], getattr(whole, field)[name][0]
            assert torch.allclose(part * 2, all_of_it, atol=1e-6)
    assert whole.flows["face_slimming"][0].abs().max() > 1e-3
    signed = photos[:1] * 2 - 1
    flow, residual = half.flows["face_slimming"][0], half.residuals["face_slimming"][0]
    expected = (warp(signed, flow[None]) + residual + 1) / 2
    assert torch.allclose(half.expert_images["face_slimming"][0], expected[0].clamp(0, 1))


def test_forcing_runs_exactly_the_named_experts(pipe, photos, count_calls):
    calls = {name: count_calls(getattr(pipe, f"{name}_expert")) for name in NAMES}
    output = pipe(photos, operations={"smoothing"}, num_inference_steps=3)
    assert output.active.tolist() == [flags("smoothing")] * 2
    assert {name for name in NAMES if calls[name]} == {"smoothing", "shared"}
    assert calls["smoothing"].count("denoise") == 3
    assert calls["smoothing"].count("reconstruct") == 1
    assert calls["shared"].count("denoise") == 3


def test_a_mapping_forces_and_leaves_the_rest_to_the_router(make_pipeline, photos):
    pipeline = thresholds(make_pipeline(), *values(2, whitening=0, smoothing=0))
    wishes = {"whitening": False, "face_slimming": True, "smoothing": "auto"}
    active = pipeline(photos, operations=wishes).active.tolist()
    assert active == [flags("smoothing", "face_slimming")] * 2


def test_given_degrees_win_over_estimates(make_pipeline, photos):
    pipeline = make_pipeline(degree_source="router")
    expected = pipeline.router(pipeline._working(photos * 2 - 1, "config")).degrees
    output = pipeline(photos, operations={"whitening", "smoothing"}, degrees={"smoothing": 0.3})
    assert torch.allclose(output.degrees[:, 1], torch.tensor(0.3))
    assert torch.allclose(output.degrees[:, 0], expected[:, 0])
    assert not output.degrees[:, 2:].any()


def test_by_default_each_expert_estimates_its_degree(pipe, photos):
    assert pipe.config["degree_source"] == "expert"
    assert pipe.route(photos * 2 - 1).degrees.isnan().all()
    output = pipe(photos, operations={"whitening"})
    padded = pipe._working(photos * 2 - 1, "config")
    expected = pipe.whitening_expert.estimate_degree(padded)[1]
    assert torch.allclose(output.degrees[:, 0], expected, atol=1e-6)


def test_unknown_degree_source_is_refused(make_pipeline):
    with pytest.raises(ValueError, match="degree_source is 'user'"):
        make_pipeline(degree_source="user")


def test_without_a_router_the_expert_estimates_the_degree(make_pipeline, photos):
    pipeline = make_pipeline(router=None)
    output = pipeline(photos, operations={"whitening"}, output_type="pt")
    expected = pipeline.whitening_expert.estimate_degree(
        torch.nn.functional.pad(photos * 2 - 1, (0, 2, 0, 8), mode="reflect")
    )[1]
    assert torch.allclose(output.degrees[:, 0], expected, atol=1e-6)
    assert output.routing.tolist() == [flags("whitening")] * 2


def test_a_seed_gives_an_expert_the_same_image_whether_others_run_or_not(pipe, photos, seeded):
    def run(*names):
        return pipe(photos, operations=names, generator=seeded(3), output_type="pt")

    alone = run("smoothing").expert_images["smoothing"]
    among = run(*OPERATIONS).expert_images["smoothing"]
    assert all(torch.equal(a, b) for a, b in zip(alone, among, strict=True))


def test_an_expert_runs_only_on_the_photos_where_it_is_active(make_pipeline, photos, monkeypatch):
    pipeline = make_pipeline()
    probabilities = pipeline.route(photos * 2 - 1).probabilities[:, 0]
    between = probabilities.mean().item()
    thresholds(pipeline, *values(2, whitening=between, face_slimming=0))
    seen = {}
    for name in ("whitening", "face_slimming"):
        expert = getattr(pipeline, f"{name}_expert")
        prepare = expert.prepare

        def watched(photo, *given, _name=name, _prepare=prepare):
            seen[_name] = len(photo)
            return _prepare(photo, *given)

        monkeypatch.setattr(expert, "prepare", watched)
    pipeline(photos)
    assert seen == {"whitening": 1, "face_slimming": 2}


def test_untrained_networks_are_the_identity(make_pipeline, photos):
    pipeline = make_pipeline(stirred=False)
    for size in (None, 32):
        output = pipeline(photos, operations=set(OPERATIONS), output_type="pt", working_size=size)
        assert (output.images - photos).abs().max() < 1e-5


def test_without_a_merger_the_edits_are_added(make_pipeline, photos):
    output = make_pipeline(merger=None)(
        photos, operations={"whitening", "face_slimming"}, output_type="pt"
    )
    signed = photos[0] * 2 - 1
    total = torch.zeros_like(signed)
    for name in ("whitening", "face_slimming"):
        flow = output.flows[name][0][None]
        total += warp(signed[None], flow)[0] + output.residuals[name][0] - signed
    assert torch.allclose(output.images[0], (photos[0] + total / 2).clamp(0, 1), atol=1e-6)


def test_the_merger_sees_forced_gates(pipe, photos, monkeypatch):
    seen = []

    gains = pipe.merger.gains

    def watched(photo, residuals, gates):
        seen.append((residuals, gates))
        return gains(photo, residuals, gates)

    monkeypatch.setattr(pipe.merger, "gains", watched)
    pipe(photos, operations={"whitening"})
    (residuals, gates), *_ = seen
    assert residuals.shape == (2, len(NAMES), 3, 24, 30)
    assert gates.tolist() == [flags("whitening")] * 2
    assert residuals[:, 0].any() and not residuals[:, 1:-1].any() and residuals[:, -1].any()


def test_the_router_judges_a_photo_once(pipe, photos, count_calls):
    calls = count_calls(pipe.router)
    pipe(photos, operations={"whitening"}, num_samples=2, num_inference_steps=1)
    assert calls == ["forward"]


@pytest.mark.parametrize("size", [(1, 1), (1, 33), (47, 1), (31, 65), (33, 70)])
def test_any_size(pipe, size):
    photo = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(2))
    output = pipe(photo, operations=set(OPERATIONS), output_type="pt", num_inference_steps=1)
    assert output.images.shape == photo.shape
    assert output.images.isfinite().all()
    assert output.images.min() >= 0 and output.images.max() <= 1
    untouched = pipe(photo, operations=(), output_type="pt").images
    assert torch.equal(untouched, photo)


def test_another_operation_is_one_more_parameter(make_pipeline, photos):
    from frr.models.mofrr.router import RetouchRouter
    from frr.pipelines.mofrr.pipeline import MoFRRPipeline

    base = make_pipeline()

    router = RetouchRouter(operations=(*OPERATIONS, "blushing"))
    parts = {**base.components, "router": router, "merger": None}
    five = MoFRRPipeline.for_operations(router.config.operations)(
        **parts, blushing_expert=base.smoothing_expert, working_size=32
    )
    assert five.operations == (*OPERATIONS, "blushing")
    assert "blushing_expert->shared_expert" in five.model_cpu_offload_seq
    output = five(photos, operations={"blushing"}, output_type="pt", num_inference_steps=1)
    assert output.active.tolist() == [[False] * len(OPERATIONS) + [True]] * 2
    assert not torch.equal(output.images, photos)
    assert base.operations == OPERATIONS
