"""How many steps are enough."""

import pytest


def test_the_fewest_steps_within_a_tenth_of_a_decibel():
    from benchmarks.steps import fewest_steps

    assert fewest_steps({1: 36.26, 2: 36.27, 10: 36.28}) == 1
    assert fewest_steps({1: 36.1, 2: 36.19, 10: 36.28}) == 2
    assert fewest_steps({1: 30.0, 10: 36.28}) == 10
    assert fewest_steps({1: 37.0, 10: 36.28}) == 1


def test_the_mean_counts_photos():
    from benchmarks.steps import Quality, mean_of, table

    rows = [
        Quality("whitening", 1, 20.0, 30.0, 0.8, 0.9),
        Quality("mixed", 3, 24.0, 34.0, 0.6, 0.7),
    ]
    mean = mean_of(rows)
    assert mean.photos == 4 and mean.psnr == 33.0 and mean.copy_psnr == 23.0
    assert mean.ssim == pytest.approx(0.75)
    text = table({1: [*rows, mean], 10: [*rows, mean]})
    assert "| all | 23.00 dB / 0.6500 | 33.00 dB / 0.7500 | 33.00 dB / 0.7500 |" in text
