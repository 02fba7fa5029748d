"""Faces to train and evaluate on: scikit-image's portrait, and drawn ovals with grain."""

import numpy as np
import pytest
import torch
from PIL import Image

from frr.training.data.faces import FaceSet, load_faces
from frr.training.data.retouching import RetouchSource

SIZE = 64  # of the drawn faces


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
