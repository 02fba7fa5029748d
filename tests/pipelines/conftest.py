"""A pipeline of real networks, as small as they go, whose experts do something."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from by_operation import further
from diffusers import DDIMScheduler
from tiny_native import NATIVE_ROUTER
from torch import nn

from frr.models.mofrr.expert import WaveFRRExpert
from frr.models.mofrr.flow_expert import FlowExpert
from frr.models.mofrr.merger import ExpertMerger
from frr.models.mofrr.native_router import NativeRouter
from frr.models.mofrr.router import RetouchRouter
from frr.models.mofrr.shared import SharedExpert
from frr.models.mofrr.texture_expert import TextureExpert
from frr.models.mofrr.tone_expert import ToneExpert
from frr.pipelines.mofrr.pipeline import MoFRRPipeline
from frr.pipelines.operations import OPERATIONS

UNET = {"denoiser_channels": (16, 16), "attention_levels": (), "coarse_channels": (16, 16)}
RESNET = {
    "embedding_size": 8,
    "hidden_sizes": [8, 8],
    "depths": [1, 1],
    "layer_type": "basic",
}
EXPERT = {**UNET, "idem_width": 4, "hfcam_width": 8, "degree_resnet": RESNET}
ROUTER = {
    "embedding_size": 8,
    "hidden_sizes": (8, 8, 8),
    "depths": (1, 1, 1),
    "group_tokens": 2,
    "token_width": 16,
    "token_side": 4,
    "group_heads": 2,
    "heads": 2,
    "layers": 1,
}
COARSE = {"widths": (8, 8, 8), "fine": 8}


def schedule(**options) -> DDIMScheduler:
    return DDIMScheduler(
        **{
            "prediction_type": "sample",
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
            "clip_sample": False,
            "set_alpha_to_one": True,
            "beta_schedule": "linear",
            **options,
        }
    )


def stir(network: nn.Module) -> nn.Module:
    """Fills what starts at zero, so that the network is no longer the identity."""
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return network


def build(stirred: bool = True, **parts) -> MoFRRPipeline:
    torch.manual_seed(0)
    finish = stir if stirred else lambda network: network
    made = {
        "router": finish(RetouchRouter(**ROUTER, operations=OPERATIONS)),
        "scheduler": schedule(),
        "whitening_expert": finish(WaveFRRExpert(**EXPERT, has_tone_head=True)),
        "smoothing_expert": finish(WaveFRRExpert(**EXPERT)),
        "face_slimming_expert": finish(WaveFRRExpert(**EXPERT, has_warp_head=True)),
        "eye_enlarging_expert": finish(WaveFRRExpert(**EXPERT, has_warp_head=True)),
        "shared_expert": finish(SharedExpert(channels=(16, 16), attention_levels=())),
        **further(lambda: finish(WaveFRRExpert(**EXPERT))),
        "merger": finish(ExpertMerger(operations=OPERATIONS, channels=(8, 8))),
        "working_size": 32,
        **parts,
    }
    pipeline = MoFRRPipeline(**made)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def build_native(stirred: bool = True, **parts) -> MoFRRPipeline:
    """All experts answer at once, and nothing merges: gentle edits of photos of any size."""
    torch.manual_seed(0)
    experts = {
        "whitening_expert": ToneExpert(**COARSE, depth=4, side=4),
        "smoothing_expert": TextureExpert(width=8, context_width=8),
        "face_slimming_expert": FlowExpert("face_slimming", **COARSE),
        "eye_enlarging_expert": FlowExpert("eye_enlarging", **COARSE),
    }
    experts |= further(lambda: TextureExpert(width=8, context_width=8))
    made = {
        "router": NativeRouter(**NATIVE_ROUTER, operations=OPERATIONS),
        **({name: stir(each) for name, each in experts.items()} if stirred else experts),
        "shared_expert": None,
        "merger": None,
        "degree_source": "router",
    }
    return build(**{**made, **parts})


@pytest.fixture
def make_native() -> Callable[..., MoFRRPipeline]:
    """`build_native(stirred=True, **parts)`: a fresh pipeline, the same at every call."""
    return build_native


@pytest.fixture(scope="session")
def native() -> MoFRRPipeline:
    """One such pipeline for the tests that change nothing in it."""
    return build_native()


@pytest.fixture(scope="session")
def mixed() -> MoFRRPipeline:
    """Smoothing is denoised, the rest answers at once; no shared expert, no merger."""
    return build_native(smoothing_expert=stir(WaveFRRExpert(**EXPERT)))


@pytest.fixture
def make_pipeline() -> Callable[..., MoFRRPipeline]:
    """`build(stirred=True, **parts)`: a fresh pipeline, the same at every call."""
    return build


@pytest.fixture(scope="session")
def pipe() -> MoFRRPipeline:
    """One pipeline for the tests that change nothing in it."""
    return build()


@pytest.fixture(scope="session")
def photos() -> torch.Tensor:
    """2 3 24 30 in [0, 1]."""
    return torch.rand(2, 3, 24, 30, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def seeded() -> Callable[[int], torch.Generator]:
    """A fresh generator of a seed."""
    return lambda seed=0: torch.Generator().manual_seed(seed)


@pytest.fixture
def count_calls(monkeypatch) -> Callable[[nn.Module], list[str]]:
    """Records which of a network's entrances are used."""

    def watch(network: nn.Module) -> list[str]:
        calls = []
        for name in ("forward", "estimate_degree", "prepare", "denoise", "reconstruct"):
            if hasattr(network, name):
                method = getattr(network, name)

                def counted(*args, _name=name, _method=method, **options):
                    calls.append(_name)
                    return _method(*args, **options)

                monkeypatch.setattr(network, name, counted)
        return calls

    return watch


@pytest.fixture(scope="session")
def written(pipe, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("repository") / "written"
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(written, tmp_path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(written, tmp_path / "copy"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch on one thread: sums come in another order, to the last bit, on two."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
