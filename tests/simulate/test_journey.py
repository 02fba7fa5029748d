"""Journeys of a photo's file: sizes, kernels, JPEG blocks where they should lie, and draws."""

import numpy as np
import pytest
import torch

from frr.pipelines.simulate.journey import (
    KERNELS,
    LONGEST,
    Journey,
    Save,
    sample_journey,
    travel,
)


def noise(side=32, seed=0, channels=3):
    """1 3 side side on the levels of 8-bit files."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(60, 200, size=(1, channels, side, side))
    return torch.from_numpy(levels).float().expand(1, 3, -1, -1) / 127.5 - 1


def sent(image, *saves):
    return travel(image, [Journey(saves)])


@pytest.mark.parametrize(
    ("save", "said"),
    [
        (Save(kernel="nearest"), "kernel"),
        (Save(subsampling="4:1:1"), "subsampling"),
        (Save(quality=0), "quality of 1 to 100, got 0"),
        (Save(quality=101), "got 101"),
        (Save(side=7), "at least 8 pixels, got 7"),
        (Save(offset=(0, 8)), "0 to 7"),
        (Save(offset=(-1, 0)), "0 to 7"),
    ],
)
def test_what_no_file_has_is_refused(save, said):
    with pytest.raises(ValueError, match=said):
        Journey((Save(), save))


def test_a_journey_without_saves_changes_nothing_but_the_levels():
    photo = noise()
    assert torch.allclose(sent(photo), photo, atol=1e-6)
    between = photo + 0.3 / 127.5
    assert torch.allclose(sent(between), photo, atol=1e-6)
    assert sent(photo.double()).dtype == torch.float64


def test_lossless_saves_of_one_size_change_nothing():
    photo = noise()
    assert torch.allclose(sent(photo, Save(offset=(3, 5)), Save(side=32)), photo, atol=1e-6)


def test_one_journey_for_each_photo_and_one_size_for_all():
    photos = noise().repeat(2, 1, 1, 1)
    with pytest.raises(ValueError, match="one journey per photo, got 1 for 2"):
        travel(photos, [Journey()])
    with pytest.raises(ValueError, match="one size"):
        travel(photos, [Journey((Save(side=16),)), Journey()])
    met = travel(photos, [Journey((Save(side=16),)), Journey((Save(side=48), Save(side=16)))])
    assert met.shape == (2, 3, 16, 16)


@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_keeps_a_plain_photo_and_its_place(kernel):
    plain = torch.full((1, 3, 40, 40), 0.2)
    assert torch.allclose(sent(plain, Save(27, kernel)), sent(plain)[..., :27, :27], atol=1e-6)
    ramp = torch.linspace(-0.8, 0.8, 40).expand(1, 3, 40, 40)
    halved = sent(ramp, Save(20, kernel))[0, 0, 10]
    expected = ramp[0, 0, 0].view(20, 2).mean(1)
    assert (halved - expected)[2:-2].abs().max() < 2 / 127.5


def test_area_is_the_mean_and_a_decoder_skips_pixels():
    photo = noise(32)
    area = sent(photo, Save(8, "area"))
    assert (
        area - torch.nn.functional.avg_pool2d(photo, 4)
    ).abs().max() <= 1.01 / 127.5  # rounded twice
    skipped = photo.clone()
    skipped[..., 0::4] = skipped[..., 3::4] = 1.0  # between are the two columns that are read
    reading = Save(8, "subsampled")
    assert torch.equal(sent(photo, reading), sent(skipped, reading))
    assert not torch.equal(area, sent(skipped, Save(8, "area")))


@pytest.mark.parametrize("offset", [(0, 0), (3, 5), (7, 1)])
def test_an_offset_moves_the_blocks_of_the_jpeg(offset):
    decoded = sent(noise(96), Save(quality=5, subsampling="4:4:4", offset=offset))[0].mean(0)
    for axis, expected in ((1, offset[0]), (0, offset[1])):
        steps = decoded.diff(dim=axis).abs().mean(dim=1 - axis)[15:-1]
        phases = torch.stack([steps[phase::8].mean() for phase in range(8)])
        assert (int(phases.argmax()) + 16) % 8 == expected


def test_what_the_offset_cut_off_is_the_border_repeated():
    decoded = sent(noise(32), Save(quality=90, offset=(3, 2)))
    assert torch.equal(decoded[..., :3], decoded[..., 3:4].expand(-1, -1, -1, 3))
    assert torch.equal(decoded[..., :2, :], decoded[..., 2:3, :].expand(-1, -1, 2, -1))


def test_less_quality_and_fewer_colours_cost_more():
    photo = noise(48)

    def loss(**settings):
        return (sent(photo, Save(**settings)) - photo).square().mean()

    assert loss(quality=95) < loss(quality=70) < loss(quality=30)
    full, half, quarter = (loss(quality=100, subsampling=s) for s in ("4:4:4", "4:2:2", "4:2:0"))
    assert full < half / 4 and half < quarter


def test_sharpening_raises_the_contrast_of_edges():
    photo = noise(48, channels=1)
    plain, sharper = (sent(photo, Save(32, sharpening=s)) for s in (0.0, 0.8))
    assert sharper.diff(dim=-1).square().mean() > 1.3 * plain.diff(dim=-1).square().mean()


def test_recompressed_changes_the_qualities_alone():
    journey = Journey((Save(64, quality=90), Save(quality=None), Save(quality=45, offset=(1, 2))))
    worse = journey.recompressed(-10)
    assert [save.quality for save in worse.saves] == [80, None, 40]
    assert [save.quality for save in journey.recompressed(20).saves] == [100, None, 65]
    undone = [save._replace(quality=None) for save in worse.saves]
    assert undone == [save._replace(quality=None) for save in journey.saves]


def test_draws_follow_the_seed_and_their_bounds():
    drawn = [sample_journey(np.random.default_rng(seed), 400) for seed in range(300)]
    assert drawn[:20] == [sample_journey(np.random.default_rng(seed), 400) for seed in range(20)]
    assert len(set(drawn)) > 290
    for journey in drawn:
        first, *rest = journey.saves
        assert first.side is None and (first.quality is None or first.quality >= 85)
        assert len(rest) < LONGEST
        assert all(save.side is None or save.side >= 180 for save in rest)
        assert all(save.quality is None or 40 <= save.quality <= 97 for save in rest)
    lossless = np.mean([journey.saves[0].quality is None for journey in drawn])
    assert 0.12 < lossless < 0.28
    assert {len(journey.saves) for journey in drawn} == {1, 2, 3}


def test_small_photos_are_not_enlarged_to_the_least_side():
    drawn = [sample_journey(np.random.default_rng(seed), 100) for seed in range(50)]
    sides = [save.side for journey in drawn for save in journey.saves if save.side is not None]
    assert sides and min(sides) >= 100
