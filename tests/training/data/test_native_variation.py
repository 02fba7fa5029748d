"""Stored photos in other framings: what moved is still undone, and what is not drawn stays."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from frr.models.mofrr.native_view import look
from frr.pipelines.simulate.capture import blur
from frr.training.data.native_variation import (
    BLURRED,
    CONTRASTED,
    REFRAMED,
    RESHAPED,
    draw_blur,
    draw_contrast,
    draw_frames,
    draw_shapes,
    mix,
    reframe,
    reframe_flows,
    relight,
    smooth_fields,
    soften,
    strengthen,
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
    assert 0.4 < scale.min() < 0.6 and 1.2 < scale.max() < 1.6  # some as tight as crops by hand


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


def test_a_share_of_the_photos_is_out_of_focus_mostly_around_the_face():
    sigma = draw_blur(np.random.default_rng(0), 2000)
    assert (sigma > 0).any(2).any(1).float().mean() == pytest.approx(BLURRED, abs=0.03)
    assert sigma.min() >= 0 and sigma.isfinite().all()
    assert sigma[:, 0].mean() > 4 * sigma[:, 14:18, 14:18].mean()


@pytest.mark.parametrize("amount", [0.5, 1.0])
def test_measures_of_a_softened_photo_are_near_those_of_a_blurred_one(amount):
    torch.manual_seed(0)
    noise = [F.interpolate(torch.randn(1, 3, n, n), (512, 512), mode="bicubic") for n in (512, 128)]
    ramp = torch.linspace(0.05, 1, 512)  # flat at one side, textured at the other
    photo = (0.1 * noise[0] + 0.2 * noise[1]) * ramp
    sharp, truth = look(photo), look(blur(photo, amount))
    planes = (field[:, None] for field in (sharp.traces, sharp.spectrum, sharp.fine))
    made = soften(*planes, torch.tensor([512.0]), torch.full((1, 32, 32), amount))
    for level in range(2):
        grey = slice(9 * level, 9 * level + 9, 3)
        lost = (sharp.traces[:, grey] - truth.traces[:, grey])[..., 16:].mean()
        said = (sharp.traces[:, grey] - made[0][:, 0, grey])[..., 16:].mean()
        assert 0.4 < said / lost < 2.0
    assert (made[2] <= sharp.fine[:, None]).all()
    same = soften(
        *(field[:, None] for field in (sharp.traces, sharp.spectrum, sharp.fine)),
        torch.tensor([512.0]),
        torch.zeros(1, 32, 32),
    )
    assert torch.equal(same[0][:, 0], sharp.traces) and torch.equal(same[2][:, 0], sharp.fine)


def test_contrast_goes_both_ways_and_leaves_a_share_as_it_is():
    gain = draw_contrast(np.random.default_rng(0), 3000)
    assert (gain != 0).any(2).any(1).float().mean() == pytest.approx(CONTRASTED, abs=0.03)
    assert gain.mean().abs() < 0.02 and gain.flatten(1).std(1).median() > 0.1
    steps, reach = gain.diff(dim=1).abs().amax((1, 2)), gain.amax((1, 2)) - gain.amin((1, 2))
    assert (steps <= 0.4 * reach).all()  # smooth: no edges from one cell to the next


def test_measures_of_stronger_details_are_those_of_a_photo_that_has_them():
    torch.manual_seed(0)
    noise = 0.12 * torch.linspace(0.02, 1, 512)[:, None] * torch.randn(1, 3, 512, 512)
    gain = torch.linspace(-0.5, 0.5, 32).expand(1, 32, 32)
    grown = noise * F.interpolate(gain[:, None], (512, 512), mode="bilinear").exp()
    plain, truth = (look((each * 127.5).round() / 127.5) for each in (noise, grown))
    fields = ("traces", "spectrum", "fine")
    made = strengthen(*(getattr(plain, name)[:, None] for name in fields), gain)
    for name, planes in zip(fields, made, strict=True):
        wanted, before = getattr(truth, name), getattr(plain, name)
        left = (planes[:, 0] - wanted).abs().mean() / (before - wanted).abs().mean()
        assert left < 0.3, name
    same = strengthen(*(getattr(plain, name)[:, None] for name in fields), gain * 0)
    for name, planes in zip(fields, same, strict=True):
        assert torch.allclose(planes[:, 0], getattr(plain, name), atol=1e-6)


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
