"""FaceParts: means of parts by hand, and that tone is seen as it is."""

import pytest
import torch
from torch.nn import functional as F

from frr.models.mofrr.face_parts import MAPS, MEASURES, PARTS, FaceParts, PartFinder, measure
from frr.models.mofrr.native_view import look
from frr.models.native_traces import GRID


def halves():
    """The first part is the left half, the second the right one; the others are nowhere."""
    maps = torch.zeros(1, len(PARTS), MAPS, MAPS)
    maps[0, 0, :, : MAPS // 2] = 1
    maps[0, 1, :, MAPS // 2 :] = 1
    return maps


def test_each_part_is_described_by_what_lies_in_it():
    colour = torch.empty(1, 3, 128, 128)
    left, right = torch.tensor([0.4, 0.1, -0.2]), torch.tensor([-0.5, -0.5, -0.5])
    colour[..., :64], colour[..., 64:] = left[:, None, None], right[:, None, None]
    traces = torch.zeros(1, MEASURES - 7, GRID, GRID)
    traces[:, 3, :, : GRID // 2] = 2.0
    found = measure(halves(), colour, traces)[0]
    assert found.shape == (len(PARTS), MEASURES + 1)
    assert found[0, :3].tolist() == pytest.approx(left.tolist(), abs=1e-3)
    assert found[1, :3].tolist() == pytest.approx(right.tolist(), abs=1e-3)
    assert found[0, 3:6].abs().max() < 0.03  # one colour has no spread
    assert found[0, 6] == pytest.approx(0.1, abs=1e-3)  # nor anything lighter than its grey
    assert found[:2, 10].tolist() == pytest.approx([2, 0], abs=1e-2)
    assert found[:3, -1].tolist() == pytest.approx([0.5**0.5, 0.5**0.5, 0])
    assert not found[2:, :3].any()  # of what is nowhere nothing is said


def test_the_lightest_stand_out():
    colour = torch.full((1, 3, 128, 128), -0.5)
    colour[..., :8, :64] = 0.9
    found = measure(halves(), colour, torch.zeros(1, 1, GRID, GRID))[0]
    assert found[0, 0] == pytest.approx(-0.5 + 1.4 / 16, abs=1e-3)
    assert found[0, 6] > found[0, 0] + 0.3 and found[0, 3] > 0.3


def test_maps_learn_from_meshes_alone():
    torch.manual_seed(0)
    parts = FaceParts(8, 16).train()
    view = look(torch.rand(2, 3, 80, 90) * 2 - 1)
    features = parts(view, view.traces, view.spectrum)
    assert features.shape == (2, 16)
    features.sum().backward()
    assert all(p.grad is None for p in parts.finder.parameters())
    assert all(p.grad is not None for p in parts.layers.parameters())


def test_a_finder_learns_where_parts_are():
    torch.manual_seed(0)
    finder = PartFinder(8)
    colour = torch.full((2, 3, 128, 128), -0.5)
    colour[0, :, 20:60, 30:70] = 0.5
    colour[1, :, 70:110, 50:100] = 0.5
    target = F.avg_pool2d((colour[:, :1] > 0).float(), 2).expand(-1, len(PARTS), -1, -1)
    optimizer = torch.optim.Adam(finder.parameters(), 1e-2)
    for _ in range(25):
        loss = F.binary_cross_entropy_with_logits(finder(colour), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found = finder(colour) > 0
    assert (found == (target > 0.5)).float().mean() > 0.97
