"""Each option by which diffusers loads or places a pipeline: it works, or is refused with words."""

import logging

import pytest
import tiny_bpfre
import torch
from diffusers import BitsAndBytesConfig, ModelMixin, PipelineQuantizationConfig, TorchAoConfig
from torch import nn

from frr.pipelines.bpfre.pipeline import BPFRePipeline
from frr.pipelines.mofrr.pipeline import MoFRRPipeline

pytestmark = pytest.mark.usefixtures("one_thread")
KINDS = ["pipe", "native", "bpfre"]
FP8 = {"storage_dtype": torch.float8_e4m3fn, "compute_dtype": torch.float32}
QUANTIZER = BitsAndBytesConfig(load_in_8bit=True)
GROUPS = {"onload_device": torch.device("cpu"), "offload_device": torch.device("cpu")}


def quantized(component: str) -> PipelineQuantizationConfig:
    return PipelineQuantizationConfig(quant_mapping={component: QUANTIZER})


@pytest.fixture(scope="module")
def bpfre() -> BPFRePipeline:
    return tiny_bpfre.pipeline()


@pytest.fixture(scope="module")
def folders(pipe, native, bpfre, written, tmp_path_factory) -> dict:
    """Each pipeline and its repository."""
    made = {"pipe": (pipe, written)}
    for name, each in (("native", native), ("bpfre", bpfre)):
        folder = tmp_path_factory.mktemp(name)
        each.save_pretrained(folder)
        made[name] = each, folder
    return made


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return torch.rand(1, 3, 64, 72, generator=torch.Generator().manual_seed(4))


def act(pipe, photo) -> torch.Tensor:
    """With all experts, where there are any."""
    pipe.set_progress_bar_config(disable=True)
    given = {"output_type": "pt"}
    if isinstance(pipe, MoFRRPipeline):
        noise = torch.Generator().manual_seed(0)
        given |= {"operations": set(pipe.operations), "generator": noise}
    return pipe(photo, **given).images


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("device_map", ["cpu", "balanced", torch.device("cpu"), {"": "cpu"}])
def test_device_map(folders, photo, kind, device_map):
    pipe, folder = folders[kind]
    loaded = type(pipe).from_pretrained(folder, device_map=device_map)
    accelerator = torch.accelerator.is_available() and device_map == "balanced"
    assert torch.device(loaded.hf_device_map).type == ("cuda" if accelerator else "cpu")
    assert torch.allclose(act(loaded, photo).cpu(), act(pipe, photo), atol=1e-4)
    assert loaded.to("cpu") is loaded


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device_map": "cudo"}, "device_map names 'cudo'"),
        ({"device_map": {"router": "cpu", "merger": "meta"}}, "one device for all networks"),
        ({"device_map": {}}, "one device for all networks"),
        ({"device_map": "cpu", "low_cpu_mem_usage": False}, "leave one of them out"),
        ({"torch_dtype": "float17"}, "dtype is 'float17'"),
        ({"torch_dtype": "int8"}, "floating point"),
        ({"quantization_config": {"load_in_8bit": True}}, "is a dict; expected diffusers'"),
        ({"quantization_config": QUANTIZER}, "is a BitsAndBytesConfig; expected diffusers'"),
        ({"quantization_config": quantized("unet")}, "names unet; the networks here are"),
        ({"variant": "fp16"}, "trying to load the model files of the `variant=fp16`"),
    ],
)
def test_what_is_refused(written, options, words):
    with pytest.raises(ValueError, match=words):
        MoFRRPipeline.from_pretrained(written, **options)


def test_each_network_meets_its_own_quantizer_and_no_other(written, monkeypatch):
    met = {}

    def spy(kind, folder, quantization_config=None, **options):
        met[folder.name] = quantization_config
        return original(kind, folder, **options)

    original = ModelMixin.from_pretrained.__func__
    monkeypatch.setattr(ModelMixin, "from_pretrained", classmethod(spy))
    loaded = MoFRRPipeline.from_pretrained(written, quantization_config=quantized("router"))
    assert {name for name, each in met.items() if each is not None} == {"router"}
    assert set(met) == set(loaded.components) - {"scheduler"} and met["router"] is QUANTIZER


@pytest.mark.skipif(torch.cuda.is_available(), reason="bitsandbytes has what it asks for")
def test_a_quantizer_that_cannot_work_here_says_why(written):
    with pytest.raises(ValueError, match="router cannot be quantized as asked: No GPU found"):
        MoFRRPipeline.from_pretrained(written, quantization_config=quantized("router"))


def test_eight_bit_weights_decide_alike(written, photo, tmp_path):
    quantization = pytest.importorskip("torchao.quantization")
    config = TorchAoConfig(quantization.Int8WeightOnlyConfig())
    config = PipelineQuantizationConfig(quant_mapping={"router": config})
    plain = MoFRRPipeline.from_pretrained(written)
    loaded = MoFRRPipeline.from_pretrained(
        written, torch_dtype="float32", quantization_config=config
    )
    layers = [each for each in loaded.router.modules() if isinstance(each, nn.Linear)]
    assert any(type(each.weight) is not nn.Parameter for each in layers)
    given = {"output_type": "pt", "operations": set()}
    found, expected = (pipe(photo, **given).routing for pipe in (loaded, plain))
    assert torch.allclose(found, expected, atol=0.02)
    loaded.save_pretrained(tmp_path)
    again = MoFRRPipeline.from_pretrained(tmp_path)
    assert torch.allclose(again(photo, **given).routing, found, atol=0.02)


def test_a_device_that_is_not_there_is_named(written):
    missing = "cuda:99" if torch.cuda.is_available() else "cuda"
    with pytest.raises(ValueError, match=f"{missing!r}, which is no device of this machine"):
        MoFRRPipeline.from_pretrained(written, device_map=missing)


@pytest.mark.parametrize("dtype", ["bfloat16", "torch.bfloat16", {"default": "bfloat16"}])
def test_dtypes_by_name(written, dtype):
    loaded = MoFRRPipeline.from_pretrained(written, torch_dtype=dtype)
    assert loaded.merger.dtype == loaded.router.dtype == torch.bfloat16


@pytest.mark.parametrize("kind", KINDS)
def test_networks_may_be_made_before_their_weights_are_read(folders, photo, kind):
    pipe, folder = folders[kind]
    loaded = type(pipe).from_pretrained(folder, low_cpu_mem_usage=False)
    assert torch.allclose(act(loaded, photo), act(pipe, photo), atol=1e-5)


def test_what_is_loaded_is_named_in_diffusers_log(written, caplog):
    with caplog.at_level(logging.INFO, logger="diffusers.pipelines.pipeline_utils"):
        caplog.handler.setLevel(logging.INFO)
        log = logging.getLogger("diffusers.pipelines.pipeline_utils")
        log.addHandler(caplog.handler)
        loaded = MoFRRPipeline.from_pretrained(written)
        log.removeHandler(caplog.handler)
    for name, part in loaded.components.items():
        words = f"Loaded {name} as {type(part).__name__} from `{name}` subfolder of {written}."
        assert words in caplog.messages


def knows_its_accelerator():
    """Torch 2.6 raises where there is none; group offload asks for it even on a CPU."""
    try:
        torch.accelerator.current_accelerator()
    except RuntimeError:
        return False
    return True


@pytest.mark.skipif(not knows_its_accelerator(), reason="torch 2.6 offloads groups to a GPU alone")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("groups", ["leaf_level", "block_level"])
def test_group_offload_of_each_network(folders, photo, kind, groups):
    pipe, folder = folders[kind]
    loaded = type(pipe).from_pretrained(folder)
    options = {"offload_type": groups, **({"num_blocks_per_group": 1} if groups[0] == "b" else {})}
    for part in loaded.components.values():
        if isinstance(part, torch.nn.Module):
            part.enable_group_offload(**GROUPS, **options)
    torch.testing.assert_close(act(loaded, photo), act(pipe, photo), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_layerwise_casting_of_each_network(folders, photo, kind):
    pipe, folder = folders[kind]
    loaded = type(pipe).from_pretrained(folder)
    for part in loaded.components.values():
        if isinstance(part, torch.nn.Module):
            part.enable_layerwise_casting(**FP8)
            assert any(each.dtype == torch.float8_e4m3fn for each in part.parameters())
    images = act(loaded, photo)
    assert images.dtype == torch.float32 and images.isfinite().all()
    assert (images - act(pipe, photo)).abs().mean() < 0.05


@pytest.mark.parametrize("kind", ["native", "bpfre"])
def test_model_offload(folders, photo, kind):
    pipe, folder = folders[kind]
    loaded = type(pipe).from_pretrained(folder)
    loaded.enable_model_cpu_offload(device="cpu")
    assert torch.allclose(act(loaded, photo), act(pipe, photo), atol=1e-5)
