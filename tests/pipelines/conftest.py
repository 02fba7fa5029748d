"""A pipeline of real networks, as small as they go, whose experts do something."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tiny_mofrr import EXPERT, build, build_native, stir
from torch import nn

from frr.models.mofrr.expert import WaveFRRExpert
from frr.pipelines.mofrr.pipeline import MoFRRPipeline


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
