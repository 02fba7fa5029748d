"""The parts of a face on its mesh: where they lie, and that they part it."""

import torch

from frr.models.mofrr.face_parts import MAPS, PARTS
from frr.pipelines.simulate.landmarks import CHIN, IRISES, canonical_mesh
from frr.training.data.face_parts import part_maps

POINTS = canonical_mesh()[None]


def drawn(points=POINTS):
    return dict(zip(PARTS, part_maps(points)[0], strict=True))


def at(part, point):
    column, row = (point * MAPS).long().clamp(0, MAPS - 1)
    return float(part[row, column])


def test_parts_lie_where_the_mesh_has_them():
    maps, points = drawn(), POINTS[0]
    assert at(maps["lips"], points[[13, 14]].mean(0)) > 0.9
    assert at(maps["cheeks"], points[4]) > 0.9  # the tip of the nose
    assert at(maps["forehead"], points[151]) > 0.9
    assert at(maps["chin"], points[CHIN] + 0.12 * (points[10] - points[CHIN])) > 0.9
    for iris in IRISES:
        assert at(maps["irises"], points[iris]) > 0.5 > at(maps["eye whites"], points[iris])
    below = points[CHIN] - 0.05 * (points[10] - points[CHIN])
    assert at(maps["outside the jaw"], below) > 0.5 and at(maps["neck"], below) > 0.5
    assert maps["elsewhere"][:4].min() > 0.9 and at(maps["elsewhere"], points[4]) < 0.01


def test_skin_holds_no_features():
    maps = drawn()
    skin = maps["forehead"] + maps["cheeks"] + maps["chin"]
    assert skin.max() < 1.01
    assert float((skin * maps["lips"]).sum() / maps["lips"].sum()) < 0.4  # soft outlines
    for iris in IRISES:
        assert at(skin, POINTS[0, iris]) < 0.1


def test_maps_move_with_the_face():
    shift = torch.tensor([4.0, -2.0]) / MAPS
    moved = drawn(POINTS + shift)
    for name, map in drawn().items():
        if name not in ("elsewhere", "neck"):  # these reach the border
            assert torch.allclose(moved[name][:-4, 6:-2], map[2:-2, 2:-6], atol=1e-3), name
