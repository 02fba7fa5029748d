"""WaveFRRExpert: identity laws, IDEM's equations, warping, parts that add up."""

import pytest
import torch

from frr.models.mofrr.expert import LOW_SCALE, WaveFRRExpert
from frr.models.mofrr.idem import IDEM
from frr.models.mofrr.shared import SharedExpert
from frr.models.mofrr.warping import warp
from frr.models.wavelets import haar_synthesis


def disturbed(network):
    """The network with every weight moved, so that nothing is zero by initialisation."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return network.eval()


HEADS = {"plain": {}, "warping": {"has_warp_head": True}, "toning": {"has_tone_head": True}}
HEADS["both"] = HEADS["warping"] | HEADS["toning"]


@pytest.fixture(scope="module", params=HEADS)
def expert(request):
    return disturbed(WaveFRRExpert(**HEADS[request.param]))


@pytest.mark.parametrize("size", [(64, 64), (37, 51), (1, 5), (17, 16)])
@pytest.mark.parametrize("network", [WaveFRRExpert, SharedExpert])
def test_is_the_identity_at_initialisation(network, size):
    photo = torch.rand(2, 3, *size) * 2 - 1
    output = network().eval()(photo)
    assert torch.equal(output.image, photo)
    assert torch.equal(output.residual, torch.zeros_like(photo))
    assert output.flow is None


def test_degree_zero_is_the_identity_whatever_the_weights(expert):
    photo = torch.rand(2, 3, 40, 48) * 2 - 1
    output = expert(photo, degree=torch.tensor([0.0, 0.7]))
    assert torch.equal(output.image[0], photo[0])
    assert not torch.allclose(output.image[1], photo[1], atol=1e-3)


def test_image_is_the_warped_photo_plus_the_residual(expert):
    photo = torch.rand(1, 3, 64, 64) * 2 - 1
    output = expert(photo, degree=torch.tensor([0.5]))
    if output.flow is None:
        assert not expert.config.has_warp_head and torch.equal(output.warped, photo)
    else:
        assert expert.config.has_warp_head and output.flow.shape == (1, 2, 64, 64)
        moved = warp(photo, output.flow) + output.residual
        assert torch.allclose(output.image, moved, atol=1e-5)


def test_reconstruction_is_the_inverse_transform_of_the_refined_bands(expert):
    photo, degree = torch.rand(1, 3, 64, 64) * 2 - 1, torch.tensor([0.8])
    condition = expert.prepare(photo, degree)
    low = condition.low + torch.randn_like(condition.low) * 0.1
    coarse, fine = expert.refine_details(low, condition)
    level_1 = haar_synthesis(low * LOW_SCALE, condition.details[0] + coarse)
    expected = haar_synthesis(level_1, condition.details[1] + fine)
    assert torch.allclose(expert.reconstruct(low, condition).image, expected, atol=1e-4)


def test_batch_equals_single(expert):
    photos = torch.rand(3, 3, 32, 48) * 2 - 1
    latents = torch.randn(3, *expert.latent_shape(32, 48))
    together = expert(photos, latents=latents).image
    alone = [expert(photos[i : i + 1], latents=latents[i : i + 1]).image for i in range(3)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)


def test_latent_shape_is_the_low_band(expert):
    for height, width in [(64, 64), (65, 30), (1, 1)]:
        photo = torch.zeros(1, 3, height, width)
        assert expert.prepare(photo, torch.ones(1)).low.shape[1:] == expert.latent_shape(
            height, width
        )


def test_the_estimated_degree_is_an_expectation_over_the_levels(expert):
    logits, degree = expert.estimate_degree(torch.rand(2, 3, 48, 48) * 2 - 1)
    levels = torch.tensor([0.2, 0.4, 0.6, 0.8, 1.0])
    assert torch.allclose(degree, (logits.softmax(1) * levels).sum(1))


def test_every_part_learns():
    expert = disturbed(WaveFRRExpert(has_warp_head=True)).train()
    photo = torch.rand(2, 3, 32, 32) * 2 - 1
    logits, degree = expert.estimate_degree(photo)
    latents = torch.randn(2, *expert.latent_shape(32, 32))
    (expert(photo, degree, latents).image.square().mean() + logits.square().mean()).backward()
    silent = {
        name
        for name, parameter in expert.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    }
    # a bias in front of a normalisation, and a key's bias inside softmax, cannot have a gradient
    assert not {name for name in silent if "bias" not in name}


def test_epsilon_prediction_is_the_raw_noise_estimate():
    expert = WaveFRRExpert(prediction_type="epsilon").eval()
    condition = expert.prepare(torch.rand(1, 3, 32, 32), torch.ones(1))
    prediction = expert.denoise(torch.randn_like(condition.low), 500, condition).prediction
    assert torch.equal(prediction, torch.zeros_like(prediction))
    with pytest.raises(ValueError, match="velocity"):
        WaveFRRExpert(prediction_type="velocity")


def test_idem_is_its_two_equations():
    idem = disturbed(IDEM(8))
    degree, low, noisy = (
        torch.full((2, 1, 8, 8), 0.4),
        torch.randn(2, 3, 8, 8),
        torch.randn(2, 3, 8, 8),
    )
    z, x, y = idem.degree_features(degree), idem.low_features(low), idem.noisy_features(noisy)
    first = idem.degree_attention(z + x)
    fused = first * x + (1 - first) * z
    second = idem.noisy_attention(fused + y)
    expected = idem.projection(second * y + (1 - second) * fused)
    assert torch.allclose(idem(degree, low, noisy), expected)
    assert first.min() > 0 and first.max() < 1


def test_warp_by_whole_pixels_and_by_halves():
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    flow = torch.zeros(1, 2, 3, 4)
    assert torch.equal(warp(image, flow), image)
    flow[:, 0] = 1  # take the pixel to the right; the edge repeats
    expected = torch.tensor([[1.0, 2, 3, 3], [5, 6, 7, 7], [9, 10, 11, 11]])
    assert torch.allclose(warp(image, flow)[0, 0], expected, atol=1e-4)
    flow[:, 0], flow[:, 1] = 0, 0.5  # halfway to the pixel below
    assert torch.allclose(warp(image, flow)[0, 0, :2], image[0, 0, :2] + 2, atol=1e-5)


def test_half_precision_stays_close():
    expert = disturbed(WaveFRRExpert(has_warp_head=True))
    photo, degree = torch.rand(1, 3, 32, 32) * 2 - 1, torch.tensor([0.5])
    exact = expert(photo, degree).image
    expert.bfloat16()
    rough = expert(photo.bfloat16(), degree.bfloat16()).image
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).abs().mean() < 0.05
