"""Pools of natural skin: items, sizes, painted ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from frr.pipelines.simulate.landmarks import canonical_mesh
from frr.training.data.material import Material
from frr.training.data.natural import SKIN_STEP, NaturalPool, brought


@pytest.fixture(scope="module")
def material(faces_dir, tmp_path_factory):
    """The drawn faces in a folder with landmarks beside it."""
    import shutil

    root = tmp_path_factory.mktemp("natural")
    shutil.copytree(faces_dir, root / "people")
    names = sorted(path.name for path in faces_dir.iterdir())
    points = np.repeat(canonical_mesh().numpy()[None] * 64, len(names), axis=0)
    np.savez(root / "landmarks_people.npz", names=names, points=points)
    return Material(root)


CONFIG = NaturalPool(sources=("people",), side=96, smallest=1, painted=0.0)


def test_an_item_is_a_face_and_its_maps(material):
    item = CONFIG.simulator(material)(np.random.default_rng(0), 2)
    assert all(each.dtype == torch.uint8 and len(each) == 2 for each in item)
    assert tuple(item.photo.shape[1:]) == (3, 96, 96)
    assert tuple(item.skin.shape[1:]) == (1, 96 // SKIN_STEP, 96 // SKIN_STEP)
    assert {tuple(each.shape[1:]) for each in item[2:]} == {(1, 96, 96)}
    assert item.skin.max() > 100
    again = CONFIG.simulator(material)(np.random.default_rng(0), 2)
    assert all(torch.equal(a, b) for a, b in zip(item, again, strict=True))


def test_painted_blemishes_are_marked_as_evident(material):
    plain = CONFIG.simulator(material)(np.random.default_rng(3), 3)
    painted = replace(CONFIG, painted=1.0).simulator(material)(np.random.default_rng(3), 3)
    more = painted.spots.float().mean() + painted.lines.float().mean()
    assert more > plain.spots.float().mean() + plain.lines.float().mean()
    assert not torch.equal(painted.photo, plain.photo)


def test_wrong_settings_are_named(material):
    with pytest.raises(ValueError, match="a side of 448 pixels or more"):
        replace(CONFIG, smallest=448).simulator(material)
    with pytest.raises(ValueError, match="multiple of 4"):
        replace(CONFIG, side=90).simulator(material)
    with pytest.raises(ValueError, match="name them with --faces"):
        CONFIG.simulator(Material(None))


def test_faces_are_brought_to_size():
    photo = torch.rand(1, 3, 64, 64) * 2 - 1
    assert torch.equal(brought(photo, 64), photo)
    assert brought(photo, 32).mean() == pytest.approx(float(photo.mean()), abs=1e-5)
    assert tuple(brought(photo, 96).shape) == (1, 3, 96, 96)
