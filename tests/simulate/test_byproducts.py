"""By-products: what comes beside an operation, and what it must leave alone."""

import pytest
import torch

from frr.pipelines.simulate import byproducts
from frr.pipelines.simulate.colour import luma, unit
from frr.pipelines.simulate.landmarks import FaceRegions, canonical_mesh

SIZE = 96
every_byproduct = pytest.mark.parametrize("name", byproducts.BYPRODUCTS)


def portraits(count=1):
    """Noise on a ramp of skin tones: B 3 H W in [-1, 1]."""
    skin = torch.tensor((0.3, 0.0, -0.2)).view(1, 3, 1, 1) + torch.linspace(-0.3, 0.3, SIZE)
    return (skin + 0.05 * torch.randn(count, 1, SIZE, SIZE)).clamp(-1, 1)


def apply(name, images, amounts, variations=(0.5, 0.5, 0.5, 0.5)):
    face = FaceRegions(canonical_mesh().expand(len(images), -1, -1), SIZE, SIZE, images)
    variations = torch.tensor([variations]).expand(len(images), -1)
    return byproducts.BYPRODUCTS[name](images, torch.tensor(amounts), variations, face)


@every_byproduct
def test_amount_zero_changes_no_bit_of_its_sample(name):
    images = portraits(3)
    image = apply(name, images, [0.0, 0.8, 0.0])
    assert torch.equal(image[::2], images[::2])
    assert not torch.equal(image[1], images[1])


@every_byproduct
def test_the_effect_grows_with_the_amount(name):
    images = portraits().expand(3, -1, -1, -1)
    error = (apply(name, images, [0.1, 0.5, 1.0]) - images).square().mean((1, 2, 3)).sqrt()
    assert error[0] > 0.0005
    assert (error.diff() > 0.001).all()
    assert error[-1] < 0.25


@every_byproduct
def test_a_sample_does_not_depend_on_its_batch(name):
    images, amounts, variations = portraits(3), torch.tensor([0.2, 0.6, 1.0]), torch.rand(3, 4)

    def run(rows):
        points = canonical_mesh().expand(len(images[rows]), -1, -1)
        face = FaceRegions(points, SIZE, SIZE, images[rows])
        return byproducts.BYPRODUCTS[name](images[rows], amounts[rows], variations[rows], face)

    assert torch.allclose(run(slice(None))[1:2], run(slice(1, 2)), atol=1e-5)


@pytest.mark.parametrize("kind", [0.1, 0.5, 0.9])
def test_sharpening_adds_detail_and_keeps_the_tone(kind):
    images = portraits()
    image = apply("sharpening", images, [0.9], (kind, 0.5, 0.5, 0.5))
    change = unit(image) - unit(images)
    assert change.mean().abs() < 1e-3
    changed = change.abs().amax(1) > 1e-4
    eye = (canonical_mesh()[468] * SIZE).long()
    near = (0, slice(eye[1] - 2, eye[1] + 3), slice(eye[0] - 2, eye[0] + 3))
    assert changed[near].any()
    assert changed[0, :8].any() == (kind > 0.3)  # features only: the background stays


def test_luma_sharpening_keeps_colour_differences():
    images = portraits() * 0.5
    change = unit(apply("sharpening", images, [0.9], (0.9, 0.5, 0.5, 0.5))) - unit(images)
    assert torch.allclose(change[:, 0], change[:, 2], atol=1e-5)


def test_a_tint_leaves_texture_alone():
    images = portraits()
    image = apply("tint", images, [0.8], (0.9, 0.2, 0.7, 0.3))
    before, after = (luma(unit(one)).diff(dim=-1) for one in (images, image))
    assert after.std().item() == pytest.approx(before.std().item(), rel=0.2)


def test_phones_lift_shadows_more_than_lights():
    images = torch.linspace(-0.9, 0.9, SIZE).expand(1, 3, SIZE, SIZE).contiguous()
    image = apply("phone_camera", images, [1.0], (1.0, 0.5, 0.0, 0.0))
    rise = (unit(image) - unit(images))[0, 1, 48]
    assert rise[20] > 0.02
    assert rise[20] > 3 * rise[80].abs()
