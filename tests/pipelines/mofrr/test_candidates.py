"""Samples of experts that answer at once: distinct restorations at degrees that are drawn."""

import pytest
import torch
from by_operation import values

from frr.models.mofrr.texture_expert import TextureExpert
from frr.pipelines.mofrr.candidates import Candidate, differences, wording
from frr.pipelines.operations import OPERATIONS

TWO = {"whitening", "face_slimming"}


@pytest.fixture
def shots():
    """2 3 75 101 around the middle of the range."""
    noise = torch.rand(2, 3, 75, 101, generator=torch.Generator().manual_seed(7))
    return 0.4 + 0.2 * noise


def call(pipeline, image, seed=0, **options):
    options = {"operations": TWO, "num_samples": 4, **options}
    generator = torch.Generator().manual_seed(seed)
    return pipeline(image, generator=generator, output_type="pt", **options)


def degrees_of(found):
    return [tuple(round(each.degrees[name], 4) for name in sorted(TWO)) for each in found]


def test_candidates_differ_and_the_likeliest_comes_first(native, shots):
    output = call(native, shots)
    for found in output.candidates:
        assert len(found) == 4
        assert all(set(each.degrees) == TWO for each in found)
        likelihoods = [each.likelihood for each in found]
        assert likelihoods == sorted(likelihoods, reverse=True)
        assert sum(likelihoods) == pytest.approx(1)
        assert len(set(degrees_of(found))) == 4
        images = torch.stack([each.image for each in found])
        assert images.std(0).max() > 1e-3
        assert all("whitening" in each.words for each in found)


def test_a_candidate_is_what_its_degrees_told_would_give(native, shots):
    for each in call(native, shots).candidates[1]:
        told = call(native, shots[1:], degrees=each.degrees, num_samples=1)
        assert torch.allclose(told.images[0], each.image, atol=1e-5)


def test_the_main_image_is_that_of_one_sample(native, shots):
    once, output = call(native, shots, num_samples=1), call(native, shots)
    assert once.candidates is None
    assert torch.equal(output.images, once.images)
    assert torch.equal(output.degrees, once.degrees)


def test_uncertainty_is_the_candidates_distance_from_the_image(native, shots):
    output = call(native, shots)
    for place, found in enumerate(output.candidates):
        images = torch.stack([each.image for each in found])
        expected = (images - output.images[place]).square().mean((0, 1)).sqrt()
        assert torch.allclose(output.uncertainty[place, 0], expected, atol=1e-5)


def test_the_spread_is_scaled_as_the_router_says(make_native, shots):
    pipeline = make_native()
    plain = call(pipeline, shots).uncertainty
    pipeline.router.register_to_config(spread_scale=values(0.5, whitening=2.0, face_slimming=3.0))
    assert torch.allclose(call(pipeline, shots).uncertainty, 2 * plain, atol=1e-6)


def test_an_expert_is_told_that_part_of_the_routers_degree_which_the_router_says(
    make_native, shots
):
    pipeline, place = make_native(), OPERATIONS.index("smoothing")
    photo = shots[:1] * 2 - 1
    pipeline.register_to_config(degree_source="expert")
    unsaid = pipeline.route(photo)
    pipeline.router.register_to_config(degree_told=values(None, smoothing=0.5))
    told = pipeline.route(photo)
    assert unsaid.degrees.isnan().all()
    assert torch.equal(told.degrees[:, place], 0.5 * told.estimate.expected[:, place])
    assert int(told.degrees.isnan().sum()) == len(OPERATIONS) - 1
    given = pipeline.route(photo, degrees={"smoothing": 0.9})
    assert float(given.degrees[0, place]) == pytest.approx(0.9)
    drawn = call(pipeline, shots).candidates[0]  # samples draw, whatever is told
    pipeline.router.register_to_config(degree_told=None)
    assert degrees_of(drawn) == degrees_of(call(pipeline, shots).candidates[0])


def test_edits_at_drawn_degrees_are_as_bold_as_the_router_says(make_native, shots):
    pipeline, wishes = make_native(), {"operations": {"face_slimming"}}
    pipeline.router.register_to_config(sample_gain=values(1.0, face_slimming=1.5))
    once = call(pipeline, shots, **wishes, strength=0.6)
    pipeline.router.register_to_config(sample_gain=values(1.0, face_slimming=0.9))
    whole = call(pipeline, shots, **wishes)
    for one, other in zip(once.candidates[0], whole.candidates[0], strict=True):
        assert one.degrees == other.degrees
        assert torch.allclose(one.image, other.image, atol=1e-5)


def test_seeds_draw_and_batches_do_not_matter(native, shots):
    output, other = call(native, shots), call(native, shots, seed=1)
    assert degrees_of(output.candidates[0]) != degrees_of(other.candidates[0])
    alone = call(native, shots[1:])
    assert degrees_of(alone.candidates[0]) == degrees_of(output.candidates[1])
    again = call(native, shots)
    for one, two in zip(output.candidates, again.candidates, strict=True):
        assert all(torch.equal(a.image, b.image) for a, b in zip(one, two, strict=True))
    each = [torch.Generator().manual_seed(seed) for seed in (1, 0)]
    listed = native(shots, generator=each, output_type="pt", operations=TWO, num_samples=4)
    assert degrees_of(listed.candidates[0]) == degrees_of(other.candidates[0])
    assert degrees_of(listed.candidates[1]) == degrees_of(output.candidates[1])


def test_a_degree_that_is_told_is_not_drawn(native, shots):
    output = call(native, shots, degrees={"whitening": 0.5})
    for each in output.candidates[0]:
        assert each.degrees["whitening"] == 0.5 and "whitening" not in each.words
    assert len({each.degrees["face_slimming"] for each in output.candidates[0]}) == 4


def test_a_sure_router_draws_what_it_believes(make_native, shots):
    pipeline = make_native()
    rows = [[0.0] * 8 for _ in OPERATIONS]
    for row in rows:
        row[3] = 1.0
    pipeline.router.register_to_config(degree_mixing=values(1.0), degree_prior=rows)
    for each in call(pipeline, shots).candidates[0]:
        assert all(0.43 < degree < 0.57 for degree in each.degrees.values())


def test_without_a_router_the_prior_is_drawn_from(make_native, shots):
    found = call(make_native(router=None), shots).candidates[0]
    assert len(set(degrees_of(found))) == 4
    degrees = sorted(each.degrees["whitening"] for each in found)
    assert degrees[0] < 0.19 and degrees[-1] > 0.4


def test_a_photo_in_which_nothing_acts_has_itself(make_native, shots):
    pipeline = make_native()
    pipeline.router.register_to_config(thresholds=values(2.0))
    output = call(pipeline, shots, operations=None)
    for photo, found in zip(shots, output.candidates, strict=True):
        assert len(found) == 1 and found[0].likelihood == 1 and not found[0].words
        assert torch.equal(found[0].image, photo)


def test_beside_a_denoiser_the_image_stays_a_mean_over_noises(mixed, shots):
    wishes = {"operations": {"smoothing"}}
    alone = call(mixed, shots, **wishes)
    assert [len(found) for found in alone.candidates] == [1, 1]
    both = call(mixed, shots, operations={"smoothing", "whitening"})
    assert all(len(found) == 4 for found in both.candidates)
    assert torch.allclose(both.degrees[:, 1], alone.degrees[:, 1])


def test_frames_of_a_clip_are_drawn_as_one(native, shots):
    from frr.pipelines.mofrr.request import Request

    request = Request(operations=TWO, num_samples=3, clip=True, keep_samples=True)
    result = native.restore(shots, request, torch.Generator().manual_seed(0))
    assert torch.equal(result.samples.draws.degrees[0], result.samples.draws.degrees[1])


def test_pictures_come_in_the_form_of_the_call(native, shots):
    output = native(shots[0], operations=TWO, num_samples=2, output_type="pil")
    assert [each.image.size for each in output.candidates[0]] == [(101, 75)] * 2
    latents = native(shots, operations=TWO, num_samples=2, output_type="latent")
    assert latents.candidates is None and len(latents.images) == 4


def test_words():
    assert (
        wording({"whitening": 0.3, "face_slimming": 1.0})
        == "skin whitening .30, face slimming 1.00"
    )
    pair = [
        Candidate(None, {"whitening": degree, "smoothing": 0.5}, 0.5, "") for degree in (0.3, 0.51)
    ]
    assert differences(pair) == "skin whitening .30 / .51"
    assert differences(pair[:1]) == differences([]) == ""


@pytest.fixture
def textured(make_native):
    """Its smoothing expert draws texture."""
    torch.manual_seed(0)
    expert = TextureExpert(width=8, context_width=8, diffusion_width=8).eval()
    for layer in (expert.exit, expert.diffusion.exit):
        torch.nn.init.normal_(layer.weight, std=0.05)
    return make_native(smoothing_expert=expert)


def test_texture_is_drawn_in_samples_and_the_image_stays(textured, shots):
    wishes = {"operations": {"smoothing"}, "degrees": {"smoothing": 0.5}}
    once, output = call(textured, shots, num_samples=1, **wishes), call(textured, shots, **wishes)
    assert torch.equal(output.images, once.images)
    for place, found in enumerate(output.candidates):
        assert [each.words for each in found] == ["texture"] * 4
        assert all(each.degrees == {"smoothing": 0.5} for each in found)
        images = torch.stack([each.image for each in found])
        assert images.std(0).mean() > 1e-4
        assert (images - output.images[place]).abs().max() > 1e-3
        assert output.uncertainty[place].max() > 0


def test_texture_hangs_on_the_seed_and_not_on_the_batch(textured, shots):
    wishes = {"operations": {"smoothing"}}
    output, alone = call(textured, shots, **wishes), call(textured, shots[1:], **wishes)
    for one, two in zip(output.candidates[1], alone.candidates[0], strict=True):
        assert torch.allclose(one.image, two.image, atol=1e-5)
    other = call(textured, shots[1:], seed=9, **wishes)
    assert not torch.allclose(other.candidates[0][0].image, alone.candidates[0][0].image, atol=1e-4)


def test_drawn_texture_is_not_made_bolder(textured, shots):
    textured.router.register_to_config(sample_gain=values(1.0, smoothing=1.7))
    bold = call(textured, shots, operations={"smoothing"})
    textured.router.register_to_config(sample_gain=values(1.0))
    plain = call(textured, shots, operations={"smoothing"})
    for one, two in zip(bold.candidates[0], plain.candidates[0], strict=True):
        assert torch.equal(one.image, two.image)
