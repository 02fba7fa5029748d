"""How faces are drawn, varied and retouched."""

import dataclasses

import numpy as np
import pytest
import torch

from frr.pipelines.operations import OPERATIONS
from frr.training.data.faces import load_faces
from frr.training.data.retouching import (
    RetouchConfig,
    RetouchSource,
    random_subset,
    retouch_and_target,
    vary_light,
)

SIZE = 64


def test_the_same_generator_draws_the_same_batch(source):
    first, second = (source.draw(np.random.default_rng(3), 4)[0] for _ in range(2))
    other = source.draw(np.random.default_rng(4), 4)[0]
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert first.shape == (4, 3, SIZE, SIZE) and first.abs().max() <= 1


def test_landmarks_follow_mirror_and_shift(faces_dir):
    faces = load_faces(faces_dir, SIZE)
    images = torch.full_like(faces.images, 128)
    images[..., 20, 10] = 255  # one bright pixel a face, and a landmark on it
    landmarks = torch.tensor([10.5, 20.5]).div(SIZE).expand(len(faces), 478, 2).clone()
    marked = RetouchSource(dataclasses.replace(faces, images=images, landmarks=landmarks))
    for seed in range(4):
        drawn, points = marked.draw(np.random.default_rng(seed), 5)
        for image, point in zip(drawn, points[:, 0] * SIZE - 0.5, strict=True):
            column, row = (round(float(value)) for value in point)
            if 0 <= row < SIZE and 0 <= column < SIZE:
                assert image[1, row, column] == image[1].max()


def test_light_varies_within_bounds():
    photo = torch.rand(2, 3, 8, 8) * 2 - 1
    varied = vary_light(photo, torch.rand(2, 4))
    assert varied.abs().max() <= 1 and 0 < (varied - photo).abs().mean() < 0.2


def test_capture_varies_only_the_chosen_faces(source):
    plain, _ = dataclasses.replace(source, vary_light=0.0).draw(np.random.default_rng(0), 6)
    none, _ = dataclasses.replace(source, vary_light=0.0, vary_capture=0.0).draw(
        np.random.default_rng(0), 6
    )
    half, _ = dataclasses.replace(source, vary_light=0.0, vary_capture=1.0).draw(
        np.random.default_rng(0), 6
    )
    assert torch.equal(plain, none)
    assert ((half - plain).abs().mean((1, 2, 3)) > 1e-4).all()
    assert (half.mean((1, 2, 3)) - plain.mean((1, 2, 3))).abs().max() < 0.02
    levels = (half + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-3)


def test_random_subset_has_no_repeats():
    rng = np.random.default_rng(0)
    sizes = set()
    for _ in range(60):
        subset = random_subset(rng)
        assert len(set(subset)) == len(subset) and set(subset) <= set(OPERATIONS)
        sizes.add(len(subset))
    assert sizes == set(range(2, len(OPERATIONS) + 1))


def test_target_is_the_photo_without_the_operation(source):
    rng = np.random.default_rng(1)
    images, points = source.draw(rng, 3)
    recipes = [
        dataclasses.replace(source, export_probability=0).recipe(rng, names)
        for names in (["whitening"], ["whitening", "smoothing"], ["smoothing"])
    ]
    photos, target = retouch_and_target(images, points, recipes, "whitening")
    assert torch.equal(target[0], images[0])  # only whitened: the clean face
    assert not torch.equal(target[1], images[1])  # still smoothed
    assert torch.equal(target[2], photos.image[2])  # not whitened: as it is
    _, clean = retouch_and_target(images, points, recipes, None)
    assert torch.equal(clean, images)


def test_operations_that_the_simulator_lacks_are_named():
    with pytest.raises(ValueError, match="'tanning'"):
        RetouchConfig(operations=("whitening", "tanning"))
    with pytest.raises(ValueError, match="at least one"):
        RetouchConfig(operations=())
