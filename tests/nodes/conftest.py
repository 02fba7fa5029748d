"""The nodes under a stand-in for ComfyUI, with a small model whose experts do something."""

import asyncio
import importlib.util
import sys
import tempfile
from pathlib import Path

import pytest
import tiny_bpfre
import torch

HERE = Path(__file__).resolve().parent


def load(name: str, file: Path):
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


stub = load("frr_stub_host", HERE / "stub_host.py")
MODELS = tempfile.TemporaryDirectory(prefix="frr-models-")
for name, module in stub.modules(Path(MODELS.name)).items():
    sys.modules.setdefault(name, module)
tiny = load("frr_tiny_pipeline", HERE.parent / "pipelines" / "conftest.py")


@pytest.fixture(autouse=True)
def memory():
    """The stand-in's device, empty and without limits."""
    stub.MEMORY.reset()
    stub.PROGRESS.clear()
    return stub.MEMORY


@pytest.fixture(scope="session")
def finder():
    """What finds faces, which takes long to make; None without dlib."""
    from frr.pipelines.photos.finder import FaceFinder

    try:
        return FaceFinder()
    except ImportError:
        return None


@pytest.fixture(autouse=True)
def noise_for_faces(request, monkeypatch):
    """Pictures of noise pass for faces, but for tests with the mark `faces`."""
    if "faces" in request.keywords:
        made = request.getfixturevalue("finder")
        if made is not None:
            monkeypatch.setattr("frr.nodes.face_choice.FaceFinder", lambda: made)
    else:
        monkeypatch.setattr("frr.pipelines.photos.finder.FaceFinder.sees", lambda *given: True)


@pytest.fixture
def progress():
    return stub.PROGRESS


@pytest.fixture
def interrupted():
    """What an interrupted prompt raises."""
    return stub.Interrupted


@pytest.fixture(scope="session")
def models() -> Path:
    """The host's models folder."""
    return Path(MODELS.name)


@pytest.fixture(scope="session")
def nodes() -> dict:
    """The pack's node classes by id, as the host gets them."""
    import frr

    async def ask():
        extension = await frr.comfy_entrypoint()
        await extension.on_load()
        return await extension.get_node_list()

    return {node.define_schema().node_id: node for node in asyncio.run(ask())}


@pytest.fixture
def model():
    """A model of small networks on no device."""
    from frr.nodes.mofrr_model import MoFRRModel

    return MoFRRModel(tiny.build(), "tiny")


@pytest.fixture
def pipe(model):
    """The same networks as a pipeline: to the bit holds for the same weights only."""
    return model.pipeline


@pytest.fixture
def retoucher():
    """A BPFRe model of small networks on no device."""
    from frr.nodes.bpfre_model import BPFReModel

    return BPFReModel(tiny_bpfre.pipeline(), "tiny")


@pytest.fixture
def retouch(nodes):
    """`retouch(pictures, model, strength=..., mask=...)`: runs BPFReRetouch."""

    def run(image, model, **given):
        return nodes["BPFReRetouch"].execute(
            image, model, **{"strength": 1.0, "working_size": 0, **given}
        )

    return run


@pytest.fixture
def bpfre(retoucher):
    """The same networks as a pipeline: to the bit holds for the same weights only."""
    return retoucher.pipeline


@pytest.fixture
def pictures() -> torch.Tensor:
    """Two pictures as the host holds them, 2 24 30 3."""
    return torch.rand(2, 24, 30, 3, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def decisions():
    """`decisions(whitening="on", whitening_degree=0.5)`: the other inputs at their defaults."""
    from frr.pipelines.operations import OPERATIONS

    degrees = {f"{name}_degree": 0.0 for name in OPERATIONS}
    defaults = dict.fromkeys(OPERATIONS, "auto") | degrees

    def make(**given):
        assert set(given) <= set(defaults)
        return defaults | given

    return make


@pytest.fixture
def restore(nodes, decisions):
    """`restore(pictures, model, steps=..., whitening="on")`: runs MoFRRRestore."""
    settings = {"steps": 2, "seed": 0, "strength": 1.0, "samples": 1, "working_size": 0}
    settings["frames"] = "pictures"

    def run(image, model, **given):
        wishes = {k: v for k, v in given.items() if k in decisions()}
        rest = {k: v for k, v in given.items() if k not in wishes}
        return nodes["MoFRRRestore"].execute(
            image=image, model=model, **{**settings, **rest}, **decisions(**wishes)
        )

    return run


def pytest_unconfigure():
    MODELS.cleanup()
