"""Stored photos in other framings: what moved is still undone, and what is not drawn stays."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from frr.training.data.native_variation import (
    REFRAMED,
    RESHAPED,
    draw_frames,
    draw_shapes,
    mix,
    reframe,
    reframe_flows,
    relight,
    smooth_fields,
)
from frr.training.stages.native_flow import move

IDENTITY = torch.eye(2, 3)


def smooth(*shape):
    return F.interpolate(torch.rand(shape[0], shape[1], 5, 5), shape[2:], mode="bicubic")


def test_frames_are_mirrored_by_half_and_stretched_by_a_share():
    frames = draw_frames(np.random.default_rng(0), 4000)
    mirrored = torch.linalg.det(frames[:, :, :2]) < 0
    plain = (frames.abs() == IDENTITY).flatten(1).all(1)
    assert mirrored.float().mean() == pytest.approx(0.5, abs=0.03)
    assert plain.float().mean() == pytest.approx(1 - REFRAMED, abs=0.03)
    scale = torch.linalg.svdvals(frames[:, :, :2])
    assert scale.min() > 0.7 and scale.max() < 1.4


def test_the_identity_changes_nothing_and_a_mirror_mirrors():
    planes = torch.rand(2, 3, 4, 8, 8)
    frames = torch.stack((IDENTITY, IDENTITY * torch.tensor([-1.0, 1, 1])))
    seen = reframe(planes, frames)
    assert torch.allclose(seen[0], planes[0], atol=1e-5)
    assert torch.allclose(seen[1], planes[1].flip(-1), atol=1e-5)
    flows = reframe_flows(planes[:, :, :2], frames)
    assert torch.allclose(flows[1, :, 0], -planes[1, :, 0].flip(-1), atol=1e-5)
    assert torch.allclose(flows[1, :, 1], planes[1, :, 1].flip(-1), atol=1e-5)


def test_a_reframed_photo_moved_by_its_reframed_flow_is_the_moved_photo_reframed():
    torch.manual_seed(0)
    photo, flow = smooth(6, 3, 64, 64), 20 * smooth(6, 2, 64, 64) - 10
    frames = draw_frames(np.random.default_rng(3), 6)
    first = reframe(move(photo, flow), frames)
    then = move(reframe(photo, frames), reframe_flows(flow, frames))
    inside = (..., slice(12, -12), slice(12, -12))
    still = (reframe(photo, frames) - first)[inside].abs().mean()
    assert (first - then)[inside].abs().mean() < 0.1 * still


def test_other_shapes_are_smooth_and_end_before_the_border():
    shapes = draw_shapes(np.random.default_rng(0), 2000)
    still = (shapes == 0).flatten(1).all(1)
    assert still.float().mean() == pytest.approx(1 - RESHAPED, abs=0.03)
    at = torch.linspace(-1, 1, 9)
    broader = (shapes[~still, 0, 4:7] * at).sum((1, 2))  # about the jaw
    assert abs(broader.mean()) < 0.05 * broader.std()
    assert shapes[:, 0, :, [0, 8]].std() < 0.6 * shapes[:, 0, :, [1, 7]].std()
    field = F.interpolate(shapes, (64, 64), mode="bicubic", align_corners=True)
    stretch = (field[..., 1:] - field[..., :-1]) * 32  # of a cell, by its neighbour
    assert stretch.std() < 0.1 and stretch.abs().max() < 0.9  # nothing is folded


def test_a_shape_moves_what_is_seen_and_what_moved_there():
    planes = torch.zeros(1, 2, 64, 64)
    planes[:, :, 30:34, 38:42] = 1
    shapes = torch.zeros(1, 2, 9, 9)
    shapes[:, 0] = 0.25  # what is seen lies an eighth of the side to the right
    for seen in (
        reframe(planes, IDENTITY[None], shapes),
        reframe_flows(planes, IDENTITY[None], shapes),
    ):
        assert torch.allclose(seen, planes.roll(-8, 3), atol=1e-4)


def test_light_is_alike_for_all_versions_of_a_face():
    photo = torch.rand(3, 1, 3, 8, 8) * 1.6 - 0.8
    lit = relight(photo.expand(-1, 2, -1, -1, -1), np.random.default_rng(0))
    assert torch.equal(lit[:, 0], lit[:, 1]) and not torch.allclose(lit[:, 0], photo[:, 0])


def test_a_mixture_is_the_others_by_its_share_place_by_place():
    own, other = torch.zeros(2, 3, 4, 8, 8), torch.ones(2, 1, 4, 8, 8)
    share = smooth_fields(np.random.default_rng(0), 2)
    assert share.min() >= 0 and share.max() <= 1 and share.std() > 0.01
    mixed = mix(own, other, 0.5 * share)
    corners = mixed[..., [0, 0, -1, -1], [0, -1, 0, -1]]
    wanted = 0.5 * share[..., [0, 0, -1, -1], [0, -1, 0, -1]]
    assert torch.allclose(corners, wanted[:, None].expand_as(corners))
    assert mixed.max() <= 0.5
