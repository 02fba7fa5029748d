"""Mesh indices, the canonical mesh, soft regions."""

import pytest
import torch

from frr.pipelines.simulate import landmarks
from frr.pipelines.simulate.landmarks import FaceRegions, canonical_mesh, soft_polygons


def square(left, top, right, bottom):
    corners = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return torch.tensor([corners], dtype=torch.float32)


def test_indices_are_distinct_points_of_the_mesh():
    for outline in (landmarks.FACE_OVAL, landmarks.LIPS, *landmarks.EYES, *landmarks.BROWS):
        assert len(set(outline)) == len(outline)
    assert set(landmarks.FOREHEAD) | set(landmarks.JAW) == set(landmarks.FACE_OVAL)
    assert min(landmarks.USED) >= 0
    assert max(landmarks.USED) < 478


def test_canonical_mesh_is_a_face():
    mesh = canonical_mesh()
    assert mesh.shape == (478, 2)
    assert ((mesh > 0) & (mesh < 1)).all()
    left, right = mesh[list(landmarks.IRISES)]
    assert 0.2 < right[0] - left[0] < 0.3
    assert (left[1] - right[1]).abs() < 0.005
    assert mesh[10, 1] < left[1] < mesh[4, 1] < mesh[0, 1] < mesh[landmarks.CHIN, 1]
    for iris, lids in zip(landmarks.IRISES, landmarks.EYES, strict=True):
        assert (mesh[iris] - mesh[list(lids)].mean(0)).norm() < 0.01


def test_canonical_mesh_is_symmetric():
    outline = canonical_mesh()[list(landmarks.FACE_OVAL)]
    mirrored = outline.flip(0).roll(1, 0) * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    assert (outline - mirrored).abs().max() < 0.005


def test_polygon_covers_the_pixels_inside_and_parts_of_those_it_cuts():
    mask = soft_polygons([square(2.0, 3.0, 6.25, 7.0)], 10, 12, torch.tensor([1e-3]))[0, 0]
    expected = torch.zeros(10, 12)
    expected[3:7, 2:6] = 1.0
    expected[3:7, 6] = 0.25
    torch.testing.assert_close(mask, expected, atol=1e-4, rtol=0)


def test_polygon_ignores_the_direction_of_its_outline_and_adds_others():
    one, two = square(2, 2, 6, 6), square(9, 2, 13, 8)
    softness = torch.tensor([0.8])
    together = soft_polygons([one, two.flip(1)], 12, 16, softness)
    apart = soft_polygons([one], 12, 16, softness) + soft_polygons([two], 12, 16, softness)
    torch.testing.assert_close(together, apart)


def test_soft_edge_is_one_half_at_the_outline_and_keeps_its_area():
    mask = soft_polygons([square(10, 10, 30, 30)], 40, 40, torch.tensor([2.0]))[0, 0]
    assert mask.sum() == pytest.approx(400, rel=0.01)
    assert (mask[20, 9] + mask[20, 10]) / 2 == pytest.approx(0.5, abs=0.01)
    assert mask[20, 12] == pytest.approx(0.894, abs=0.01)  # normal distribution at 1.25 deviations


def test_concave_polygons():
    notched = torch.tensor([[[2, 2], [10, 2], [10, 10], [6, 4], [2, 10]]], dtype=torch.float32)
    mask = soft_polygons([notched], 12, 12, torch.tensor([1e-3]))[0, 0]
    assert mask[8, 6] < 1e-6
    assert mask[3, 6] > 1 - 1e-5


def at(mask, point, size):
    x, y = (point * size).long().tolist()
    return mask[0, 0, y, x].item()


@pytest.mark.parametrize("size", [(128, 128), (97, 130)])
def test_regions_lie_where_they_should(size):
    mesh = canonical_mesh()
    height, width = size
    face = FaceRegions(mesh[None], height, width)
    assert face.oval.shape == face.skin.shape == (1, 1, height, width)
    assert face.scale.item() == pytest.approx(
        (mesh[454, 0] - mesh[234, 0]).item() * width, rel=1e-3
    )
    for mask in (face.oval, face.skin):
        assert mask.min() == 0
        assert 0.98 < mask.max() <= 1

    extent = torch.tensor([width, height])
    cheek, forehead = (mesh[50] + mesh[101]) / 2, mesh[10] - torch.tensor([0.0, 0.04])
    assert at(face.oval, cheek, extent) > 0.9
    assert at(face.skin, cheek, extent) > 0.9
    assert at(face.oval, mesh[468], extent) > 0.9
    for hole in (mesh[468], mesh[473], mesh[105], mesh[334], (mesh[13] + mesh[17]) / 2):
        assert at(face.skin, hole, extent) < 0.2
    assert at(face.oval, forehead, extent) < 0.05
    assert at(face.skin, forehead, extent) > 0.5
    for border in (
        face.oval[..., 0, :],
        face.oval[..., -1, :],
        face.skin[..., 0],
        face.skin[..., -1],
    ):
        assert border.max() == 0


def test_hair_above_the_face_is_not_skin():
    mesh = canonical_mesh()
    skin_colour = torch.tensor([0.5, 0.1, -0.1]).view(1, 3, 1, 1).expand(1, 3, 128, 128).clone()
    bare = FaceRegions(mesh[None], 128, 128, skin_colour).skin
    covered = skin_colour.clone()
    covered[:, :, :34] = -0.9
    covered = FaceRegions(mesh[None], 128, 128, covered).skin
    assert bare[0, 0, 31, 64] > 0.8
    assert covered[0, 0, 31, 64] < 0.1
    torch.testing.assert_close(bare[..., 44:, :], covered[..., 44:, :], atol=0.02, rtol=0)
