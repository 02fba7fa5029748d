"""Faces to train and evaluate on, made from scikit-image's portrait."""

import numpy as np
import pytest
import torch
from PIL import Image

from frr.training.data.faces import FaceSet


@pytest.fixture(scope="session")
def three_faces():
    """Three different faces: a portrait, its mirror image, and a darker, tinted one."""
    from skimage.data import astronaut

    picture = Image.fromarray(astronaut()[0:220, 115:335]).resize((48, 48))
    portrait = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    tinted = portrait * torch.tensor([0.5, 0.7, 0.9])[:, None, None]
    images = torch.stack([portrait, portrait.flip(-1), tinted.to(torch.uint8)])
    return FaceSet(images, None, ("a.png", "b.png", "c.png"))
