"""Metrics against numbers worked by hand and against scikit-image."""

import math

import numpy as np
import pytest
import torch

from frr.training.judging.metrics import (
    accuracy,
    balanced_accuracy,
    calibrate_threshold,
    psnr,
    roc_auc,
    ssim,
)


def photos(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_psnr_by_hand_one_value_per_photo():
    a = torch.zeros(3, 3, 4, 4)
    b = a.clone()
    b[1] += 0.2  # MSE 0.04 against a peak of 2: 10 log10(4 / 0.04) = 20 dB
    b[2, :, 0] += 0.2  # a quarter of the pixels: 10 log10(4 * 4 / 0.04)
    values = psnr(a, b)
    assert values.shape == (3,) and math.isinf(values[0])
    assert values[1].item() == pytest.approx(20.0, abs=1e-5)
    assert values[2].item() == pytest.approx(20.0 + 10 * math.log10(4), abs=1e-5)


def test_psnr_clamps_as_a_file_would():
    a = torch.ones(1, 3, 4, 4)
    assert math.isinf(psnr(a, a * 1.7).item())


def test_ssim_of_constant_photos_is_the_luminance_term():
    a, b = torch.full((1, 3, 16, 16), 0.25), torch.full((1, 3, 16, 16), 0.75)
    c1 = (0.01 * 2) ** 2
    expected = (2 * 0.25 * 0.75 + c1) / (0.25**2 + 0.75**2 + c1)
    assert ssim(a, b).item() == pytest.approx(expected, abs=1e-9)


def test_ssim_per_photo_matches_scikit_image():
    from skimage.metrics import structural_similarity

    a = photos(2, 3, 20, 24)
    b = (a + 0.3 * photos(2, 3, 20, 24, seed=1)).clamp(-1, 1)
    b[1] = a[1]
    expected = np.mean(
        [
            structural_similarity(
                a[0, c].double().numpy(),
                b[0, c].double().numpy(),
                data_range=2,
                gaussian_weights=True,
                use_sample_covariance=False,
            )
            for c in range(3)
        ]
    )
    values = ssim(a, b)
    assert values[0].item() == pytest.approx(expected, abs=1e-9)
    assert values[1].item() == pytest.approx(1.0)


def test_photo_metrics_refuse_unequal_or_small_photos():
    with pytest.raises(ValueError, match="one shape"):
        psnr(photos(1, 3, 4, 4), photos(1, 3, 4, 5))
    with pytest.raises(ValueError, match="11 x 11"):
        ssim(photos(1, 3, 8, 8), photos(1, 3, 8, 8))


def test_auc_by_hand_with_ties():
    # positives .8 .5 .5, negatives .5 .1: six pairs, won 2 + (.5 + 1) + (.5 + 1) = 5
    assert roc_auc([0.8, 0.5, 0.5, 0.5, 0.1], [1, 1, 1, 0, 0]) == pytest.approx(5 / 6)
    assert roc_auc([3.0, 2.0, 1.0], [1, 0, 0]) == 1.0
    assert roc_auc([3.0, 2.0, 1.0], [0, 0, 1]) == 0.0
    assert roc_auc([2.0, 2.0], [1, 0]) == 0.5


def test_auc_equals_counting_pairs():
    rng = np.random.default_rng(3)
    scores, labels = rng.integers(0, 6, 60) / 5, rng.random(60) < 0.4
    pairs = scores[labels][:, None] - scores[~labels][None]
    assert roc_auc(scores, labels) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_accuracies_by_hand():
    decisions, labels = [1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1]
    assert accuracy(decisions, labels) == pytest.approx(4 / 6)
    assert balanced_accuracy(decisions, labels) == pytest.approx((1 / 2 + 3 / 4) / 2)


def test_separable_scores_get_the_middle_of_the_gap():
    scores, labels = [0.1, 0.2, 0.6, 0.9], [0, 0, 1, 1]
    assert calibrate_threshold(scores, labels) == pytest.approx(0.4)


def test_the_cap_on_false_positives_outweighs_balanced_accuracy():
    scores = [0.1, 0.7, 0.2, 0.3, 0.6, 0.65, 0.68, 0.9]
    labels = [0, 0, 0, 0, 1, 1, 1, 1]
    # free: above .3 all positives and one negative of four, (1 + 3/4) / 2
    assert calibrate_threshold(scores, labels, max_false_positive_rate=0.25) == pytest.approx(0.45)
    # no false positive allowed: only .9 is found, threshold halfway from .7
    assert calibrate_threshold(scores, labels, max_false_positive_rate=0.0) == pytest.approx(0.8)


def test_the_cap_is_about_the_guarded_photos_only():
    scores = [0.1, 0.7, 0.2, 0.3, 0.6, 0.65, 0.68, 0.9]
    labels = [0, 0, 0, 0, 1, 1, 1, 1]
    untouched = [1, 0, 1, 0, 0, 0, 0, 0]  # the negative at .7 was retouched otherwise
    threshold = calibrate_threshold(scores, labels, max_false_positive_rate=0, guarded=untouched)
    assert threshold == pytest.approx(0.45)


def test_of_nearly_equal_balanced_accuracies_the_threshold_nearest_to_one_half_is_taken():
    # .8 finds half of the positives and no negative, .5 all positives and half of the negatives
    scores, labels = [0.9, 0.7, 0.7, 0.3], [1, 1, 0, 0]
    assert calibrate_threshold(scores, labels, max_false_positive_rate=1) == pytest.approx(0.5)
    # .2 and .8 are as near, and as accurate: the stricter one
    assert calibrate_threshold([0.1, 0.3, 0.7, 0.9], [0, 1, 0, 1]) == pytest.approx(0.8)
    # 1 % below the best, .55 instead of .92: within the tolerance, not within a smaller one
    labels = [0] * 100 + [1] * 100
    scores = np.r_[np.linspace(0, 0.5, 99), 0.9, np.linspace(0.94, 1, 100)]
    assert calibrate_threshold(scores, labels, tolerance=0.006) == pytest.approx(0.7)
    assert calibrate_threshold(scores, labels, tolerance=0.004) == pytest.approx(0.92)


def test_a_cap_nothing_can_keep_is_an_error():
    with pytest.raises(ValueError, match="keeps the false positive rate"):
        calibrate_threshold([1.0, 1.0, 0.2], [0, 1, 0], max_false_positive_rate=0.1)


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([0.1, 0.2], [0, 0], "0 with and 2 without"),
        ([0.1, float("nan")], [0, 1], "not finite"),
        ([0.1], [0, 1], "one score per label"),
        ([0.1, 1.5], [0, 1], r"\[0, 1\]"),
    ],
)
def test_scores_that_cannot_be_judged(scores, labels, message):
    with pytest.raises(ValueError, match=message):
        calibrate_threshold(scores, labels)


def test_guarded_photos_must_lack_the_operation():
    with pytest.raises(ValueError, match="guarded"):
        calibrate_threshold([0.1, 0.9], [0, 1], guarded=[1, 1])
    with pytest.raises(ValueError, match="guarded"):
        calibrate_threshold([0.1, 0.9], [0, 1], guarded=[0, 0])
