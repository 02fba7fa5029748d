"""Lip tinting: the lips take the shade, more with the degree, and nothing else changes."""

import pytest
import torch

from frr.pipelines.simulate import lip_tinting
from frr.pipelines.simulate.colour import rgb_to_lab, unit
from frr.pipelines.simulate.landmarks import FaceRegions, canonical_mesh
from frr.pipelines.simulate.recipe import OPERATIONS, Recipe, Step
from frr.pipelines.simulate.simulator import retouch

SIZE = 128
SKIN, LIPS = (0.75, 0.55, 0.45), (0.70, 0.45, 0.42)
every_algorithm = pytest.mark.parametrize("name", lip_tinting.ALGORITHMS)


def regions(count):
    return FaceRegions(canonical_mesh().expand(count, -1, -1), SIZE, SIZE)


def portraits(count):
    mouth = regions(count).lips
    colours = (torch.tensor(colour).view(1, 3, 1, 1) for colour in (LIPS, SKIN))
    lips, skin = colours
    return (mouth * lips + (1 - mouth) * skin) * 2 - 1


def tint(name, degrees, shade=0.5):
    images = portraits(len(degrees))
    variations = torch.tensor([[shade, 0.5, 0.5, 0.5]]).expand(len(degrees), -1)
    edit = lip_tinting.ALGORITHMS[name](
        images, torch.tensor(degrees), variations, regions(len(degrees))
    )
    return images, edit


@every_algorithm
def test_degree_zero_changes_no_bit(name):
    images, edit = tint(name, [0.0, 0.6, 0.0])
    assert torch.equal(edit.image[::2], images[::2])
    assert edit.mask[::2].abs().max() == 0
    assert not torch.equal(edit.image[1], images[1])


@every_algorithm
def test_lips_redden_with_the_degree_and_skin_stays(name):
    images, edit = tint(name, [0.2, 0.5, 1.0])
    mouth, redness = regions(3).lips, rgb_to_lab(unit(edit.image))[:, 1:2]
    before = rgb_to_lab(unit(images))[:, 1:2]
    inside = mouth > 0.9
    rise = torch.stack([(redness - before)[i][inside[i]].mean() for i in range(3)])
    assert rise[0] > 0.5 and (rise.diff() > 0.5).all()
    away = mouth < 1e-3
    assert 0.95 < away.float().mean() < 1
    assert ((edit.image - images).abs() * away).max() < 2e-3
    assert edit.image.abs().max() <= 1 and edit.mask.min() >= 0 and edit.mask.max() <= 1


@every_algorithm
def test_shades_differ(name):
    rose, brick = (tint(name, [1.0], shade)[1].image for shade in (0.0, 1.0))
    assert (rose - brick).abs().max() > 0.02


def test_teeth_are_not_tinted():
    images = portraits(1)
    mouth = regions(1).lips[0, 0] > 0.95
    row = int(mouth.any(dim=1).nonzero().float().mean())
    column = int(mouth[row].nonzero().float().mean())
    images[..., row - 1 : row + 2, column - 2 : column + 3] = 0.9
    edit = lip_tinting.stain(images, torch.ones(1), torch.full((1, 4), 0.5), regions(1))
    changes = (edit.image - images).abs().mean(dim=1)[0]
    assert changes[row, column] < 0.25 * changes[mouth].max()


def test_one_algorithm_is_held_out_and_it_is_only_known_where_it_is_named():
    assert set(lip_tinting.HELD_OUT) < set(lip_tinting.ALGORITHMS)
    others = tuple(name for name in OPERATIONS if name != "lip_tinting")
    recipe = Recipe((Step("lip_tinting", "stain", 0.8),))
    with pytest.raises(ValueError, match="lip_tinting"):
        retouch(portraits(1), [recipe], operations=others)
    truth = retouch(portraits(1), [recipe], operations=(*others, "lip_tinting"))
    assert truth.degrees.tolist() == [[*[0] * len(others), pytest.approx(0.8)]]
    assert truth.masks[0, -1].max() > 0.5 and not truth.flows.any()
