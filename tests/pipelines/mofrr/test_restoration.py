"""MoFRRPipeline: working size, samples, and the steps called one by one."""

import torch

from frr.models.mofrr.warping import warp
from frr.pipelines.mofrr.edits import ExpertEdit


def test_large_photos_are_worked_on_small_and_keep_their_texture(pipe, count_calls, monkeypatch):
    photo = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    shapes = []
    prepare = pipe.face_slimming_expert.prepare

    def watched(small, *given):
        shapes.append(tuple(small.shape))
        return prepare(small, *given)

    monkeypatch.setattr(pipe.face_slimming_expert, "prepare", watched)
    output = pipe(photo, operations={"face_slimming"}, output_type="pt")
    assert shapes == [(1, 3, 32, 64)]
    flow, residual = output.flows["face_slimming"][0], output.residuals["face_slimming"][0]
    assert flow.shape == (2, 64, 96)
    expected = (warp(photo * 2 - 1, flow[None])[0] + residual + 1) / 2
    assert torch.allclose(output.expert_images["face_slimming"][0], expected.clamp(0, 1), atol=1e-6)
    pipe(photo, operations={"face_slimming"}, working_size=None)
    assert shapes[1] == (1, 3, 64, 96)


def test_a_flow_is_lifted_in_the_pixels_of_the_photo(pipe):
    rows = torch.tensor([0])
    flow = torch.ones(1, 2, 8, 16)
    edit = ExpertEdit(rows, flow, torch.zeros(1, 3, 8, 16), torch.ones(1))
    lifted = pipe.apply(torch.zeros(1, 3, 16, 48), edit).flow
    assert lifted.shape == (1, 2, 16, 48)
    assert torch.allclose(lifted[:, 0], torch.tensor(3.0))
    assert torch.allclose(lifted[:, 1], torch.tensor(2.0))


def test_samples_give_a_mean_and_a_spread(pipe, photos, seeded):
    latents = pipe.prepare_latents(photos, seeded(), num_samples=3)
    options = {"operations": {"whitening"}, "num_inference_steps": 1, "output_type": "pt"}
    output = pipe(photos, latents=latents, num_samples=3, **options)
    singles = torch.stack([pipe(photos, latents=latents[i::3], **options).images for i in range(3)])
    assert torch.allclose(output.images, singles.mean(0), atol=1e-4)
    spread = singles.var(0).mean(1, keepdim=True).sqrt()
    assert output.uncertainty.shape == (2, 1, 24, 30)
    assert torch.allclose(output.uncertainty, spread, atol=1e-4)
    assert output.uncertainty.max() > 1e-4
    assert output.flows["whitening"][0].shape == (2, 24, 30)


def test_samples_leave_untouched_photos_as_they_are(pipe, photos):
    output = pipe(photos, operations=(), num_samples=3, output_type="pt")
    assert torch.equal(output.images, photos)
    assert not output.uncertainty.any()


def test_the_steps_one_by_one_give_the_same_to_the_bit(pipe, photos, seeded):
    names = ("smoothing", "eye_enlarging")
    expected = pipe(photos, operations=names, generator=seeded(), strength=0.8, output_type="pt")

    photo = photos * 2 - 1
    routing = pipe.route(photo, names)
    latents = pipe.prepare_latents(photo, seeded())
    edits = {}
    for name in (*names, "shared"):
        degree = routing.degrees[:, pipe.operations.index(name)] if name != "shared" else None
        edit = pipe.run_expert(name, photo, degree, latents)
        edits[name] = pipe.apply(photo, edit, 0.8)
    residual = pipe.merge(photo, edits, routing.gates)
    assert torch.equal((photos + residual / 2).clamp(0, 1), expected.images)


def test_edits_merged_in_tiles_are_nearly_those_merged_whole(pipe, seeded):
    photo = torch.rand(1, 3, 160, 160, generator=seeded(3)) * 2 - 1
    routing = pipe.route(photo, ("smoothing",))
    latents = pipe.prepare_latents(photo, seeded(), working_size=None)
    edit = pipe.run_expert("smoothing", photo, None, latents, working_size=None)
    edits = {"smoothing": pipe.apply(photo, edit)}
    whole = pipe.merge(photo, edits, routing.gates)
    tiled = pipe.merge(photo, edits, routing.gates, tile=160)
    assert torch.allclose(tiled, whole, atol=1e-5)
    smaller = pipe.merge(photo, edits, routing.gates, tile=96)
    assert (smaller - whole).abs().mean() < 0.5 * whole.abs().mean()
