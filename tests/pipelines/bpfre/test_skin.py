"""The third stage: strengths, kinds, findings, masks, saving, and old folders without it."""

import pytest
import tiny_bpfre
import torch

from frr.models.bpfre.healer import SkinHealer
from frr.models.bpfre.healing import SkinMaps
from frr.models.bpfre.kinds import KINDS
from frr.pipelines.bpfre.memory import bytes_for_picture
from frr.pipelines.bpfre.output import Retouched
from frr.pipelines.bpfre.pipeline import BPFRePipeline
from frr.pipelines.bpfre.regions import boxes_of
from frr.pipelines.bpfre.skin import SPOTS_ONLY, amounts_of

HEIGHT, WIDTH = 256, 288
SPOT = (slice(109, 114), slice(140, 145))
NEAR = (slice(100, 124), slice(130, 156))


class Knowing(SkinHealer):
    """Finds skin everywhere, and confirms marks near the spot alone."""

    def forward(self, photo, amounts):
        spots = photo.new_zeros(len(photo), 1, *photo.shape[-2:])
        scale = photo.shape[-2] / HEIGHT
        rows, columns = (slice(int(n.start * scale), int(n.stop * scale)) for n in NEAR)
        spots[..., rows, columns] = 1
        return SkinMaps(torch.ones_like(spots), spots, torch.zeros_like(spots))


@pytest.fixture(scope="module")
def healer():
    torch.manual_seed(0)
    return Knowing(channels=(8, 8, 8), context=4, width=8)


@pytest.fixture
def pipe(healer) -> BPFRePipeline:
    return tiny_bpfre.pipeline(healer=healer)


@pytest.fixture
def photo() -> torch.Tensor:
    """Skin with grain, a red spot and a wave of tone, 1 3 256 288 in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    grain = 0.004 * torch.randn(1, 1, HEIGHT, WIDTH, generator=generator)
    photo = torch.tensor([0.75, 0.55, 0.45])[None, :, None, None] + grain
    photo[(0, slice(1, 3), *SPOT)] -= 0.2
    return photo + 0.03 * torch.sin(torch.arange(float(WIDTH)) / 3)


def test_a_strength_means_spots_first_then_tone():
    assert float(amounts_of(0.0).abs().max()) == 0
    first = amounts_of(SPOTS_ONLY)
    assert float(first[0]) > 0 and float(first[1:].max()) == 0
    assert amounts_of(1.0).tolist() == [1.0] * len(KINDS)
    for kind, low, high in zip(KINDS, amounts_of(0.4), amounts_of(0.7), strict=True):
        assert 0 < float(low) < float(high) < 1, kind
    only = amounts_of(1.0, ["shine"])
    assert float(only.sum()) == 1 and float(only[KINDS.index("shine")]) == 1
    with pytest.raises(ValueError, match="unknown kind 'warts'; choose from spots, redness"):
        amounts_of(1.0, ["warts"])


def test_strength_zero_keeps_every_bit_and_spots_alone_keep_the_rest(pipe, photo):
    assert torch.equal(pipe(photo, strength=0.0, output_type="pt").images, photo)
    without = tiny_bpfre.pipeline()(photo, strength=SPOTS_ONLY, output_type="pt").images
    healed = pipe(photo, strength=SPOTS_ONLY, output_type="pt").images
    changed = (healed != without).any(1)[0]
    assert changed[SPOT].all()
    changed[NEAR] = False
    assert not changed.any()


def test_kinds_can_be_left_out(pipe, photo):
    tone = [kind for kind in KINDS if kind != "spots"]
    output = pipe(photo, kinds=tone, output_type="pt")
    assert not [found for found in output.findings[0] if found.kind == "spots"]
    assert float((output.images - photo)[(..., *SPOT)].abs().mean()) < 0.05
    assert torch.equal(pipe(photo, kinds=[], output_type="pt").images, photo)
    with pytest.raises(ValueError, match="no healer to choose kinds for"):
        tiny_bpfre.pipeline()(photo, kinds=["spots"])


@pytest.mark.parametrize("scale", [1, 3])
def test_findings_say_what_and_where(pipe, photo, scale):
    output = pipe(torch.nn.functional.interpolate(photo, scale_factor=scale), output_type="pt")
    spots = [found for found in output.findings[0] if found.kind == "spots"]
    assert len(spots) < 5 and spots[0].change > 30, "the spot comes first, grain may follow"
    left, top, right, bottom = (edge / scale for edge in spots[0].box)
    assert 134 <= left <= 140 and 103 <= top <= 109 and 145 <= right <= 151 and 114 <= bottom <= 120
    assert tiny_bpfre.pipeline()(photo, output_type="pt").findings is None


def test_a_mole_that_earlier_stages_took_away_comes_back(pipe, photo):
    mole = photo.clone()
    mole[(..., *SPOT)] = torch.tensor([0.35, 0.26, 0.21])[None, :, None, None]
    gone = photo.clone()
    gone[(..., *SPOT)] = torch.tensor([0.75, 0.55, 0.45])[None, :, None, None]
    empty = torch.zeros(1, 2, HEIGHT, WIDTH)
    everywhere = torch.ones(1, 1, 1, 1)
    found = pipe.heal(Retouched(gone, gone, empty), mole, pipe.amounts(1.0), everywhere)
    assert float((found.images - mole)[(..., *SPOT)].abs().max()) < 0.02
    assert torch.equal(gone[(..., *SPOT)].amax((2, 3)), torch.tensor([[0.75, 0.55, 0.45]]))


def test_masks_bound_the_healing(pipe, photo):
    mask = torch.zeros(HEIGHT, WIDTH)
    mask[:128] = 1
    free = pipe(photo, output_type="pt").images
    inside = pipe(photo, mask=mask, output_type="pt").images
    assert torch.equal(inside[:, :, 128:], photo[:, :, 128:])
    torch.testing.assert_close(inside[:, :, :120], free[:, :, :120], atol=0.03, rtol=0)
    kept = pipe(photo, preserve=torch.ones(HEIGHT, WIDTH), output_type="pt").images
    assert torch.equal(kept, photo)


def test_it_looks_at_its_own_size_and_acts_on_the_photos_pixels(healer, photo):
    pipe = tiny_bpfre.pipeline(healer=healer, healing_size=64)
    output = pipe(photo, strength=SPOTS_ONLY, output_type="pt")
    assert output.images.shape == photo.shape
    with pytest.raises(ValueError, match="healing_size of at least"):
        tiny_bpfre.pipeline(healing_size=8)


def test_saved_and_loaded_it_heals_the_same_and_older_folders_have_none(photo, tmp_path):
    torch.manual_seed(1)
    healer = SkinHealer(channels=(8, 8, 8), context=4, width=8)
    healer.exit.bias.data.fill_(1.0)
    healer.overview.exit.bias.data.fill_(2.0)
    pipe = tiny_bpfre.pipeline(healer=healer)
    pipe.save_pretrained(tmp_path / "with")
    loaded = BPFRePipeline.from_pretrained(tmp_path / "with")
    assert isinstance(loaded.healer, SkinHealer)
    expected = pipe(photo, output_type="pt").images
    torch.testing.assert_close(loaded(photo, output_type="pt").images, expected, atol=1e-5, rtol=0)
    assert not torch.equal(expected, tiny_bpfre.pipeline()(photo, output_type="pt").images)
    tiny_bpfre.pipeline().save_pretrained(tmp_path / "without")
    assert BPFRePipeline.from_pretrained(tmp_path / "without").healer is None


def test_boxes_go_around_connected_regions():
    mask = torch.zeros(60, 400, dtype=torch.bool)
    mask[5:9, 20:30] = True
    mask[40:60, 300:400] = True
    mask[50, 100] = True
    assert sorted(boxes_of(mask)) == [(20, 5, 30, 9), (100, 50, 101, 51), (300, 40, 400, 60)]
    assert sorted(boxes_of(mask, least=10)) == [(20, 5, 30, 9), (300, 40, 400, 60)]
    assert boxes_of(torch.zeros(5, 5, dtype=torch.bool)) == []


def test_memory_is_asked_for_by_pixels():
    healer = SkinHealer()
    assert bytes_for_picture(healer, 512, 512) == 4 * bytes_for_picture(healer, 256, 256) > 2**24
