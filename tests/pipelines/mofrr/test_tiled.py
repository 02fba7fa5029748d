"""Tiles, and MoFRR on clips and in tiles."""

import itertools

import pytest
import torch

from frr.pipelines.mofrr.routing import Routing
from frr.pipelines.mofrr.tiled import estimate_degree, one_verdict, run_expert_in_tiles
from frr.pipelines.photos.tiles import blend_tiles, spans

CASES = [(100, 40, 10, 1), (256, 96, 32, 32), (64, 64, 32, 32), (32, 64, 32, 32)]


@pytest.mark.parametrize(("size", "tile", "overlap", "multiple"), CASES)
def test_spans_cover_and_overlap(size, tile, overlap, multiple):
    found = spans(size, tile, overlap, multiple)
    assert found[0][0] == 0 and found[-1][1] == size
    assert all(stop - start == min(tile, size) for start, stop in found)
    pairs = itertools.pairwise(found)
    assert all(first[1] - second[0] >= overlap for first, second in pairs)
    assert all(start % multiple == 0 for start, _ in found)


def test_spans_that_do_not_advance_are_refused():
    with pytest.raises(ValueError, match="larger than its overlap"):
        spans(100, 10, 10)


def test_blending_what_does_not_change_changes_nothing():
    image = torch.rand(2, 3, 50, 70)
    rows, columns = spans(50, 20, 8), spans(70, 30, 8)
    result = blend_tiles(lambda r, c: image[..., r[0] : r[1], c[0] : c[1]], rows, columns)
    assert torch.allclose(result, image, atol=1e-6)


def test_one_verdict_is_the_mean_and_needs_an_expert():
    probabilities = torch.tensor([[0.9, 0.9, 0.2], [0.3, 0.9, 0.2]])
    active = torch.tensor([[True, False, False], [False, False, False]])  # no second expert
    degrees = torch.tensor([[0.2, torch.nan, 1.0], [0.4, 0.5, 1.0]])
    found = one_verdict(Routing(probabilities, degrees, active, probabilities), (0.5, 0.5, 0.5))
    assert torch.allclose(found.probabilities, torch.tensor([[0.6, 0.9, 0.2]]).expand(2, 3))
    assert found.active.tolist() == [[True, False, False]] * 2
    assert torch.allclose(found.degrees[:, 0], torch.tensor([0.3, 0.3]))


def test_a_tile_as_large_as_the_photo_is_the_photo(pipe, seeded):
    photo = torch.rand(2, 3, 64, 64, generator=seeded(3)) * 2 - 1
    latents = pipe.prepare_latents(photo, seeded(), working_size=64)
    degree = estimate_degree(pipe, "face_slimming", photo, 64)
    whole = pipe.run_expert("face_slimming", photo, None, latents, working_size=64)
    tiled = run_expert_in_tiles(pipe, "face_slimming", photo, None, latents, 64, 64)
    assert torch.allclose(degree, whole.degree) and torch.allclose(tiled.degree, degree)
    assert torch.allclose(tiled.flow, whole.flow, atol=1e-5)
    assert torch.allclose(tiled.residual, whole.residual, atol=1e-5)
    smaller = run_expert_in_tiles(pipe, "face_slimming", photo[..., :60], None, latents, 64, 64)
    assert smaller.flow.shape == (2, 2, 64, 60)


def test_the_estimate_is_shown_in_every_step(pipe, photos, seeded):
    latents = pipe.prepare_latents(photos * 2 - 1, seeded())
    seen = []
    pipe.run_expert(
        "smoothing",
        photos * 2 - 1,
        None,
        latents,
        num_inference_steps=3,
        on_estimate=lambda index, prediction: seen.append((index, prediction)),
    )
    assert [index for index, _ in seen] == [0, 1, 2]
    last = seen[-1][1]
    assert last.shape == latents.shape and last[:, 1].any() and not last[:, 0].any()
