"""Experts that answer at once in the pipeline, alone and beside one that denoises."""

import pytest
import torch
import torch.nn.functional as F
from by_operation import flags, values

from frr.models.mofrr.flow_expert import FlowExpert
from frr.models.mofrr.merger import ExpertMerger
from frr.models.mofrr.native_view import look
from frr.models.mofrr.warping import warp_smoothly
from frr.pipelines.mofrr import composing, direct
from frr.pipelines.mofrr.components import SHARED
from frr.pipelines.mofrr.direct import DirectEdit, answers_at_once, spread
from frr.pipelines.mofrr.pipeline import MoFRRPipeline
from frr.pipelines.mofrr.single_file import load_single_file, save_single_file
from frr.pipelines.operations import OPERATIONS


def make_photos(count=2, height=75, width=101):
    """Around the middle of the range, so that nothing is clamped."""
    noise = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(7))
    return 0.4 + 0.2 * noise


def call(pipeline, image, **options):
    options = {
        "operations": set(OPERATIONS),
        "generator": torch.Generator().manual_seed(0),
    } | options
    return pipeline(image, output_type="pt", **options)


def calm(pipeline):
    """The pipeline with tones so small that they stay within a photo's range."""
    for name in ("whole_head", "head"):
        head = getattr(pipeline.whitening_expert, name)
        head.weight.data.mul_(0.1)
        head.bias.data.mul_(0.1)
    return pipeline


def answer_of(pipeline, name, photos, degree):
    signed = photos * 2 - 1
    with torch.no_grad():
        expert = getattr(pipeline, f"{name}_expert")
        return expert.answer(signed, look(signed), degree)


def test_which_experts_answer_at_once(native, mixed, pipe):
    experts = [getattr(native, f"{name}_expert") for name in OPERATIONS]
    assert all(map(answers_at_once, experts))
    assert not answers_at_once(mixed.smoothing_expert)
    assert not answers_at_once(None)
    assert not any(answers_at_once(getattr(pipe, f"{name}_expert")) for name in OPERATIONS)


@pytest.mark.parametrize("size", [(24, 30), (75, 101), (301, 200), (1, 1), (5, 7)])
def test_photos_of_any_size(native, size):
    photos = make_photos(1, *size)
    output = call(native, photos)
    assert output.images.shape == photos.shape
    assert output.images.isfinite().all()
    assert output.active.all()


def test_no_operation_found_gives_the_photo_back_to_the_bit(make_native):
    pipeline, photos = make_native(), make_photos()
    pipeline.router.register_to_config(thresholds=values(2))
    for options in ({}, {"skip_untouched": False}):
        output = call(pipeline, photos, operations=None, **options)
        assert torch.equal(output.images, photos)
        assert not output.active.any() and not output.degrees.any()
    assert torch.equal(call(pipeline, photos, strength=0).images, photos)


def test_untrained_experts_change_no_bit(make_native):
    photos = make_photos()
    output = call(make_native(stirred=False), photos)
    assert output.active.all()
    assert torch.equal(output.images, photos)


def test_the_router_decides_photo_by_photo(make_native):
    pipeline, photos = make_native(), make_photos()
    photos[1, :, :40] = photos[1, :, :40].mean((1, 2), keepdim=True)
    probabilities = pipeline.route(photos * 2 - 1).probabilities
    between = probabilities[:, 0].mean().item()
    pipeline.router.register_to_config(thresholds=values(2, whitening=between))
    output = call(pipeline, photos, operations=None)
    on = int(probabilities[:, 0].argmax())
    assert output.active[:, 0].tolist() == [on == 0, on == 1]
    assert torch.equal(output.images[1 - on], photos[1 - on])
    assert not torch.equal(output.images[on], photos[on])
    assert output.expert_images["whitening"][1 - on] is None


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_changes_what_it_may(native, name):
    photos, told = make_photos(), torch.tensor([0.5, 0.5])
    output = call(native, photos, operations={name}, degrees={name: 0.5})
    answer = answer_of(native, name, photos, told)
    assert output.degrees[:, OPERATIONS.index(name)].tolist() == [0.5, 0.5]
    signed = photos * 2 - 1
    if answer.flow is None:
        expected = signed + answer.residual
        assert not any(flow.any() for flow in output.flows[name])
    else:
        expected = warp_smoothly(signed, spread(answer.flow, signed))
        assert not any(residual.any() for residual in output.residuals[name])
        assert output.images.amax() <= photos.amax() * 1.1
    expected = (expected / 2 + 0.5).clamp(0, 1)
    assert torch.allclose(output.images, expected, atol=1e-5)
    assert torch.allclose(torch.stack(output.expert_images[name]), expected, atol=1e-5)
    assert not torch.allclose(output.images, photos, atol=1e-3)
    others = set(native.expert_names) - {name}
    assert all(image is None for other in others for image in output.expert_images[other])


def test_tones_and_textures_come_first_and_all_flows_are_one_warp(make_native):
    pipeline, photos = calm(make_native()), make_photos()
    degrees = dict.fromkeys(OPERATIONS, 0.5)
    answers = {
        name: answer_of(pipeline, name, photos, torch.full((2,), 0.5)) for name in OPERATIONS
    }
    edited = photos * 2 - 1
    warps = ("face_slimming", "eye_enlarging")
    for name in OPERATIONS:
        edited = edited if name in warps else edited + answers[name].residual
    flow = sum(spread(answers[name].flow, edited) for name in warps)
    expected = warp_smoothly(edited, flow) / 2 + 0.5
    assert torch.allclose(call(pipeline, photos, degrees=degrees).images, expected, atol=1e-5)


def test_strength_scales_residuals_and_flows(make_native):
    pipeline, photos = calm(make_native()), make_photos()
    whole = call(pipeline, photos)
    half = call(pipeline, photos, strength=0.5)
    for name in OPERATIONS:
        for field in ("residuals", "flows"):
            pairs = zip(getattr(half, field)[name], getattr(whole, field)[name], strict=True)
            assert all(torch.allclose(one, 0.5 * two, atol=1e-6) for one, two in pairs)
    tones = {"operations": {"whitening", "smoothing"}}
    change = call(pipeline, photos, **tones).images - photos
    part = call(pipeline, photos, **tones, strength=0.3).images - photos
    assert torch.allclose(part, 0.3 * change, atol=1e-6)


@pytest.mark.parametrize("kind", ["native", "mixed"])
def test_batch_equals_single_photos(kind, request):
    pipeline, photos = request.getfixturevalue(kind), make_photos(3)
    shape = pipeline.prepare_latents(photos).shape
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    together = call(pipeline, photos, latents=latents)
    for row in range(3):
        part = slice(row, row + 1)
        alone = call(pipeline, photos[part], latents=latents[part])
        assert torch.allclose(together.images[part], alone.images, atol=1e-5)
        assert torch.allclose(together.degrees[part], alone.degrees, atol=1e-5)


def restored(pipeline, photos, active, latents):
    active = torch.tensor([[*flags(*names), False] for names in active])
    gates = active[:, :-1].float()
    degrees = torch.full_like(gates, 0.5)
    edits, _ = pipeline.run_experts(photos * 2 - 1, active, degrees, latents)
    return pipeline.join(photos, edits, gates).images


def test_what_runs_on_one_photo_does_not_depend_on_the_others(mixed):
    photos = make_photos(3)
    latents = mixed.prepare_latents(photos, torch.Generator().manual_seed(1))
    active = [("whitening", "face_slimming", "eye_enlarging"), ("smoothing",), OPERATIONS[:3]]
    together = restored(mixed, photos, active, latents)
    for row in range(3):
        part = slice(row, row + 1)
        alone = restored(mixed, photos[part], active[part], latents[part])
        assert torch.allclose(together[part], alone, atol=1e-5)


def test_a_denoisers_edit_is_added_to_what_the_others_do_together(mixed):
    photos = make_photos(1)
    direct = call(mixed, photos, operations={"whitening", "face_slimming"}).images
    denoised = call(mixed, photos, operations={"smoothing"}).images
    both = call(mixed, photos, operations={"whitening", "face_slimming", "smoothing"}).images
    expected = direct + denoised - photos
    inside = (direct > 0) & (direct < 1) & (denoised > 0) & (denoised < 1)
    inside &= (expected > 0) & (expected < 1)
    assert inside.float().mean() > 0.5
    assert torch.allclose(both[inside], expected[inside], atol=1e-4)


def test_a_merger_takes_direct_edits_too(make_native):
    pipeline, photos = (
        calm(make_native(merger=ExpertMerger(OPERATIONS, channels=(8, 8)))),
        make_photos(),
    )
    output = call(pipeline, photos)
    assert output.images.isfinite().all()
    assert not torch.allclose(output.images, photos, atol=1e-3)
    alone = call(pipeline, photos[:1]).images
    assert torch.allclose(output.images[:1], alone, atol=1e-5)


def test_degrees_are_the_callers_or_the_routers(make_native):
    photos = make_photos()
    for source in ("router", "expert"):
        pipeline = make_native(degree_source=source)
        expected = pipeline.router(photos * 2 - 1).degrees
        output = call(pipeline, photos, degrees={"smoothing": 0.25})
        assert output.degrees[:, 1].tolist() == [0.25, 0.25]
        others = [i for i, name in enumerate(OPERATIONS) if name != "smoothing"]
        assert torch.allclose(output.degrees[:, others], expected[:, others], atol=1e-5)
    told = [call(pipeline, photos, degrees={"whitening": d}).images for d in (0.1, 0.9)]
    assert not torch.allclose(*told, atol=1e-4)


def test_without_a_router_the_caller_decides(make_native):
    pipeline, photos = make_native(router=None), make_photos()
    with pytest.raises(ValueError, match="router is None"):
        call(pipeline, photos, operations=None)
    known = call(pipeline, photos, operations={"whitening"}, degrees={"whitening": 0.5})
    assert known.degrees[:, 0].tolist() == [0.5, 0.5]
    assert call(pipeline, photos, operations={"whitening"}).images.isfinite().all()


def test_where_every_degree_is_told_samples_are_all_alike(native):
    photos, degrees = make_photos(), dict.fromkeys(OPERATIONS, 0.5)
    once = call(native, photos, degrees=degrees)
    thrice = call(native, photos, degrees=degrees, num_samples=3)
    assert torch.allclose(once.images, thrice.images, atol=1e-5)
    assert not thrice.uncertainty.any()
    assert [len(found) for found in thrice.candidates] == [1, 1]


class Bar:
    """Stands in for the progress bar."""

    def __init__(self, total):
        self.total, self.done = total, 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def update(self, count=1):
        self.done += count


@pytest.mark.parametrize(
    ("operations", "steps", "total"),
    [
        ({"whitening", "face_slimming"}, 1, 1),
        ({"whitening", "smoothing"}, 3, 4),
        ({"smoothing"}, 3, 3),
    ],
)
def test_the_bar_is_complete_in_the_end(mixed, monkeypatch, operations, steps, total):
    bars, called = [], []

    def bar(iterable=None, total=None):
        bars.append(Bar(total))
        return bars[-1]

    def watch(pipeline, index, timestep, tensors):
        called.append(index)
        return tensors

    monkeypatch.setattr(mixed, "progress_bar", bar)
    given = {"num_inference_steps": 3, "callback_on_step_end": watch}
    call(mixed, make_photos(1), operations=operations, **given)
    assert mixed.num_timesteps == steps
    assert called == list(range(steps))
    assert [(each.done, each.total) for each in bars] == [(total, total)]


@pytest.mark.parametrize("kind", ["native", "mixed"])
def test_saves_and_loads(kind, request, tmp_path):
    pipeline, photos = request.getfixturevalue(kind), make_photos()
    expected = call(pipeline, photos)
    pipeline.save_pretrained(tmp_path / "folder")
    save_single_file(pipeline, tmp_path / "whole.safetensors")
    folder = MoFRRPipeline.from_pretrained(tmp_path / "folder")
    for loaded in (folder, load_single_file(tmp_path / "whole.safetensors")):
        loaded.set_progress_bar_config(disable=True)
        for name, part in pipeline.components.items():
            assert type(getattr(loaded, name)) is type(part)
        output = call(loaded, photos)
        assert torch.equal(output.images, expected.images)
        assert torch.equal(output.routing, expected.routing)


def test_networks_stand_where_their_classes_may(native, tmp_path):
    kinds = MoFRRPipeline.network_class
    assert kinds("smoothing_expert", "TextureExpert") is type(native.smoothing_expert)
    assert kinds("router", "NativeRouter") is type(native.router)
    assert kinds("router", None).__name__ == "RetouchRouter"
    for name, strange in (("router", "FlowExpert"), ("merger", "ToneExpert"), (SHARED, "Unet")):
        with pytest.raises(ValueError, match=f"of class '{strange}'; expected"):
            kinds(name, strange)


def test_a_single_file_of_a_strange_class_says_so(make_native, tmp_path, monkeypatch):
    file = tmp_path / "strange.safetensors"

    class Strange(FlowExpert):
        pass

    save_single_file(make_native(eye_enlarging_expert=Strange()), file)
    with pytest.raises(ValueError, match="'Strange'; expected"):
        load_single_file(file)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(make_native, dtype):
    pipeline, photos = calm(make_native()), make_photos()
    degrees = dict.fromkeys(OPERATIONS, 0.5)
    for name in ("face_slimming", "eye_enlarging"):
        getattr(pipeline, f"{name}_expert").head.weight.data.mul_(0.1)
        getattr(pipeline, f"{name}_expert").head.bias.data.mul_(0.1)
    expected = call(pipeline, photos, degrees=degrees)
    output = call(pipeline.to(dtype), photos, degrees=degrees)
    assert output.images.dtype == torch.float32
    assert (output.images - expected.images).abs().max() < 0.05
    assert (output.routing - expected.routing).abs().max() < 0.02


def test_model_offload_wakes_the_active_experts_alone(make_native):
    pipeline, photos = make_native(), make_photos()
    chosen = {"operations": {"whitening", "face_slimming"}}
    expected = call(pipeline, photos, **chosen).images
    pipeline.enable_model_cpu_offload(device="cpu")
    woken = set()
    for name in ("router", *(f"{name}_expert" for name in OPERATIONS)):
        hook = getattr(pipeline, name)._hf_hook

        def pre_forward(module, *args, _name=name, _wake=hook.pre_forward, **options):
            woken.add(_name)
            return _wake(module, *args, **options)

        hook.pre_forward = pre_forward
    assert torch.equal(call(pipeline, photos, **chosen).images, expected)
    assert woken == {"router", "whitening_expert", "face_slimming_expert"}


def test_edits_of_photos_are_joined_and_parted():
    flow, residual = torch.rand(3, 2, 4, 4), torch.rand(3, 3, 8, 8)
    edit = DirectEdit(torch.tensor([0, 2, 5]), flow, residual, torch.rand(3))
    home = torch.device("cpu")
    assert edit.of(torch.tensor([1, 3]), home) is None
    part = edit.of(torch.tensor([2, 3, 5]), home)
    assert part.rows.tolist() == [0, 2]
    assert torch.equal(part.flow, flow[1:]) and torch.equal(part.residual, residual[1:])
    joined = DirectEdit.joined([edit, edit._replace(rows=edit.rows + 6)])
    assert joined.rows.tolist() == [0, 2, 5, 6, 8, 11]
    assert torch.equal(joined.residual, residual.repeat(2, 1, 1, 1))


def test_coarse_flows_are_thousandths_of_the_sides():
    flow = torch.zeros(1, 2, 64, 64)
    flow[:, 0], flow[:, 1] = 10, -5
    pixels = spread(flow, torch.zeros(1, 3, 200, 300))
    assert torch.allclose(pixels[:, 0], torch.tensor(3.0), atol=1e-4)
    assert torch.allclose(pixels[:, 1], torch.tensor(-1.0), atol=1e-4)


def test_coarse_flows_are_brought_to_full_size_bicubically():
    flow = torch.randn(2, 2, 16, 12, generator=torch.Generator().manual_seed(2))
    expected = F.interpolate(flow, (75, 101), mode="bicubic")
    expected = expected * torch.tensor([101.0, 75.0]).view(1, 2, 1, 1) / 1000
    assert torch.allclose(spread(flow, torch.zeros(2, 3, 75, 101)), expected, atol=1e-5)


def test_photos_are_moved_once_and_for_an_experts_image_when_it_is_looked_at(native, monkeypatch):
    moves = []

    def watched(photo, flow, top=0):
        moves.append(len(photo))
        return warp_smoothly(photo, flow, top)

    for room in (direct, composing):
        monkeypatch.setattr(room, "warp_smoothly", watched)
    photos = make_photos()
    output = call(native, photos)
    assert moves == [2]
    images = output.expert_images["face_slimming"]
    assert moves == [2, 2]
    expected = warp_smoothly(photos * 2 - 1, torch.stack(output.flows["face_slimming"]))
    assert torch.allclose(torch.stack(images), (expected / 2 + 0.5).clamp(0, 1), atol=1e-5)


def test_what_one_of_two_photos_needs_leaves_the_other_as_it_is_alone(make_native):
    pipeline, photos = make_native(), make_photos()
    signed = photos * 2 - 1
    every, second = torch.tensor([0, 1]), torch.tensor([1])
    answer = answer_of(pipeline, "face_slimming", photos, None)
    tone = answer_of(pipeline, "whitening", photos, None)
    unknown = torch.full((2,), torch.nan)
    parts = {
        "whitening": DirectEdit(every, None, tone.residual, unknown).applied(signed, 1.0),
        "face_slimming": DirectEdit(second, answer.flow[1:], None, unknown[1:]).applied(signed, 1),
    }
    together = composing.compose(signed, parts)
    assert torch.allclose(together[0], tone.residual[0], atol=1e-6)
    flow = spread(answer.flow[1:], signed[1:])
    expected = warp_smoothly(signed[1:] + tone.residual[1:], flow) - signed[1:]
    assert torch.allclose(together[1:], expected, atol=1e-6)
    assert not composing.compose(signed, {}).any()
