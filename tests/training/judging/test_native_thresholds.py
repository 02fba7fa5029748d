import json

import numpy as np
import pytest

from frr.training.judging.native_photos import JudgedPhoto, read_photos, write_photos
from frr.training.judging.native_thresholds import (
    NEVER,
    Scale,
    balanced,
    calibrate_folder,
    calibration_error,
    candidates,
    choose_thresholds,
    fit_router,
    fit_scale,
    raw_logits,
)

NAMES = ("whitening", "smoothing", "face_slimming", "eye_enlarging")


def photo(applied=(), probabilities=None, decibels=None, copy=30.0, effect=0.5):
    return JudgedPhoto(
        condition="untouched" if not applied else "mixed" if len(applied) > 1 else applied[0],
        split="seen",
        face="a.jpg",
        native=512,
        side=500,
        quality=90,
        effects={name: effect * (name in applied) for name in NAMES},
        probabilities=dict.fromkeys(NAMES, 0.1) | (probabilities or {}),
        degrees=dict.fromkeys(NAMES, 0.5),
        decibels={"": copy} | dict.fromkeys(NAMES, copy - 1.0) | (decibels or {}),
    )


def simulated(rng, count=300, gain=3.0, harm=-2.0, slope=1.0, shift=0.0):
    """Photos whose true log odds of each operation are slope * logit + shift."""
    photos = []
    for number in range(count):
        kinds = ((), *((name,) for name in NAMES), NAMES[:2])
        applied = kinds[number % len(kinds)]
        logits = {
            n: (rng.normal(1.5 if n in applied else -1.5, 1.7) - shift) / slope for n in NAMES
        }
        chances = {n: float(1 / (1 + np.exp(-z))) for n, z in logits.items()}
        decibels = {n: 30 + (gain if n in applied else harm) for n in NAMES}
        photos.append(photo(applied, chances, decibels))
    return photos


def test_photos_come_back_from_their_file(tmp_path):
    photos = simulated(np.random.default_rng(0), 7)
    write_photos(photos, tmp_path / "photos.jsonl")
    assert read_photos(tmp_path / "photos.jsonl") == photos


@pytest.mark.parametrize("text", ["", "{}\n", "no json\n"])
def test_a_file_of_something_else_is_refused(tmp_path, text):
    (tmp_path / "photos.jsonl").write_text(text)
    with pytest.raises(ValueError, match=r"photos\.jsonl"):
        read_photos(tmp_path / "photos.jsonl")


def test_a_choice_that_was_not_measured_is_named():
    with pytest.raises(ValueError, match=r"whitening\+smoothing.*all choices"):
        photo().restored({"smoothing", "whitening"})


def test_what_was_found_follows_from_thresholds():
    one = photo(probabilities={"smoothing": 0.6, "face_slimming": 0.4})
    assert one.found(dict.fromkeys(NAMES, 0.5)) == ("smoothing",)
    assert one.found(dict.fromkeys(NAMES, 0.4)) == ("smoothing", "face_slimming")


def test_weights_say_nothing_of_an_operation_from_the_number_of_others():
    photos = simulated(np.random.default_rng(1), 60) + [photo(NAMES[1:3])] * 5 + [photo(NAMES)] * 2
    others = np.array([len({*each.applied} - {"smoothing"}) for each in photos])
    present, weights = balanced(photos, "smoothing")
    for count in range(4):
        assert weights[present & (others == count)].sum() == pytest.approx(
            weights[~present & (others == count)].sum()
        )
    assert weights[others == 3].sum() == 0  # never without it


def test_what_cannot_be_felt_counts_neither_way():
    photos = [photo(), photo(["smoothing"], effect=0.01), photo(["smoothing"])]
    _, weights = balanced(photos, "smoothing")
    assert weights.tolist() == [1, 0, 1]


def test_regression_finds_the_scale_that_was_put_in():
    rng = np.random.default_rng(2)
    truth = rng.normal(0, 2, 20_000)
    present = rng.random(20_000) < 1 / (1 + np.exp(-truth))
    scale = fit_scale((truth - 0.7) * 2.5, present, np.ones(20_000))
    assert scale.temperature == pytest.approx(2.5, rel=0.05)
    assert scale.bias == pytest.approx(0.7, abs=0.06)


def test_regression_needs_both_kinds():
    with pytest.raises(ValueError, match="with and without"):
        fit_scale(np.zeros(3), np.ones(3, bool), np.ones(3))


def test_scores_that_mislead_become_faint_and_keep_their_order():
    logits = np.linspace(-3, 3, 50)
    scale = fit_scale(logits, logits < 0, np.ones(50))
    assert scale.temperature > 1


def test_logits_before_calibration_come_back():
    logits, scale = np.array([-3.0, 0.0, 2.0]), Scale(1.7, -0.4)
    chances = 1 / (1 + np.exp(-(logits / scale.temperature + scale.bias)))
    np.testing.assert_allclose(raw_logits(chances, scale), logits, atol=1e-9)


def test_calibration_error_by_hand():
    probabilities, present = np.array([0.25, 0.25, 0.85, 0.85]), np.array([0, 1, 1, 1], bool)
    # bins of .2 to .3: |.5 - .25|, of .8 to .9: |1 - .85|, half of the photos each
    assert calibration_error(probabilities, present, np.ones(4)) == pytest.approx(0.2)


def test_candidates_by_hand():
    probabilities = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    worth = np.array([2.0, -1.0, 3.0, -2.0, 1.5, 4.0])
    untouched = np.array([0, 1, 0, 0, 1, 0], bool)
    options = candidates(probabilities, worth, untouched)
    assert [(round(o.threshold, 3), o.gain, o.touched.bit_count()) for o in options] == [
        (0.85, 2.0, 0),
        (0.65, 4.0, 1),
        (0.2, 7.5, 2),
    ]


def test_an_operation_that_only_harms_is_never_found():
    (only,) = candidates(np.array([0.9, 0.2]), np.array([-1.0, -1.0]), np.array([0, 1], bool))
    assert only.threshold == NEVER


def test_operations_share_the_untouched_photos_that_may_be_touched():
    untouched = np.array([1, 1, 0], bool)
    first = candidates(np.array([0.9, 0.1, 0.5]), np.array([0.0, 0.0, 2.0]), untouched)
    same = candidates(np.array([0.8, 0.2, 0.6]), np.array([0.0, 0.0, 1.0]), untouched)
    other = candidates(np.array([0.2, 0.8, 0.6]), np.array([0.0, 0.0, 1.5]), untouched)
    assert sum(pick.gain for pick in choose_thresholds([first, same], 1)) == 3.0
    assert sum(pick.gain for pick in choose_thresholds([first, other], 1)) == 2.0
    assert sum(pick.gain for pick in choose_thresholds([first, other], 2)) == 3.5
    assert sum(pick.gain for pick in choose_thresholds([first, other], 0)) == 0.0


def test_thresholds_leave_untouched_photos_alone():
    photos = simulated(np.random.default_rng(3), 600)
    fit = fit_router(photos, touched_share=0.05)
    touched, found = [], []
    for each in photos:
        logits = raw_logits(np.array(list(each.probabilities.values())))
        chances = 1 / (1 + np.exp(-(logits / fit.temperature + np.array(fit.bias))))
        hit = chances >= np.array(fit.thresholds)
        (touched if not each.applied else found).append(hit.any())
    assert np.mean(touched) <= 0.05
    assert np.mean(found) > 0.2
    looser = fit_router(photos, touched_share=0.2)
    assert sum(looser.thresholds) < sum(fit.thresholds)


def test_losses_may_count_more_than_gains():
    photos = simulated(np.random.default_rng(4), 300, harm=-1.0)
    easy = fit_router(photos, touched_share=1.0)
    careful = fit_router(photos, touched_share=1.0, caution=5.0)
    assert all(a <= b for a, b in zip(easy.thresholds, careful.thresholds, strict=True))
    assert sum(easy.thresholds) < sum(careful.thresholds)


def test_without_untouched_photos_nothing_is_calibrated():
    with pytest.raises(ValueError, match="untouched"):
        fit_router([photo(["smoothing"])])


def folder_of(tmp_path, **config):
    (tmp_path / "router").mkdir()
    text = {"_class_name": "NativeRouter", "operations": list(NAMES), **config}
    (tmp_path / "router/config.json").write_text(json.dumps(text))
    return tmp_path


def test_a_folder_is_calibrated_and_the_rest_of_its_config_stays(tmp_path):
    photos = simulated(np.random.default_rng(5), 300, slope=0.5)
    folder = folder_of(tmp_path, temperature=None, bias=None, thresholds=[0.5] * 4, layers=1)
    fit = calibrate_folder(folder, photos)
    config = json.loads((folder / "router/config.json").read_text())
    assert config["layers"] == 1
    assert config["thresholds"] == list(fit.thresholds)
    assert config["temperature"] == list(fit.temperature)
    assert config["bias"] == list(fit.bias)


def test_a_second_calibration_starts_from_raw_logits(tmp_path):
    rng = np.random.default_rng(6)
    raw = simulated(rng, 300)
    folder = folder_of(tmp_path, temperature=None, bias=None, thresholds=[0.5] * 4)
    first = calibrate_folder(folder, raw)
    again = []
    for each in raw:
        logits = raw_logits(np.array(list(each.probabilities.values())))
        chances = 1 / (1 + np.exp(-(logits / first.temperature + np.array(first.bias))))
        values = dict(zip(NAMES, map(float, chances), strict=True))
        again.append(JudgedPhoto(**{**each.__dict__, "probabilities": values}))
    second = calibrate_folder(folder, again)
    np.testing.assert_allclose(second.temperature, first.temperature, rtol=1e-3)
    np.testing.assert_allclose(second.thresholds, first.thresholds, atol=1e-3)


@pytest.mark.parametrize(
    "config, said",
    [({}, "not calibrated"), ({"temperature": None, "operations": ["tan"]}, "judged by")],
)
def test_other_routers_are_refused(tmp_path, config, said):
    with pytest.raises(ValueError, match=said):
        calibrate_folder(folder_of(tmp_path, **config), [photo(), photo(["smoothing"])])
