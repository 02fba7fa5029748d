"""Warps, and the geometric algorithms as maps of the plane: no folds, faces stay faces."""

import itertools
import math

import pytest
import torch

from frr.pipelines.simulate import eyes, slimming, warp
from frr.pipelines.simulate.landmarks import BROWS, EYES, FACE_OVAL, LIPS, NOSE, canonical_mesh

SIZE = 128
MIDDLE = torch.full((1, 4), 0.5)
SLIMMING = [pytest.param(fn, id=name) for name, fn in slimming.ALGORITHMS.items()]
ENLARGING = [pytest.param(fn, id=name) for name, fn in eyes.ALGORITHMS.items()]
EVERY = SLIMMING + ENLARGING


def turned_faces():
    """The mean face as it is, tilted, turned to both sides, small, large and off centre."""
    mesh = canonical_mesh() - 0.5
    angle = math.radians(20)
    tilt = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    u = mesh[:, :1] / 0.27
    turned = torch.where(u < 0, 0.55, 1.15)
    across = torch.cat((mesh[:, :1] * turned, mesh[:, 1:]), dim=1)
    other = torch.cat((mesh[:, :1] * turned.flip(0).mean() * 1.3, mesh[:, 1:]), dim=1)
    faces = [mesh, mesh @ tilt.T, across, other, mesh * 0.5, mesh * 1.15, mesh * 0.8 + 0.15]
    return torch.stack(faces) + 0.5


def corners():
    """All extremes of the three variations that the algorithms use."""
    return torch.tensor([(*c, 0.0) for c in itertools.product((0.0, 1.0), repeat=3)])


def jacobian(flow):
    right = flow[..., 1:, 1:] - flow[..., 1:, :-1]
    down = flow[..., 1:, 1:] - flow[..., :-1, 1:]
    return (1 + right[:, 0]) * (1 + down[:, 1]) - right[:, 1] * down[:, 0]


def moved(points, flow):
    """Where the mesh points go, in pixels, and where they were."""
    before = warp.to_pixels(points, *flow.shape[-2:])
    grid = (before / (flow.shape[-1] - 1) * 2 - 1)[:, None]
    inverse = warp.invert_flow(flow)
    motion = torch.nn.functional.grid_sample(inverse, grid, align_corners=True)[:, :, 0]
    return before + motion.transpose(1, 2), before


def distance(points, one, two):
    return (points[:, one] - points[:, two]).norm(dim=-1)


def apply(fn, points=None, degree=1.0, variations=MIDDLE, height=SIZE, width=SIZE):
    points = canonical_mesh()[None] if points is None else points
    variations = variations.expand(len(points), 4)
    return fn(points, torch.full((len(points),), degree), variations, height, width)


@pytest.mark.parametrize("fn", EVERY)
def test_no_folds_at_full_strength_whatever_the_variation_and_the_pose(fn):
    for variation in corners():
        flow = apply(fn, turned_faces(), variations=variation[None])
        assert flow.isfinite().all()
        assert jacobian(flow).min() > 0.1


@pytest.mark.parametrize("fn", EVERY)
def test_nothing_moves_at_degree_zero_and_more_at_a_higher_degree(fn):
    assert apply(fn, degree=0.0).abs().max() == 0
    motion = [apply(fn, degree=degree).norm(dim=1).mean() for degree in (0.25, 0.5, 0.75, 1.0)]
    assert motion[0] > 0
    for weak, strong in itertools.pairwise(motion):
        assert strong > 1.15 * weak


@pytest.mark.parametrize("fn", EVERY)
def test_nothing_crosses_the_border_of_the_photo(fn):
    flow = apply(fn, turned_faces())
    assert flow[:, 0, :, [0, -1]].abs().max() < 0.1
    assert flow[:, 1, [0, -1], :].abs().max() < 0.1


@pytest.mark.parametrize("fn", EVERY)
def test_the_flow_scales_with_the_photo(fn):
    small = apply(fn)
    large = apply(fn, height=2 * SIZE, width=2 * SIZE)
    reduced = torch.nn.functional.avg_pool2d(large, 2) / 2
    assert (small - reduced).abs().max() < 0.12
    assert apply(fn, height=90, width=131).shape == (1, 2, 90, 131)


@pytest.mark.parametrize("fn", EVERY)
def test_each_photo_is_treated_alone(fn):
    faces, variations = turned_faces()[:3], torch.rand(3, 4)
    degrees = torch.tensor([0.2, 1.0, 0.6])
    together = fn(faces, degrees, variations, SIZE, SIZE)
    alone = [
        fn(faces[i : i + 1], degrees[i : i + 1], variations[i : i + 1], SIZE, SIZE)
        for i in range(3)
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-3, rtol=0)


@pytest.mark.parametrize("fn", EVERY)
def test_a_symmetric_face_stays_symmetric(fn):
    flow = apply(fn)
    mirrored = flow.flip(-1) * torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1)
    assert (flow - mirrored).abs().max() < 0.15


@pytest.mark.parametrize("fn", EVERY)
def test_variations_matter(fn):
    base = apply(fn)
    for position in range(3):
        variation = MIDDLE.clone()
        variation[0, position] = 1.0
        assert (apply(fn, variations=variation) - base).abs().max() > 0.03


@pytest.mark.parametrize("fn", SLIMMING)
def test_slimming_narrows_the_jaw_and_spares_the_inner_face(fn):
    points = canonical_mesh()[None]
    after, before = moved(points, apply(fn))
    narrowing = [
        1 - distance(after, *pair) / distance(before, *pair) for pair in ((172, 397), (136, 365))
    ]
    assert all(0.06 < share < 0.13 for share in narrowing)
    assert (after - before)[:, [*EYES[0], *EYES[1], *NOSE]].norm(dim=-1).max() < 0.01 * SIZE
    mouth = distance(after, 61, 291) / distance(before, 61, 291)
    assert 0.95 < mouth < 1.001
    assert (after - before)[:, 10].norm() < 0.002 * SIZE


@pytest.mark.parametrize("fn", ENLARGING)
def test_enlarging_widens_and_opens_the_eyes_and_spares_the_rest(fn):
    points = canonical_mesh()[None]
    after, before = moved(points, apply(fn))
    for corner in ((33, 133), (362, 263)):
        assert 1.05 < distance(after, *corner) / distance(before, *corner) < 1.25
    for lids in ((159, 145), (386, 374)):
        assert 1.1 < distance(after, *lids) / distance(before, *lids) < 1.4
    assert (after - before)[:, [468, 473]].norm(dim=-1).max() < 0.003 * SIZE
    assert (after - before)[:, [*LIPS, *FACE_OVAL, 4, 1]].norm(dim=-1).max() < 0.006 * SIZE
    assert (after - before)[:, [*BROWS[0], *BROWS[1]]].norm(dim=-1).max() < 0.02 * SIZE


@pytest.mark.parametrize("module", [slimming, eyes])
def test_a_module_has_four_algorithms_and_a_held_out_one(module):
    assert len(module.ALGORITHMS) >= 4
    assert set(module.HELD_OUT) < set(module.ALGORITHMS)
    assert set(module.STRENGTH) == set(module.ALGORITHMS)


@pytest.mark.parametrize("module", [slimming, eyes])
def test_the_algorithms_differ(module):
    flows = torch.cat([apply(fn) for fn in module.ALGORITHMS.values()])
    scale = flows.flatten(1).norm(dim=1)
    for one, two in itertools.combinations(range(len(flows)), 2):
        departure = (flows[one] - flows[two]).norm() / torch.minimum(scale[one], scale[two])
        assert departure > 0.15


@pytest.mark.parametrize("fn", EVERY)
def test_the_inverse_undoes_the_flow(fn):
    faces, variations = turned_faces()[[0, 2]], corners()[[0, 3, 5, 6]]
    flows = [apply(fn, faces, variations=v[None], height=256, width=256) for v in variations]
    flow = torch.cat(flows)
    inverse = warp.invert_flow(flow)
    restored = warp.compose_flows(flow, inverse).norm(dim=1)  # what undoing leaves, in pixels
    redone = warp.compose_flows(inverse, flow).norm(dim=1)  # folds are nearer this way round
    assert restored[:, 4:-4, 4:-4].max() < 0.05
    assert redone[:, 4:-4, 4:-4].max() < 0.15


def test_warp_moves_by_whole_pixels_and_repeats_the_border():
    image = torch.arange(20.0).view(1, 1, 4, 5)
    flow = torch.zeros(1, 2, 4, 5)
    flow[:, 0] = 1.0
    expected = image[..., [1, 2, 3, 4, 4]]
    for mode in warp.MODES:
        torch.testing.assert_close(warp.warp_image(image, flow, mode), expected, atol=2e-4, rtol=0)
    flow = torch.zeros(1, 2, 4, 5)
    flow[:, 1] = -0.5
    expected = (image[..., [0, 0, 1, 2], :] + image) / 2
    torch.testing.assert_close(warp.warp_image(image, flow), expected, atol=2e-4, rtol=0)


def test_warp_refuses_other_interpolations():
    with pytest.raises(ValueError, match="nearest"):
        warp.warp_image(torch.zeros(1, 1, 4, 4), torch.zeros(1, 2, 4, 4), "nearest")


def test_composing_equals_warping_twice():
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    image = (0.02 * x * y + x - 2 * y)[None, None]
    first = torch.stack(((y / 9).sin(), (x / 11).cos()))[None]
    second = torch.stack(((x / 8).cos(), (y / 10).sin()))[None]
    twice = warp.warp_image(warp.warp_image(image, first), second)
    once = warp.warp_image(image, warp.compose_flows(first, second))
    assert (twice - once)[..., 4:-4, 4:-4].abs().max() < 0.05


def test_upsampling_keeps_linear_fields_and_constants():
    coarse = warp.pixel_grid(60, 84, torch.zeros(()), (15, 21))
    fine = warp.upsample(coarse, 60, 84)
    exact = warp.pixel_grid(60, 84, torch.zeros(()))
    torch.testing.assert_close(fine[..., 8:-8, 8:-8], exact[..., 8:-8, 8:-8], atol=1e-4, rtol=0)
    torch.testing.assert_close(
        warp.upsample(torch.ones(1, 1, 7, 5), 33, 50), torch.ones(1, 1, 33, 50)
    )


def test_smooth_flow_matches_evaluation_at_every_pixel():
    def field(position):
        x, y = position.unbind(1)
        return torch.stack(((x / 25).sin() + y / 64, (y / 30).cos()), dim=1)

    like = torch.zeros(())
    coarse = warp.smooth_flow(field, 128, 128, like, 32)
    exact = warp.smooth_flow(field, 128, 128, like, 4096)
    assert (coarse - exact)[..., 16:-16, 16:-16].abs().max() < 0.002


INTERPOLATIONS = {
    "thin_plate": lambda anchors, values: warp.thin_plate_spline(
        anchors, values, torch.tensor([40.0]), 1e-5
    ),
    "gaussian": lambda anchors, values: warp.gaussian_interpolation(
        anchors, values, torch.tensor([9.0])
    ),
    "shepard": lambda anchors, values: warp.shepard_interpolation(
        anchors, values, torch.tensor([0.5])
    ),
}


@pytest.mark.parametrize("name", INTERPOLATIONS)
def test_interpolations_pass_through_their_anchors(name):
    anchors = torch.tensor([[[10.0, 12.0], [40.0, 15.0], [25.0, 30.0], [12.0, 50.0], [48.0, 47.0]]])
    values = torch.tensor([[[1.0, 0.0], [0.0, -2.0], [0.0, 0.0], [3.0, 1.0], [-1.0, 2.0]]])
    flow = INTERPOLATIONS[name](anchors, values)(warp.pixel_grid(60, 60, anchors))
    x, y = anchors[0].long().unbind(1)
    torch.testing.assert_close(flow[0, :, y, x].T, values[0], atol=0.03, rtol=0)


def test_a_thin_plate_reproduces_affine_maps_everywhere():
    anchors = torch.rand(2, 8, 2) * 50
    linear, offset = torch.tensor([[0.1, -0.05], [0.02, 0.08]]), torch.tensor([1.0, -2.0])
    spline = warp.thin_plate_spline(anchors, anchors @ linear + offset, torch.tensor([30.0, 60.0]))
    position = warp.pixel_grid(50, 50, anchors)
    exact = torch.einsum("bihw,io->bohw", position, linear) + offset.view(1, 2, 1, 1)
    torch.testing.assert_close(spline(position), exact.expand(2, -1, -1, -1), atol=5e-3, rtol=0)
