"""Tiles, and MoFRR on clips and in tiles."""

import itertools

import pytest
import torch

from frr.pipelines.mofrr.request import Request
from frr.pipelines.mofrr.routing import Estimate, decide
from frr.pipelines.photos.tiles import blend_tiles, spans, windows
from frr.pipelines.room import OpenRoom, Share

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
    places = windows((50, 70), 30, 8)
    for at_once in (1, 4):
        result = blend_tiles(lambda some: [each.of(image) for each in some], places, at_once)
        assert torch.allclose(result, image, atol=1e-6)


def test_a_clip_has_one_verdict_the_mean_of_its_frames():
    probabilities = torch.tensor([[0.9, 0.9, 0.2], [0.3, 0.9, 0.2]])
    degrees = torch.tensor([[0.2, torch.nan, 1.0], [0.4, 0.5, 1.0]])
    estimate = Estimate(probabilities, degrees, (0.5, 0.5, 0.5)).of_clip()
    found = decide(estimate, (None,) * 3, (torch.nan,) * 3, (True, False, True))
    assert torch.allclose(found.probabilities, torch.tensor([[0.6, 0.9, 0.2]]).expand(2, 3))
    assert found.active.tolist() == [[True, False, False]] * 2  # there is no second expert
    assert torch.allclose(found.degrees[:, 0], torch.tensor([0.3, 0.3]))


class Cramped(OpenRoom):
    """Room for one photo at once, in tiles; notes what it is shown."""

    holds_everything = False

    def __init__(self, photos: int = 1, tile: int | None = None) -> None:
        self.share, self.checks, self.shown = Share(photos, tile, None), 0, []

    def split(self, work, run):
        return run(self.share if work.tiles else Share(1, None, None))

    def check(self):
        self.checks += 1

    def show(self, done, steps, estimate):
        self.shown.append((done * steps, steps, estimate))


def test_a_tile_as_large_as_the_photo_is_the_photo(pipe, seeded):
    photo = torch.rand(2, 3, 64, 64, generator=seeded(3)) * 2 - 1
    latents = pipe.prepare_latents(photo, seeded(), working_size=64)
    whole = pipe.run_expert("face_slimming", photo, None, latents, working_size=64)
    room = Cramped(tile=64)
    tiled = pipe.run_expert("face_slimming", photo, None, latents, working_size=64, room=room)
    assert torch.allclose(tiled.degree, whole.degree, atol=1e-6)
    assert torch.allclose(tiled.flow, whole.flow, atol=1e-4)
    assert torch.allclose(tiled.residual, whole.residual, atol=1e-4)
    assert room.checks == 2
    smaller = photo[..., :60]
    part = pipe.run_expert("face_slimming", smaller, None, latents, working_size=64, room=room)
    assert part.flow.shape == (2, 2, 64, 60)
    shared = pipe.run_expert("shared", photo, None, latents, working_size=64, room=room)
    assert shared.flow is None and shared.degree.isnan().all()


def test_smaller_tiles_give_nearly_the_same(pipe, seeded):
    photo = torch.rand(1, 3, 160, 160, generator=seeded(3)) * 2 - 1
    latents = pipe.prepare_latents(photo, seeded(), working_size=None)
    options = {"working_size": None}
    whole = pipe.run_expert("smoothing", photo, None, latents, **options)
    tiled = pipe.run_expert("smoothing", photo, None, latents, room=Cramped(tile=96), **options)
    assert torch.allclose(tiled.degree, whole.degree, atol=1e-6)
    error = (tiled.residual - whole.residual).abs().mean()
    assert error < 0.5 * whole.residual.abs().mean()


def test_the_estimate_is_shown_in_every_step(pipe, photos, seeded):
    latents = pipe.prepare_latents(photos * 2 - 1, seeded())
    room = Cramped(photos=2)
    given = {"num_inference_steps": 3, "room": room}
    pipe.run_expert("smoothing", photos * 2 - 1, None, latents, **given)
    assert [done for done, _, _ in room.shown] == pytest.approx([1, 2, 3, 3])
    assert {steps for _, steps, _ in room.shown} == {4}  # the last is the joining of the edits
    pictures = [picture for _, _, picture in room.shown]
    assert pictures[3] is None
    assert all(picture.shape == latents.shape[2:] and picture.any() for picture in pictures[:3])


@pytest.mark.parametrize("photos_at_once", [1, 2, 3])
def test_in_turn_and_in_parts_it_is_the_same(pipe, seeded, photos_at_once):
    photos = torch.rand(3, 3, 24, 30, generator=seeded(5))
    request = Request(num_inference_steps=2, operations={"whitening", "eye_enlarging"})
    whole = pipe.restore(photos, request, seeded())
    parts = pipe.restore(photos, request, seeded(), room=Cramped(photos_at_once))
    assert torch.allclose(parts.images, whole.images, atol=1e-4)
    assert torch.allclose(parts.degrees, whole.degrees, atol=1e-4)
    ran = [pipe.expert_names.index(name) for name in ("whitening", "eye_enlarging", "shared")]
    assert torch.allclose(parts.latents[:, ran], whole.latents[:, ran], atol=1e-4)


def test_edits_are_kept_when_they_were_applied_in_parts(pipe, seeded):
    photos = torch.rand(3, 3, 24, 30, generator=seeded(5))
    request = Request(operations={"face_slimming"}, num_samples=2, keep_edits=True)
    whole = pipe.restore(photos, request, seeded()).edits
    parts = pipe.restore(photos, request, seeded(), room=Cramped(2)).edits
    assert set(parts) == set(whole) == {"face_slimming", "shared"}
    for name in whole:
        assert torch.equal(parts[name].rows, whole[name].rows)
        assert torch.allclose(parts[name].image, whole[name].image, atol=1e-4)
