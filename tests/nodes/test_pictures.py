"""RetouchSimulate, RestorationCompare, FaceCrop and FacePaste."""

import json
import math

import pytest
import torch
from by_operation import values

from frr.pipelines.simulate.recipe import OPERATIONS, Recipe
from frr.pipelines.simulate.simulator import retouch


@pytest.fixture
def photo() -> torch.Tensor:
    """1 96 96 3, smooth with some texture."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(1, 3, 6, 6, generator=generator) * 0.6 + 0.2
    smooth = torch.nn.functional.interpolate(coarse, (96, 96), mode="bicubic").clamp(0, 1)
    noise = torch.rand(1, 3, 96, 96, generator=generator) * 0.04
    return (smooth + noise).clamp(0, 1).movedim(1, -1)


@pytest.fixture
def simulate(nodes):
    def run(image, seed=0, jpeg_quality=100, **chosen):
        degrees = dict.fromkeys(OPERATIONS, 0.0)
        algorithms = {f"{name}_algorithm": "any" for name in OPERATIONS}
        given = {**degrees, **algorithms, **chosen}
        return nodes["RetouchSimulate"].execute(image, seed, jpeg_quality, **given)

    return run


def test_degree_zero_changes_no_bit(simulate, photo):
    node = simulate(photo)
    assert torch.equal(node[0], photo) and not node[1].any()
    assert json.loads(node[2])["steps"] == []


def test_simulates_what_its_recipe_says(simulate, photo):
    node = simulate(photo, 5, whitening=0.7, face_slimming=0.5, whitening_algorithm="lab_curve")
    recipe = Recipe.from_json(node[2])
    assert recipe.degrees() == values(0.0, whitening=0.7, face_slimming=0.5)
    assert recipe.steps[0].algorithm == "lab_curve"
    expected = retouch(photo.movedim(-1, 1) * 2 - 1, [recipe])
    assert torch.allclose(node[0].movedim(-1, 1) * 2 - 1, expected.image, atol=1e-6)
    assert torch.equal(node[1], expected.masks.amax(1))


def test_the_seed_draws_the_algorithms(simulate, photo):
    first, same, other = (simulate(photo, s, smoothing=0.8, eye_enlarging=0.8) for s in (1, 1, 2))
    assert torch.equal(first[0], same[0]) and first[2] == same[2] != other[2]


def test_compression_alone_is_a_change(simulate, photo):
    assert not torch.equal(simulate(photo, jpeg_quality=50)[0], photo)


def test_compare_measures_against_the_truth(nodes, photo):
    before, after = (photo + 0.1).clamp(0, 1), (photo + 0.05).clamp(0, 1)
    node = nodes["RestorationCompare"].execute(before, after, 32.0, photo)
    by_hand = -10 * math.log10(float((after.double() - photo.double()).square().mean()))
    assert node[2] == pytest.approx(by_hand, abs=1e-4)
    assert 0.5 < node[3] < 1
    assert node.ui["frr_report"][0].startswith("before: PSNR 20.")
    assert len(node.ui["frr_before"]) == len(node.ui["frr_after"]) == 1
    assert node[0].shape[2] > 5 * 96 and node[1].shape == (1, 96, 96, 3)
    json.dumps(node.ui)


def test_compare_without_a_truth_shows_the_change(nodes, photo):
    same = nodes["RestorationCompare"].execute(photo, photo, 32.0)
    assert same[2] == math.inf and same[3] == pytest.approx(1) and not same[1].any()
    changed = photo.clone()
    changed[:, :10] = 1 - changed[:, :10]
    node = nodes["RestorationCompare"].execute(photo, changed, 32.0)
    assert node[1][:, :10].any() and not node[1][:, 10:].any()


def test_compare_refuses_different_sizes(nodes, photo):
    with pytest.raises(ValueError, match=r"after: 1 of 50 x 96"):
        nodes["RestorationCompare"].execute(photo, photo[:, :, :50], 32.0)


BOX = {"x": 30, "y": 30, "width": 30, "height": 36}


def cropped(nodes, photo, **given):
    settings = {"faces": "all", "size": 0, "margin": 1.0, **given}
    return nodes["FaceCrop"].execute(photo, **settings)


def test_crops_come_back_to_the_bit(nodes, photo):
    crops, where, count, _ = cropped(nodes, photo, boxes=[BOX]).args
    assert count == 1 and crops.shape == (1, 64, 64, 3)
    pasted, used = nodes["FacePaste"].execute(photo, where, crops, 0.1, True).args
    assert torch.equal(pasted, photo) and used.max() > 0.99 and used[0, 0, 0] == 0


def test_changes_are_pasted_inside_the_crop_alone(nodes, photo):
    crops, where, *_ = cropped(nodes, photo, boxes=[BOX]).args
    edited = crops.clone()
    edited[:, 16:48, 16:48] = 1 - edited[:, 16:48, 16:48]
    pasted, used = nodes["FacePaste"].execute(photo, where, edited, 0.1, True).args
    assert torch.equal(pasted[used == 0], photo[used == 0])
    assert (pasted - photo).abs().max() > 0.2
    mask = torch.zeros(1, 96, 96)
    masked, seen = nodes["FacePaste"].execute(photo, where, edited, 0.1, True, mask).args
    assert torch.equal(masked, photo) and not seen.any()


def test_the_largest_face_of_each_picture(nodes, photo):
    small = {"x": 5, "y": 5, "width": 10, "height": 12}
    node = cropped(nodes, photo, faces="largest", boxes=[small, BOX])
    assert node[2] == 1
    side = node[1].frames[0][0].side
    assert side == cropped(nodes, photo, boxes=[BOX])[1].frames[0][0].side


def test_landmarks_turn_a_face_upright(nodes, photo):
    from frr.pipelines.simulate.landmarks import canonical_mesh

    turned = canonical_mesh().flip(1) * torch.tensor([-40.0, 40.0]) + torch.tensor([70.0, 20.0])
    face = {"landmarks_xy": turned.numpy()}
    _crops, where, *_ = cropped(nodes, photo, landmarks={"frames": [[face]]}).args
    alignment = where.frames[0][0]
    assert alignment.side == pytest.approx(40, rel=1e-3)
    assert alignment.across_x == pytest.approx(0, abs=1e-3)
    assert alignment.across_y == pytest.approx(40, rel=1e-3)


def test_no_face_says_what_to_do(nodes, photo):
    with pytest.raises(ValueError, match="connect boxes or landmarks"):
        cropped(nodes, photo, boxes=[[]], no_face="error")


def test_without_a_detector_it_says_what_to_install(nodes, photo, monkeypatch):
    def missing():
        raise ImportError("not installed")

    monkeypatch.setattr("frr.nodes.face_choice.FaceFinder", missing)
    with pytest.raises(ValueError, match="pip install dlib-bin"):
        cropped(nodes, photo)


def test_the_wrong_number_of_crops_is_refused(nodes, photo):
    crops, where, *_ = cropped(nodes, photo, boxes=[BOX]).args
    with pytest.raises(ValueError, match="2 crops and 1 pictures came; expected 1 crops"):
        nodes["FacePaste"].execute(photo, where, crops.expand(2, -1, -1, -1), 0.1, True)
