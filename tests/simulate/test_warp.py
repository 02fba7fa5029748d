"""Flows in pixels: sampling, joining, undoing, meshes, and surfaces through scattered anchors."""

import pytest
import torch

from frr.pipelines.simulate import scattered, warp


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
    with pytest.raises(ValueError, match="area"):
        warp.warp_image(torch.zeros(1, 1, 4, 4), torch.zeros(1, 2, 4, 4), "area")


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
    "thin_plate": lambda anchors, values: scattered.thin_plate_spline(
        anchors, values, torch.tensor([40.0]), 1e-5
    ),
    "gaussian": lambda anchors, values: scattered.gaussian_interpolation(
        anchors, values, torch.tensor([9.0])
    ),
    "shepard": lambda anchors, values: scattered.shepard_interpolation(
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
    spline = scattered.thin_plate_spline(
        anchors, anchors @ linear + offset, torch.tensor([30.0, 60.0])
    )
    position = warp.pixel_grid(50, 50, anchors)
    exact = torch.einsum("bihw,io->bohw", position, linear) + offset.view(1, 2, 1, 1)
    torch.testing.assert_close(spline(position), exact.expand(2, -1, -1, -1), atol=5e-3, rtol=0)


def _wave(height=96, width=120):
    """A smooth flow that stays within the photo."""
    x, y = warp.pixel_grid(height, width, torch.zeros(())).unbind(1)
    window = (torch.pi * (x + 0.5) / width).sin() * (torch.pi * (y + 0.5) / height).sin()
    return torch.stack((3 * window * (y / 12).cos(), 2 * window * (x / 15).sin()), dim=1)


def test_three_warps_join_into_one():
    flows = [_wave(), 0.7 * _wave().flip(-1), -0.5 * _wave().flip(-2)]
    x, y = warp.pixel_grid(96, 120, flows[0]).unbind(1)
    image = (0.01 * x * y + x - y)[:, None]
    in_turn = image
    for flow in flows:
        in_turn = warp.warp_image(in_turn, flow)
    once = warp.warp_image(image, warp.compose_flows(*flows))
    assert (in_turn - once)[..., 6:-6, 6:-6].abs().max() < 0.05
    summed = warp.warp_image(image, sum(flows))
    assert (in_turn - summed)[..., 6:-6, 6:-6].abs().max() > 0.3


@pytest.mark.parametrize("size", [(96, 120), (61, 83), (7, 9)])
def test_the_inverse_undoes_a_flow_of_any_size(size):
    flow = _wave(*size) * min(size) / 96
    left = warp.compose_flows(flow, warp.invert_flow(flow)).norm(dim=1)
    assert left[:, 2:-2, 2:-2].max() < 0.02


def test_points_go_where_the_photo_goes():
    flow = _wave()
    points = torch.tensor([[[30.0, 40.0], [60.5, 20.25], [90.0, 70.0]]])
    moved = warp.move_points(points, flow)
    x, y = warp.pixel_grid(96, 120, flow).unbind(1)
    for start, end in zip(points[0], moved[0], strict=True):
        spot = torch.exp(-((x - start[0]).square() + (y - start[1]).square()) / 8)
        warped = warp.warp_image(spot[:, None], flow)[:, 0]
        peak = torch.stack(((warped * x).sum(), (warped * y).sum())) / warped.sum()
        assert (peak - end).norm() < 0.15


def test_nearest_sampling_makes_no_new_values():
    image = torch.rand(1, 3, 96, 120)
    warped = warp.warp_image(image, _wave(), "nearest")
    assert torch.isin(warped, image).all()
    assert not torch.equal(warped, image)


def test_a_mesh_keeps_its_nodes_and_is_straight_between_them():
    flow = _wave(97, 129)
    coarse = warp.linear_mesh(flow, torch.tensor([12]))  # cells of 8 px
    torch.testing.assert_close(coarse[..., ::8, ::8], flow[..., ::8, ::8], atol=1e-4, rtol=0)
    bend = coarse[..., 2:] - 2 * coarse[..., 1:-1] + coarse[..., :-2]
    inside = torch.arange(1, 128) % 8 != 0
    assert bend[..., inside].abs().max() < 1e-4
    assert (coarse - flow).abs().max() > 0.05
    finer = warp.linear_mesh(flow, torch.tensor([48]))
    assert (finer - flow).abs().max() < (coarse - flow).abs().max() / 8


def test_meshes_of_one_batch_may_differ():
    flow = _wave().expand(2, -1, -1, -1)
    both = warp.linear_mesh(flow, torch.tensor([20, 45]))
    for row, cells in enumerate((20, 45)):
        alone = warp.linear_mesh(flow[:1], torch.tensor([cells]))
        torch.testing.assert_close(both[row : row + 1], alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("middle", [(60.0, 50.0), (20.0, 85.0), (115.0, 5.0)])
def test_a_box_evaluated_exactly_equals_every_pixel(middle):
    centre = torch.tensor([middle, (50.0, 44.0)])

    def field(position):
        offset = position - centre[:, :, None, None]
        room = (1 - offset.norm(dim=1, keepdim=True) / 17.3).clamp_min(0)  # a kink at both ends
        return room * offset

    exact = warp.exact_flow(field, 96, 120, centre - 17.3, centre + 17.3)
    everywhere = warp.smooth_flow(field, 96, 120, centre, 96)
    torch.testing.assert_close(exact, everywhere, atol=1e-4, rtol=0)
