"""The texture that samples draw: its bands, its noise, and what draws hang on."""

import math

import pytest
import torch

from frr.models.mofrr.texture_diffusion import (
    LEAST,
    MOST,
    TextureDiffusion,
    from_bands,
    make_schedule,
    to_bands,
    turns,
)
from frr.models.mofrr.texture_expert import TextureExpert


def photos(*size, count=2):
    return torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(3)) * 2 - 1


def seeds(*numbers):
    return [torch.Generator().manual_seed(number) for number in numbers]


@pytest.fixture(scope="module")
def expert():
    torch.manual_seed(0)
    made = TextureExpert(width=8, context_width=8, diffusion_width=8).eval()
    for layer in (made.diffusion.exit, made.diffusion.scale[-1]):
        torch.nn.init.normal_(layer.weight, std=0.05)
    return made


def draw(expert, photo, *numbers, degree=0.5):
    told = torch.full((len(photo),), degree)
    with torch.no_grad():
        return expert.draw(photo, 0.05 * photo, told, seeds(*numbers))


def test_bands_go_there_and_back():
    photo = photos(10, 14)
    bands = to_bands(photo)
    assert bands.shape == (2, 12, 5, 7)
    grey = photo[:, :, 2:4, 4:6].sum((1, 2, 3)) / 2 / 3**0.5
    assert torch.allclose(bands[:, 0, 1, 2], grey, atol=1e-6)
    assert bands.square().sum() == pytest.approx(photo.square().sum().item(), rel=1e-5)
    colourless = to_bands(photo[:, :1].expand(-1, 3, -1, -1)).unflatten(1, (4, 3))
    assert colourless[:, 0, 1:].abs().max() < 1e-5
    torch.testing.assert_close(from_bands(bands), photo)


def test_the_noise_reaches_from_least_to_most():
    scheduler = make_schedule()
    kept = scheduler.alphas_cumprod.double()
    spread = ((1 - kept) / kept).sqrt()
    assert spread[0].item() == pytest.approx(LEAST, rel=1e-3)
    assert spread[-1].item() == pytest.approx(MOST, rel=1e-2)
    scheduler.set_timesteps(4)
    assert sum(turns(scheduler)) == pytest.approx(math.atan(MOST), abs=1e-3)
    assert max(turns(scheduler)) - min(turns(scheduler)) < 0.05


@pytest.mark.parametrize("steps", [2, 4, 10])
def test_without_structure_noise_of_the_scale_comes_out(steps):
    torch.manual_seed(0)
    network = TextureDiffusion(8).eval()
    photo, noise = photos(64, 64), torch.randn(2, 12, 32, 32)
    with torch.no_grad():
        drawn = network.draw(photo, photo * 0, torch.ones(2), noise, steps)
        scale = network.prepare(photo, photo * 0, torch.ones(2)).scale
    torch.testing.assert_close(to_bands(drawn), noise * scale, atol=1e-4, rtol=1e-3)


def test_a_photo_is_drawn_alike_alone_and_among_others(expert):
    photo = photos(33, 50)
    both = draw(expert, photo, 5, 6)
    assert both.shape == photo.shape and both.std() > 1e-3
    assert torch.allclose(both[1:], draw(expert, photo[1:], 6), atol=1e-6)
    assert not torch.allclose(both[0], draw(expert, photo, 7, 6)[0], atol=1e-3)


def test_drawn_texture_brings_no_light(expert):
    drawn = draw(expert, photos(256, 256, count=1), 1)
    assert drawn.mean().abs() < 0.02 * drawn.std()
    coarse = torch.nn.functional.avg_pool2d(drawn, 64)
    assert coarse.std() < 0.02 * drawn.std()


def test_what_is_off_costs_nothing_and_says_so():
    plain = TextureExpert(width=8, context_width=8)
    assert not any("diffusion" in name for name in plain.state_dict())
    with pytest.raises(ValueError, match="diffusion_width is 0"):
        draw(plain, photos(16, 16), 0, 1)
    with pytest.raises(ValueError, match="one step draws but the mean"):
        TextureExpert(diffusion_steps=1)
