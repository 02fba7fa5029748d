"""MoFRRPipeline: dtypes, offloading, compilation."""

import diffusers
import pytest
import torch
from diffusers.utils import is_xformers_available
from packaging.version import Version


def call(pipeline, image, **options):
    options = {
        "operations": ("whitening", "face_slimming"),
        "num_inference_steps": 2,
        "generator": torch.Generator().manual_seed(0),
        "output_type": "pt",
    } | options
    return pipeline(image, **options)


def test_half_precision(make_pipeline, photos):
    pipeline = make_pipeline()
    expected = call(pipeline, photos).images
    half = pipeline.to(torch.bfloat16)
    for part in half.components.values():
        assert not isinstance(part, torch.nn.Module) or part.dtype == torch.bfloat16
    output = call(half, photos)
    assert output.images.dtype == torch.float32
    assert (output.images - expected).abs().max() < 0.05
    half.router.to(torch.float32)
    assert call(half, photos).images.isfinite().all()


def test_loading_with_a_dtype_for_each_component(make_pipeline, photos, tmp_path):
    pipeline = make_pipeline()
    pipeline.save_pretrained(tmp_path)
    dtypes = {"router": torch.float32, "default": torch.bfloat16}
    mixed = type(pipeline).from_pretrained(tmp_path, dtype=dtypes)
    assert mixed.router.dtype == torch.float32
    assert mixed.whitening_expert.dtype == mixed.merger.dtype == torch.bfloat16
    assert call(mixed, photos).images.isfinite().all()
    older = type(pipeline).from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    assert older.router.dtype == torch.bfloat16


def test_model_offload_wakes_the_active_experts_alone(make_pipeline, photos):
    pipeline = make_pipeline()
    expected = call(pipeline, photos).images
    pipeline.enable_model_cpu_offload(device="cpu")
    onloaded = []
    for name in pipeline._optional_components:
        hook = getattr(pipeline, name)._hf_hook

        def pre_forward(module, *args, _name=name, _wake=hook.pre_forward, **options):
            onloaded.append(_name)
            return _wake(module, *args, **options)

        hook.pre_forward = pre_forward
    torch.testing.assert_close(call(pipeline, photos).images, expected, atol=1e-5, rtol=0)
    parts = {"router", "whitening_expert", "face_slimming_expert", "shared_expert", "merger"}
    assert set(onloaded) == parts
    assert pipeline._all_hooks


def test_offload_is_ended_when_a_callback_stops_the_run(make_pipeline, photos, monkeypatch):
    pipeline = make_pipeline()
    freed = []
    monkeypatch.setattr(pipeline, "maybe_free_model_hooks", lambda: freed.append(True))

    def stop(*given):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(pipeline, photos, callback_on_step_end=stop)
    assert freed == [True]


@pytest.mark.skipif(
    Version(diffusers.__version__) < Version("0.40") and not torch.accelerator.is_available(),
    reason="diffusers < 0.40 offloads groups only where there is an accelerator",
)
def test_group_offload(make_pipeline, photos):
    pipeline = make_pipeline()
    expected = call(pipeline, photos).images
    pipeline.enable_group_offload(
        onload_device=torch.device("cpu"),
        offload_device=torch.device("cpu"),
        offload_type="leaf_level",
    )
    torch.testing.assert_close(call(pipeline, photos).images, expected, atol=1e-5, rtol=0)


def test_compiling_a_denoiser_runs_its_graphs(make_pipeline, photos):
    pipeline = make_pipeline()
    expected = call(pipeline, photos).images
    runs = []

    def backend(graph, inputs):
        def counted(*given):
            runs.append(graph)
            return graph(*given)

        return counted

    pipeline.whitening_expert.denoiser.compile(backend=backend)
    torch.testing.assert_close(call(pipeline, photos).images, expected, atol=1e-5, rtol=0)
    assert len(runs) >= 2  # one a step


def test_a_whole_compiled_expert_works_and_says_that_it_gains_nothing(
    make_pipeline, photos, tmp_path
):
    pipeline = make_pipeline()
    expected = call(pipeline, photos).images
    pipeline.whitening_expert = torch.compile(pipeline.whitening_expert, backend="eager")
    with pytest.warns(UserWarning, match=r"denoiser\.compile"):
        torch.testing.assert_close(call(pipeline, photos).images, expected, atol=1e-5, rtol=0)
    pipeline.save_pretrained(tmp_path)
    index = (tmp_path / "model_index.json").read_text()
    assert index.count('"WaveFRRExpert"') == len(pipeline.operations)


def test_xformers_reaches_the_experts_attention_and_is_named_where_it_is_missing(make_pipeline):
    pipeline = make_pipeline()
    config = {**pipeline.whitening_expert.config, "attention_levels": (1,)}
    pipeline.whitening_expert = type(pipeline.whitening_expert).from_config(config)
    if is_xformers_available() and torch.cuda.is_available():
        pipeline.to("cuda").enable_xformers_memory_efficient_attention()
        return
    with pytest.raises((ModuleNotFoundError, ValueError), match=r"xformers"):
        pipeline.enable_xformers_memory_efficient_attention()
