"""MoFRRPipeline: what diffusers and its tools expect of a pipeline."""

import inspect

import numpy as np
import pytest
import torch
from by_operation import flags
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DEISMultistepScheduler,
    DPMSolverMultistepScheduler,
    DPMSolverSinglestepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)
from PIL import Image

NAMES = ("whitening", "face_slimming")
ALL = {"operations": NAMES, "num_inference_steps": 2}


def call(pipeline, image, **options):
    options = {**ALL, "generator": torch.Generator().manual_seed(0), "output_type": "pt"} | options
    return pipeline(image, **options)


def test_call_takes_the_usual_arguments(pipe):
    parameters = inspect.signature(pipe.__call__).parameters
    expected = {"num_inference_steps", "generator", "latents", "output_type", "return_dict"}
    expected |= {"callback_on_step_end", "callback_on_step_end_tensor_inputs"}
    assert expected <= set(parameters)
    assert pipe._callback_tensor_inputs == ["latents"]


def test_components_are_the_constructors_parameters(pipe):
    parameters = set(inspect.signature(type(pipe).__init__).parameters) - {
        "self",
        "working_size",
        "degree_source",
    }
    assert set(pipe.components) == parameters
    assert set(pipe._optional_components) == parameters - {"scheduler"}


def test_output_types(pipe, photos):
    tensor = call(pipe, photos).images
    assert tensor.shape == photos.shape
    array = call(pipe, photos, output_type="np").images
    assert np.array_equal(array, tensor.permute(0, 2, 3, 1).numpy())
    pictures = call(pipe, photos, output_type="pil")
    levels = (array * 255).round().astype(np.uint8)
    for row, picture in enumerate(pictures.images):
        assert isinstance(picture, Image.Image)
        assert np.array_equal(np.asarray(picture), levels[row])
    assert isinstance(pictures.expert_images["whitening"][0], Image.Image)
    latents = call(pipe, photos, output_type="latent", num_samples=2)
    assert latents.images.shape == (4, len(pipe.expert_names), 3, 8, 8)
    assert latents.expert_images is None and latents.uncertainty is None
    assert latents.active.tolist() == [flags(*NAMES)] * 2


def test_tuple_form_has_the_images_first(pipe, photos):
    output = call(pipe, photos)
    parts = call(pipe, photos, return_dict=False)
    assert type(parts) is tuple
    assert torch.equal(parts[0], output.images)
    assert torch.equal(output[0], output["images"])
    assert len(parts) == 10  # no uncertainty with one sample


def test_latents_replace_the_draw(pipe, photos):
    drawn = call(pipe, photos)
    experts = len(pipe.expert_names)
    noise = torch.randn(2, experts, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(pipe.prepare_latents(photos, torch.Generator().manual_seed(0)), noise)
    assert torch.equal(call(pipe, photos, latents=noise, generator=None).images, drawn.images)
    other = call(pipe, photos, latents=noise + 1)
    assert not torch.equal(other.images, drawn.images)


def test_the_same_seed_gives_the_same_and_another_seed_another(pipe, photos, seeded):
    options = {"num_inference_steps": 1, "output_type": "latent"}
    first, again, other = (
        call(pipe, photos, generator=seeded(seed), **options).images for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_batch_gives_what_its_photos_give_alone(make_pipeline, seeded):
    pipeline = make_pipeline()
    photos = torch.rand(3, 3, 24, 30)
    probabilities = pipeline.route(photos * 2 - 1).probabilities.sort(dim=0).values
    limits = probabilities[:2].mean(dim=0).tolist()  # each operation on two of the three
    pipeline.router.register_to_config(thresholds=limits)
    options = {"operations": None, "num_samples": 2}
    together = call(pipeline, photos, generator=[seeded(i) for i in range(3)], **options)
    assert together.active.any() and not together.active.all()
    for i in range(3):
        alone = call(pipeline, photos[i : i + 1], generator=[seeded(i)], **options)
        assert torch.equal(alone.active[0], together.active[i])
        assert torch.allclose(alone.images[0], together.images[i], atol=1e-4)
        assert torch.allclose(alone.uncertainty[0], together.uncertainty[i], atol=1e-4)


def test_networks_are_in_eval_mode(pipe):
    networks = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
    assert len(networks) == len(pipe.expert_names) + 2
    assert not any(network.training for network in networks)


def test_callback_sees_every_step(pipe, photos):
    seen = []

    def watch(pipeline, index, timestep, tensors):
        seen.append((index, int(timestep), set(tensors)))
        assert pipeline is pipe
        return tensors

    plain = call(pipe, photos)
    watched = call(pipe, photos, callback_on_step_end=watch)
    assert seen == [(0, 999, {"latents"}), (1, 499, {"latents"})]
    assert pipe.num_timesteps == 2
    assert torch.equal(plain.images, watched.images)
    blind = []
    call(
        pipe,
        photos,
        callback_on_step_end=lambda *given: blind.append(given[-1]) or {},
        callback_on_step_end_tensor_inputs=[],
    )
    assert blind == [{}, {}]


def test_callback_may_replace_the_latents(pipe, photos):
    def zero_at_the_end(pipeline, index, timestep, tensors):
        if index == pipeline.num_timesteps - 1:
            tensors["latents"] = torch.zeros_like(tensors["latents"])
        return tensors

    options = {"callback_on_step_end": zero_at_the_end}
    assert not call(pipe, photos, output_type="latent", **options).images.any()
    assert not torch.equal(call(pipe, photos, **options).images, call(pipe, photos).images)


def test_diffusers_callback_objects(pipe, photos):
    from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback

    class Count(PipelineCallback):
        tensor_inputs = ["latents"]  # noqa: RUF012
        steps = 0

        def callback_fn(self, pipeline, step_index, timestep, callback_kwargs):
            self.steps += 1
            return callback_kwargs

    count = Count(cutoff_step_ratio=None, cutoff_step_index=0)
    call(pipe, photos, callback_on_step_end=count)
    call(pipe, photos, callback_on_step_end=MultiPipelineCallbacks([count]))
    assert count.steps == 4


def test_progress_bar_counts_the_steps(make_pipeline, photos, capsys):
    pipeline = make_pipeline()
    pipeline.set_progress_bar_config(disable=False)
    call(pipeline, photos)
    assert "2/2" in capsys.readouterr().err
    pipeline.set_progress_bar_config(disable=True)
    call(pipeline, photos)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("missing", ["router", "eye_enlarging_expert", "shared_expert", "merger"])
def test_an_optional_component_may_be_none(make_pipeline, photos, tmp_path, missing):
    pipeline = make_pipeline(**{missing: None})
    wishes = {f"{name}_expert": name for name in pipeline.operations}
    wishes = {name: True for part, name in wishes.items() if part != missing}
    wishes = {"whitening": False, "eye_enlarging": False, **wishes}
    output = call(pipeline, photos, operations=wishes)
    assert output.images.shape == photos.shape
    pipeline.save_pretrained(tmp_path)
    again = type(pipeline).from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert getattr(again, missing) is None
    torch.testing.assert_close(
        call(again, photos, operations=wishes).images, output.images, atol=1e-5, rtol=0
    )


def test_all_optional_components_may_be_none(make_pipeline, photos, tmp_path):
    pipeline = make_pipeline()
    bare = type(pipeline)(
        **dict.fromkeys(pipeline._optional_components), scheduler=pipeline.scheduler
    )
    assert torch.equal(bare(photos, output_type="pt").images, photos)
    bare.save_pretrained(tmp_path)
    again = type(pipeline).from_pretrained(tmp_path)
    assert torch.equal(again(photos, output_type="pt").images, photos)


@pytest.mark.parametrize(
    "scheduler",
    [
        DDIMScheduler,
        DDPMScheduler,
        DPMSolverMultistepScheduler,
        DPMSolverSinglestepScheduler,
        EulerDiscreteScheduler,
        LCMScheduler,
        UniPCMultistepScheduler,
    ],
)
def test_other_schedulers(make_pipeline, photos, scheduler, seeded):
    pipeline = make_pipeline()
    expected = call(pipeline, photos, num_inference_steps=1).images
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
    # One step goes from pure noise straight to the prediction, whatever the scheduler.
    assert torch.allclose(call(pipeline, photos, num_inference_steps=1).images, expected, atol=2e-3)
    options = {"num_inference_steps": 3, "generator": [seeded(0), seeded(1)], "num_samples": 2}
    assert call(pipeline, photos, **options).images.isfinite().all()


@pytest.mark.parametrize("scheduler", [DEISMultistepScheduler, HeunDiscreteScheduler])
def test_schedulers_that_start_or_end_elsewhere(make_pipeline, photos, scheduler):
    pipeline = make_pipeline()
    expected = call(pipeline, photos).images
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
    images = call(pipeline, photos, num_inference_steps=2).images
    like = scheduler.from_config(pipeline.scheduler.config)
    like.set_timesteps(2)
    assert pipeline.num_timesteps == len(like.timesteps)
    assert not torch.equal(images, expected)
    assert torch.allclose(images, expected, atol=0.2)


@pytest.mark.parametrize("scheduler", [PNDMScheduler, EulerAncestralDiscreteScheduler])
def test_schedulers_that_cannot_predict_samples_say_so(make_pipeline, photos, scheduler):
    pipeline = make_pipeline()
    pipeline.scheduler = scheduler.from_config(pipeline.scheduler.config)
    with pytest.raises((ValueError, NotImplementedError), match=r"prediction_type|sample"):
        call(pipeline, photos, num_inference_steps=9)


def test_parts_may_be_shared_with_another_pipeline(pipe, photos):
    other = type(pipe)(**pipe.components, working_size=32)
    other.set_progress_bar_config(disable=True)
    assert torch.equal(call(other, photos).images, call(pipe, photos).images)
