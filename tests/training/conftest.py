"""Faces to train and evaluate on: scikit-image's portrait, and drawn ovals with grain."""

import numpy as np
import pytest
import torch
from by_operation import further, values
from PIL import Image
from tiny_native import NATIVE_ROUTER

from frr.models.mofrr.flow_expert import FlowExpert
from frr.models.mofrr.native_router import NativeRouter
from frr.models.mofrr.texture_expert import TextureExpert
from frr.models.mofrr.tone_expert import ToneExpert
from frr.pipelines.mofrr.pipeline import MoFRRPipeline
from frr.pipelines.operations import OPERATIONS
from frr.pipelines.simulate.landmarks import canonical_mesh
from frr.training.data.faces import FaceSet, load_faces
from frr.training.data.retouching import RetouchSource
from frr.training.stages.expert import make_scheduler
from frr.training.stages.running import make_pool

SIZE = 64  # of the drawn faces
SMALL = {"widths": (8, 8, 8), "fine": 8}


@pytest.fixture(scope="session")
def three_faces():
    """Three different faces: a portrait, its mirror image, and a darker, tinted one."""
    from skimage.data import astronaut

    picture = Image.fromarray(astronaut()[0:220, 115:335]).resize((48, 48))
    portrait = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    tinted = portrait * torch.tensor([0.5, 0.7, 0.9])[:, None, None]
    images = torch.stack([portrait, portrait.flip(-1), tinted.to(torch.uint8)])
    return FaceSet(images, None, ("a.png", "b.png", "c.png"))


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def squares() -> FaceSet:
    """Ten plain skin-coloured squares of 64 px, each of its own brightness."""
    colours = torch.tensor([200, 150, 130])[None, :, None, None] - 5 * torch.arange(10).view(
        -1, 1, 1, 1
    )
    noise = torch.randint(-4, 5, (10, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    images = (colours + noise).to(torch.uint8)
    return FaceSet(images, None, tuple(f"{i}.png" for i in range(10)))


@pytest.fixture(scope="session")
def native_faces(tmp_path_factory):
    """Folders `real` and `drawn` of three faces of 176 px each, with the mean face's landmarks."""
    root = tmp_path_factory.mktemp("native")
    side, rng = 176, np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side] / side - 0.5
    oval = ((x / 0.3) ** 2 + (y / 0.4) ** 2 < 1)[..., None]
    points = np.repeat(canonical_mesh().numpy()[None] * side, 3, axis=0)
    for folder in ("real", "drawn"):
        (root / folder).mkdir()
        names = [f"{folder}_{index}.png" for index in range(3)]
        for name in names:
            skin = rng.uniform(140, 200, 3) * oval + rng.uniform(40, 90, 3) * (1 - oval)
            grain = skin + rng.normal(0, 10, (side, side, 3))
            Image.fromarray(grain.clip(0, 255).astype(np.uint8)).save(root / folder / name)
        np.savez(root / f"landmarks_{folder}.npz", names=names, points=points)
    return root


@pytest.fixture(scope="session")
def native_pool(native_faces, tmp_path_factory):
    """A pool of six chains."""
    folder = tmp_path_factory.mktemp("pools") / "native"
    settings = {"items": 6, "sources": "real:3,drawn:1", "side": 160}
    assert list(make_pool("native", settings, folder, native_faces)) == [(6, 6)]
    return folder


@pytest.fixture(scope="session")
def native_pipe():
    """A pipeline of experts that answer at once, with weights that do something."""
    torch.manual_seed(0)
    experts = {
        "whitening_expert": ToneExpert(**SMALL),
        "smoothing_expert": TextureExpert(width=8, context_width=8),
        "face_slimming_expert": FlowExpert(operation="face_slimming", **SMALL),
        "eye_enlarging_expert": FlowExpert(operation="eye_enlarging", **SMALL),
        **further(lambda: TextureExpert(width=8, context_width=8)),
    }
    thresholds = values(0.5, smoothing=0.45, eye_enlarging=0.55)
    router = NativeRouter(OPERATIONS, thresholds=thresholds, **NATIVE_ROUTER)
    for network in (router, *experts.values()):
        for parameter in network.parameters():
            if not parameter.detach().any():
                torch.nn.init.normal_(parameter, std=0.02)
    nothing = {"shared_expert": None, "merger": None}
    return MoFRRPipeline(scheduler=make_scheduler(), router=router, **experts, **nothing)
