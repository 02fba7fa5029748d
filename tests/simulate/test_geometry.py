"""Warps, and the geometric algorithms as maps of the plane: no folds, faces stay faces."""

import itertools
import math

import pytest
import torch

from frr.pipelines.simulate import eyes, slimming, slimming_drags, warp
from frr.pipelines.simulate.draws import BULK
from frr.pipelines.simulate.landmarks import BROWS, EYES, FACE_OVAL, LIPS, NOSE, canonical_mesh
from frr.pipelines.simulate.strength import Span

SIZE = 128
JAW_PAIRS = ((58, 288), (172, 397), (136, 365), (150, 379))
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
    assert flow[:, 0, :, [0, -1]].abs().max() < 0.5
    assert flow[:, 1, [0, -1], :].abs().max() < 0.5


@pytest.mark.parametrize("fn", EVERY)
def test_the_flow_scales_with_the_photo(fn):
    small = apply(fn)
    large = apply(fn, height=2 * SIZE, width=2 * SIZE)
    reduced = torch.nn.functional.avg_pool2d(large, 2) / 2
    assert (small - reduced).abs().max() < 0.2
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
    flow = apply(fn, degree=0.6)
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
    width = distance(before, 234, 454)
    jaw = [(distance(before, *pair) - distance(after, *pair)) / width for pair in JAW_PAIRS]
    assert 0.04 < max(jaw) < 0.14
    assert all(loss > 0.005 for loss in jaw)
    still = (after - before)[:, [*EYES[0], *EYES[1], *BROWS[0], *BROWS[1], 168, 10]].norm(dim=-1)
    assert still.max() < 0.012 * SIZE
    if fn is not slimming.ALGORITHMS["radial_pinch"]:  # it draws in nose and mouth as well
        assert (after - before)[:, NOSE].norm(dim=-1).max() < 0.012 * SIZE
        assert 0.85 < distance(after, 61, 291) / distance(before, 61, 291) < 1.02


@pytest.mark.parametrize("fn", ENLARGING)
def test_enlarging_widens_and_opens_the_eyes_and_spares_the_rest(fn):
    points = canonical_mesh()[None]
    after, before = moved(points, apply(fn))
    for corner in ((33, 133), (362, 263)):
        assert 1.05 < distance(after, *corner) / distance(before, *corner) < 1.3
    for lids in ((159, 145), (386, 374)):
        assert 1.05 < distance(after, *lids) / distance(before, *lids) < 1.55
    assert (after - before)[:, [468, 473]].norm(dim=-1).max() < 0.006 * SIZE
    assert (after - before)[:, [*LIPS, *FACE_OVAL, 4, 1]].norm(dim=-1).max() < 0.012 * SIZE
    assert (after - before)[:, [*BROWS[0], *BROWS[1]]].norm(dim=-1).max() < 0.03 * SIZE


@pytest.mark.parametrize("fn", EVERY)
def test_the_effect_grows_with_the_degree_and_the_tail_is_far_stronger(fn):
    module = slimming if fn in slimming.ALGORITHMS.values() else eyes
    points, size = turned_faces()[[0, 1, 2]], 256
    effects = [
        module.effect(apply(fn, points, d, height=size, width=size), points, size, size)
        for d in (0.0, 0.2, 0.5, 0.85, 1.0)
    ]
    assert effects[0].abs().max() < 1e-5
    for weak, strong in itertools.pairwise(effects):
        assert (strong > 1.2 * weak).all()
    assert (effects[3] < (0.08 if module is slimming else 0.12)).all()
    assert (effects[4] > 1.6 * effects[3]).all()


@pytest.mark.parametrize("module", [slimming, eyes])
def test_a_module_has_ten_algorithms_and_holds_two_out(module):
    assert len(module.ALGORITHMS) >= 10
    assert len(module.HELD_OUT) == 2 and set(module.HELD_OUT) < set(module.ALGORITHMS)


@pytest.mark.parametrize("module", [slimming, eyes])
def test_the_algorithms_differ(module):
    flows = torch.cat([apply(fn) for fn in module.ALGORITHMS.values()])
    scale = flows.flatten(1).norm(dim=1)
    for one, two in itertools.combinations(range(len(flows)), 2):
        departure = (flows[one] - flows[two]).norm() / torch.minimum(scale[one], scale[two])
        assert departure > 0.15


@pytest.mark.parametrize("fn", EVERY)
@pytest.mark.parametrize(("degree", "most"), [(0.85, 0.02), (1.0, 0.05)])
def test_the_inverse_undoes_the_flow(fn, degree, most):
    faces, variations = turned_faces()[[0, 2]], corners()[[0, 3, 5, 6]]
    flows = [apply(fn, faces, degree, v[None], height=256, width=256) for v in variations]
    flow = torch.cat(flows)
    restored = warp.compose_flows(flow, warp.invert_flow(flow)).norm(dim=1)
    assert restored[:, 4:-4, 4:-4].max() < most


def test_the_chained_engine_sometimes_slims_one_side_alone():
    points = canonical_mesh()[None]
    for balance, still, drawn in (
        (0.01, (58, 172, 136), (288, 397, 365)),
        (0.99, (288, 397, 365), (58, 172, 136)),
    ):
        variation = torch.tensor([[0.5, 0.5, balance, 0.5]])
        after, before = moved(points, apply(slimming.chained, variations=variation))
        way = (after - before).norm(dim=-1)
        assert way[:, still].max() < 0.002 * SIZE
        assert way[:, drawn].min() > 0.008 * SIZE


def test_a_chain_of_translations_is_not_their_sum():
    """Each works on the coordinates that the one before it gave: by hand, on one line."""
    radius, pull = torch.tensor([10.0]), torch.tensor([4.0])
    unit = torch.tensor([[1.0, 0.0]])
    first, second = torch.tensor([[20.0, 0.0]]), torch.tensor([[24.0, 0.0]])
    place = torch.tensor([24.0, 0.0]).view(1, 2, 1, 1)

    def share(r):  # of the pull, at distance r
        return ((100 - r * r) / (100 - r * r + (r - 4) ** 2)) ** 2

    once = slimming_drags._translate(place, first, unit, radius, pull)
    assert once[0, 0, 0, 0].item() == pytest.approx(24 - 4 * share(4), abs=1e-4)
    twice = slimming_drags._translate(once, second, unit, radius, pull)
    middle = 24 - 4 * share(4)
    chain = middle - 4 * share(24 - middle)
    assert twice[0, 0, 0, 0].item() == pytest.approx(chain, abs=1e-4)
    assert abs(chain - (24 - 4 * share(4) - 4 * share(0))) > 0.4


def test_a_drag_is_whole_in_its_middle_and_gone_at_its_radius():
    radius, shape = torch.tensor([8.0]), torch.tensor([0.5])
    squared = torch.tensor([0.0, 32.0, 64.0, 100.0]).view(1, 1, 1, 4)
    share = slimming_drags._gustafsson(squared, radius, shape).flatten()
    expected = torch.tensor([1.0, 0.5625, 0.0, 0.0])  # (1.5 * 0.5 / 1)^2 halfway
    torch.testing.assert_close(share, expected)


def magnification(name, degree=1.0):
    """What each law shrinks one percent and 40 % of an eye's width off its centre to."""
    size = 1024
    flow = apply(eyes.ALGORITHMS[name], degree=degree, height=size, width=size)
    points = warp.to_pixels(canonical_mesh()[None], size, size)
    middle = (points[0, 468] + points[0, EYES[0]].mean(0)) / 2
    width = distance(points, 33, 133)[0]
    out = []
    for share in (0.02, 0.4):
        ends = torch.stack(
            (
                middle - torch.stack((share * width, width * 0)),
                middle + torch.stack((share * width, width * 0)),
            )
        )
        place = (ends / (size - 1) * 2 - 1)[None, None]
        motion = torch.nn.functional.grid_sample(flow, place, align_corners=True)[0, 0, 0]
        out.append(1 + ((motion[1] - motion[0]) / (2 * share * width)).item())
    return out


def test_the_laws_differ_in_the_middle_of_the_eye():
    centre, corner = magnification("quadratic_law")
    assert centre < 0.7 < corner
    cusp, corner = magnification("power_law")
    assert cusp < 0.6 < corner
    iris, corner = magnification("ring_law")
    assert iris > 0.95 and corner < 0.9
    centre, corner = magnification("smoothstep_law")
    assert abs(centre - corner) < 0.1 and centre < 0.8


def test_the_head_morph_is_foreshortened_on_a_turned_face():
    faces = torch.stack((canonical_mesh(), canonical_mesh()))
    faces[1, :, 0] = 0.5 + (faces[1, :, 0] - 0.5) * 0.6
    flow = apply(slimming.head_morph, faces, degree=0.85)
    ways = flow[:, 0].abs().flatten(1).amax(1)
    assert (ways[1] / ways[0]).item() == pytest.approx(0.6, abs=0.08)


def test_effects_by_hand():
    """A photo drawn in by a tenth about its middle column; a photo magnified by a tenth."""
    points, size = canonical_mesh()[None], 256
    offset = warp.pixel_grid(size, size, points) - (size - 1) / 2
    narrower = offset * torch.tensor([0.1, 0.0]).view(1, 2, 1, 1)
    face = points[:, 454, 0] - points[:, 234, 0]
    widest = points[:, 323, 0] - points[:, 93, 0]
    expected = (widest / face * (1 - 1 / 1.1)).item()
    effect = slimming.effect(narrower, points, size, size).item()
    assert effect == pytest.approx(expected, abs=0.004)
    assert slimming.effect(-narrower, points, size, size).item() < -0.02
    larger = offset * (1 / 1.1 - 1)
    assert eyes.effect(larger, points, size, size).item() == pytest.approx(0.1, abs=0.001)


def test_strength_is_even_in_its_logarithm():
    span = Span(0.01, 0.04, 0.16)
    strength = span.at(torch.tensor([0.0, 1e-6, BULK / 2, BULK, (1 + BULK) / 2, 1.0]))
    expected = torch.tensor([0.0, 0.01, 0.02, 0.04, 0.08, 0.16])
    torch.testing.assert_close(strength, expected, atol=1e-5, rtol=1e-3)
