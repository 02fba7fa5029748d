"""BPFRe's networks: shapes, what gates and holes guarantee, gradients, StyleGAN2's convolution."""

import pytest
import torch
import torch.nn.functional as F

from frr.models.bpfre.attention import FloorAtZero
from frr.models.bpfre.critic import PixelCritic
from frr.models.bpfre.retoucher import BlemishRetoucher
from frr.models.bpfre.synthesis import ModulatedConv
from frr.models.bpfre.views import fill_smoothly

SMALL = {"channels": (8, 8, 12), "attention_width": 8, "style_width": 8}


def shaken(**more) -> BlemishRetoucher:
    """A small network whose zero-initialised layers have random weights."""
    torch.manual_seed(1)
    network = BlemishRetoucher(**SMALL, **more).eval()
    for parameter in network.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.05)
    return network


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (5, 3)])
def test_any_size_comes_back_in_its_size(size):
    output = shaken()(torch.rand(2, 3, *size) * 2 - 1)
    assert output.coarse.shape == output.refined.shape == (2, 3, *size)
    assert output.coarse_map.shape == output.refined_map.shape == (2, 1, *size)
    assert all(torch.isfinite(each).all() for each in output)
    assert output.coarse_map.min() >= 0 and output.refined_map.min() >= 0


def test_an_untrained_network_changes_nothing():
    photo = torch.rand(1, 3, 32, 32) * 2 - 1
    output = BlemishRetoucher(**SMALL).eval()(photo)
    assert torch.equal(output.coarse, photo) and torch.equal(output.refined, photo)


def test_where_both_maps_are_zero_the_photo_stays():
    network = shaken()
    for attention in (network.e2d, network.d2g):
        attention.map_head.bias.data.fill_(-50.0)
    photo = torch.rand(1, 3, 32, 32) * 2 - 1
    output = network(photo)
    assert output.coarse_map.max() == 0
    assert torch.equal(output.refined, photo)


def test_finding_alone_gives_the_map_of_the_whole_network():
    network = shaken()
    photo = torch.rand(2, 3, 30, 41) * 2 - 1
    found = network.find(photo)
    assert found.shape == (2, 1, 30, 41) and found.max() > 0
    assert torch.equal(found, network(photo).coarse_map)


def test_opening_grows_from_zero_to_one():
    shares = BlemishRetoucher(**SMALL).openness(torch.tensor([0.0, 0.03, 10.0]))
    torch.testing.assert_close(shares, torch.tensor([0.0, 1 - 1 / torch.e, 1.0]))


def test_every_parameter_learns():
    network = shaken().train()
    output = network(torch.rand(2, 3, 32, 32) * 2 - 1, noise=True)
    sum(each.square().sum() for each in output).backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.abs().any()]
    assert idle == []


def test_a_floor_still_lifts_what_lies_below_it_and_pushes_nothing_further_down():
    values = torch.tensor([-1.0, -1.0, 2.0, 2.0], requires_grad=True)
    floored = FloorAtZero.apply(values)
    assert floored.tolist() == [0, 0, 2, 2]
    floored.backward(torch.tensor([1.0, -1.0, 1.0, -1.0]))
    assert values.grad.tolist() == [0, -1, 1, -1]


def test_modulated_convolution_is_stylegan2s():
    """Against weights modulated and demodulated one sample at a time."""
    layer = ModulatedConv(4, 6, 5)
    layer.bias.data.normal_()
    features, style = torch.randn(3, 4, 8, 8), torch.randn(3, 5)
    expected = []
    for sample, scale in zip(features, layer.affine(style), strict=True):
        weight = layer.weight * scale[:, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        expected.append(F.conv2d(sample[None], weight, layer.bias, padding=1))
    expected = F.leaky_relu(torch.cat(expected), 0.2) * 2**0.5
    torch.testing.assert_close(layer(features, style, False), expected, atol=1e-5, rtol=1e-4)


def test_noise_changes_the_result_only_when_asked():
    network = shaken()
    photo = torch.rand(1, 3, 32, 32) * 2 - 1
    assert torch.equal(network(photo).refined, network(photo).refined)
    assert not torch.equal(network(photo, noise=True).refined, network(photo, noise=True).refined)


@pytest.mark.parametrize("size", [(32, 32), (7, 45), (1, 9)])
def test_holes_are_filled_with_what_surrounds_them(size):
    torch.manual_seed(0)
    hole = (torch.rand(2, 1, *size) < 0.7).float()
    hole[..., :2] = 0
    plain = torch.tensor([0.5, -0.25, 0.125])[:, None, None].expand(2, -1, *size)
    torch.testing.assert_close(fill_smoothly(plain * (1 - hole), hole), plain)
    photo = torch.rand(2, 3, *size) * 2 - 1
    filled = fill_smoothly(photo, hole)
    kept = (hole == 0).expand_as(photo)
    assert torch.equal(filled[kept], photo[kept])
    assert torch.equal(filled, fill_smoothly(photo + hole, hole))  # what it held does not matter
    assert filled.amax() <= photo[kept].max() and filled.amin() >= photo[kept].min()
    assert not fill_smoothly(photo, torch.ones_like(hole)).any()


def test_inpainting_edits_exactly_the_hole():
    network = shaken(inpainting=True)
    photo = torch.rand(1, 3, 32, 32) * 2 - 1
    hole = torch.zeros(1, 1, 32, 32)
    hole[..., 8:16, 8:16] = 1
    output = network(photo * (1 - hole), hole=hole)
    kept = (hole == 0).expand_as(photo)
    assert torch.equal(output.refined[kept], photo[kept])
    assert output.refined[~kept].abs().min() > 0


def test_wrong_inputs_are_named():
    with pytest.raises(ValueError, match="B 3 H W"):
        shaken()(torch.zeros(3, 8, 8))
    with pytest.raises(ValueError, match="without a hole"):
        shaken()(torch.zeros(1, 3, 8, 8), hole=torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match="photo and hole"):
        shaken(inpainting=True)(torch.zeros(1, 3, 8, 8))


def test_save_and_load(tmp_path):
    network = shaken()
    network.save_pretrained(tmp_path)
    photo = torch.rand(1, 3, 32, 32) * 2 - 1
    again = BlemishRetoucher.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(photo).refined, network(photo).refined, atol=1e-5, rtol=0)


def test_critic_gives_one_logit_a_pixel_and_refuses_odd_sides():
    critic = PixelCritic(channels=(8, 8))
    assert critic(torch.zeros(2, 3, 16, 24)).shape == (2, 1, 16, 24)
    with pytest.raises(ValueError, match="multiples of 4"):
        critic(torch.zeros(1, 3, 18, 16))
