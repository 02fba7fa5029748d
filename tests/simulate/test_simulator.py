"""The simulator: identity, ground truth, independence of the batch, extension."""

import itertools

import numpy as np
import pytest
import torch
from by_operation import flags
from torch.nn import functional as F

from frr.pipelines.operations import OPERATIONS
from frr.pipelines.simulate import bank
from frr.pipelines.simulate.edit import Edit
from frr.pipelines.simulate.landmarks import canonical_mesh
from frr.pipelines.simulate.recipe import Export, Recipe, Step, sample_recipe
from frr.pipelines.simulate.simulator import retouch
from frr.pipelines.simulate.warp import pixel_grid, warp_image

SIZE = 96
SLIM, ENLARGE = 2, 3  # places in OPERATIONS


def photos(count=2, size=SIZE):
    """Smooth random pictures, so that resampling loses next to nothing."""
    coarse = torch.rand(count, 3, 7, 7) * 1.6 - 0.8
    return F.interpolate(coarse, (size, size), mode="bicubic", align_corners=False).clamp(-1, 1)


def recipes(count, operations=OPERATIONS, seed=0, **options):
    rng = np.random.default_rng(seed)
    return [sample_recipe(rng, operations, **options) for _ in range(count)]


def step(operation, degree=1.0, algorithm=None):
    return Step(operation, algorithm or bank.seen(operation)[0], degree)


def psnr(one, two):
    return -10 * torch.log10(((one - two) / 2).square().mean()).item()


def test_empty_recipes_and_degree_zero_change_no_bit():
    images = torch.rand(3, 3, SIZE, SIZE) * 2 - 1
    nothing = Recipe(tuple(step(operation, 0.0) for operation in OPERATIONS))
    result = retouch(images, [Recipe(), nothing, Recipe((step("whitening"),))])
    assert torch.equal(result.image[:2], images[:2])
    assert not torch.equal(result.image[2], images[2])
    assert result.flows[:2].abs().max() == 0
    assert result.masks[:2].abs().max() == 0
    assert result.degrees.tolist() == [[0.0] * len(OPERATIONS)] * 2 + [flags("whitening")]


def test_shapes_and_ranges():
    result = retouch(photos(3), recipes(3))
    assert result.image.shape == (3, 3, SIZE, SIZE)
    assert result.flows.shape == (3, len(OPERATIONS), 2, SIZE, SIZE)
    assert result.masks.shape == (3, len(OPERATIONS), SIZE, SIZE)
    assert result.degrees.shape == (3, len(OPERATIONS))
    for values, low in ((result.image, -1), (result.masks, 0), (result.degrees, 0)):
        assert low <= values.min()
        assert values.max() <= 1
    assert all(value.isfinite().all() for value in result)


def test_the_result_is_the_same_each_time_and_the_input_is_left_alone():
    images, drawn = photos(2), recipes(2, export_probability=1.0)
    kept = images.clone()
    first, second = retouch(images, drawn), retouch(images, drawn)
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    assert torch.equal(images, kept)


def test_a_photo_does_not_depend_on_the_others_in_the_batch():
    images, drawn = photos(4), recipes(4, split="all", seed=3)
    together = retouch(images, drawn)
    for row in range(4):
        alone = retouch(images[row : row + 1], drawn[row : row + 1])
        for one, all_of_them in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], all_of_them[row], atol=2e-3, rtol=0)


def test_degrees_follow_the_order_of_the_operations():
    drawn = recipes(3, ["eye_enlarging", "whitening"])
    result = retouch(photos(3), drawn)
    expected = torch.tensor([recipe.degrees() for recipe in drawn])
    torch.testing.assert_close(result.degrees, expected)
    assert result.degrees[:, [1, 2]].abs().max() == 0


def every_geometric_algorithm():
    for operation in ("face_slimming", "eye_enlarging"):
        for algorithm in bank.algorithms(operation):
            yield pytest.param(operation, algorithm, id=algorithm)


@pytest.mark.parametrize(("operation", "algorithm"), list(every_geometric_algorithm()))
def test_the_flow_undoes_a_single_warp(operation, algorithm):
    images = photos(1, 128)
    result = retouch(images, [Recipe((step(operation, 1.0, algorithm),))])
    channel = OPERATIONS.index(operation)
    restored = warp_image(result.image, result.flows[:, channel])
    assert psnr(restored, images) > psnr(result.image, images) + 15
    others = [k for k in range(4) if k != channel]
    assert result.flows[:, others].abs().max() == 0
    assert result.masks[:, others].abs().max() == 0


@pytest.mark.parametrize("order", list(itertools.permutations(("face_slimming", "eye_enlarging"))))
def test_each_flow_undoes_its_own_warp_when_there_are_two(order):
    images = photos(2, 128)
    recipe = Recipe(tuple(step(operation) for operation in order))
    result = retouch(images, [recipe] * 2)
    for channel, operation in ((SLIM, "face_slimming"), (ENLARGE, "eye_enlarging")):
        target = retouch(images, [recipe.without(operation)] * 2).image
        restored = warp_image(result.image, result.flows[:, channel])
        assert psnr(restored, target) > psnr(result.image, target) + 12


def test_photometric_steps_have_no_flow_and_a_mask_where_they_changed_the_photo():
    images = photos(1)
    for channel, operation in enumerate(("whitening", "smoothing")):
        result = retouch(images, [Recipe((step(operation),))])
        assert result.flows.abs().max() == 0
        changed = (result.image - images).abs().amax(1)[0] > 0.05
        assert changed.any() or operation == "smoothing"
        assert (result.masks[0, channel][changed] > 0).all()
        assert result.masks[0, channel].max() > 0.5


def test_geometric_masks_cover_what_moved_and_leave_out_what_did_not():
    result = retouch(photos(1), [Recipe((step("face_slimming"), step("eye_enlarging")))])
    motion = result.flows[0].norm(dim=1)
    for channel in (SLIM, ENLARGE):
        mask = result.masks[0, channel]
        assert (mask[motion[channel] > 0.1] > 0.9).all()
        assert (mask[motion[channel] < 0.01] == 0).all()
    mesh = (canonical_mesh() * SIZE).long()
    assert result.masks[0, SLIM, mesh[172, 1], mesh[172, 0]] == 1
    assert result.masks[0, ENLARGE, mesh[159, 1], mesh[159, 0]] == 1
    assert result.masks[0, ENLARGE].mean() < 0.2


def test_masks_move_with_a_later_warp():
    images = photos(1)
    before = retouch(images, [Recipe((step("whitening"),))])
    after = retouch(images, [Recipe((step("whitening"), step("face_slimming")))])
    undone = warp_image(after.masks[:, :1], after.flows[:, SLIM])
    error = (undone - before.masks[:, :1]).abs().mean()
    assert error < 0.3 * (after.masks[:, :1] - before.masks[:, :1]).abs().mean() + 1e-4


def test_landmarks_say_where_the_face_is():
    images, recipe = photos(1), Recipe((step("eye_enlarging"),))
    mesh = canonical_mesh()[None]
    assert torch.equal(retouch(images, [recipe]).image, retouch(images, [recipe], mesh).image)
    small = retouch(images, [recipe], 0.5 * mesh)
    assert small.masks[0, ENLARGE, SIZE // 2 :].max() == 0
    assert small.masks[0, ENLARGE, :, SIZE // 2 :].max() == 0
    assert small.masks[0, ENLARGE].max() == 1


def test_interpolation_is_chosen_by_the_last_variation():
    images = torch.rand(1, 3, SIZE, SIZE) * 2 - 1
    base = step("face_slimming")
    results = [
        retouch(images, [Recipe((base._replace(variation=(0.5, 0.5, 0.5, last)),))]).image
        for last in (0.1, 0.4, 0.6)
    ]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert results[2].abs().max() <= 1


def test_exports_are_applied_last_and_only_where_asked():
    images = photos(2)
    recipe = Recipe((step("whitening", 0.5),))
    plain = retouch(images, [recipe] * 2).image
    lossy = retouch(images, [recipe, Recipe(recipe.steps, Export(jpeg_quality=30))]).image
    assert torch.equal(plain[0], lossy[0])
    assert not torch.equal(plain[1], lossy[1])
    assert psnr(plain[1], lossy[1]) > 25


@pytest.fixture
def darkening():
    """A fifth operation, registered for one test."""

    def darken(images, degrees, variations, face):
        return Edit(images - 0.2 * degrees.view(-1, 1, 1, 1) * face.oval, face.oval)

    def darken_all(images, degrees, variations, face):
        return Edit(images - 0.2 * degrees.view(-1, 1, 1, 1), torch.ones_like(face.oval))

    algorithms = {"oval": darken, "all": darken_all}
    bank.register("darkening", algorithms, ("all",), geometric=False)
    yield "darkening"
    for registry in (bank.ALGORITHMS, bank.HELD_OUT):
        registry.pop("darkening")


def test_another_operation_takes_one_registration(darkening):
    images = photos(2)
    drawn = recipes(2, [*OPERATIONS, darkening])
    result = retouch(images, drawn, operations=(*OPERATIONS, darkening))
    assert result.flows.shape == (2, len(OPERATIONS) + 1, 2, SIZE, SIZE)
    assert (result.degrees > 0).all()
    assert result.masks[:, -1].amax((1, 2)).min() > 0.9
    assert [Recipe.from_json(recipe.to_json()) for recipe in drawn] == drawn
    with pytest.raises(ValueError, match="darkening"):
        retouch(images, drawn)


@pytest.fixture
def drifting():
    """A geometric operation that moves everything, unlike in size and direction."""

    def drift(points, degrees, variations, height, width):
        place = pixel_grid(height, width, points) / height * torch.pi
        across = place.sin().prod(1, keepdim=True)
        flow = torch.cat((4 * across, 6 * across * (2 * place[:, :1]).sin()), dim=1)
        return degrees.view(-1, 1, 1, 1) * flow

    bank.register("drifting", {"drift": drift, "other": drift}, ("other",), geometric=True)
    yield "drifting"
    for registry in (bank.ALGORITHMS, bank.HELD_OUT):
        registry.pop("drifting")
    bank.GEOMETRIC.remove("drifting")


@pytest.mark.parametrize("drift_first", [True, False])
def test_flows_of_overlapping_warps_are_carried_into_the_final_geometry(drifting, drift_first):
    images, operations = photos(2, 128), (*OPERATIONS, drifting)
    steps = [step(drifting), step("face_slimming"), step("eye_enlarging")]
    recipe = Recipe(tuple(steps if drift_first else steps[::-1]))
    result = retouch(images, [recipe] * 2, operations=operations)
    for operation in ("face_slimming", "eye_enlarging", drifting):
        channel = operations.index(operation)
        target = retouch(images, [recipe.without(operation)] * 2, operations=operations).image
        restored = warp_image(result.image, result.flows[:, channel])
        inside = (..., slice(12, -12), slice(12, -12))
        assert (
            psnr(restored[inside], target[inside]) > psnr(result.image[inside], target[inside]) + 15
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": torch.zeros(3, 32, 32)}, "B 3 H W"),
        ({"images": torch.zeros(1, 4, 32, 32)}, "B 3 H W"),
        ({"recipes": []}, "one recipe per photo"),
        ({"landmarks": torch.zeros(1, 68, 2)}, "478"),
        ({"landmarks": torch.zeros(2, 478, 2)}, "478"),
    ],
)
def test_arguments_of_another_shape_are_refused(arguments, message):
    valid = {"images": torch.zeros(1, 3, 32, 32), "recipes": [Recipe()], "landmarks": None}
    with pytest.raises(ValueError, match=message):
        retouch(**{**valid, **arguments})
