"""Calibration of drawn degrees: hand-worked scores, and that it finds what was put in."""

import json

import numpy as np
import pytest

from frr.pipelines.operations import OPERATIONS
from frr.training.judging.native_candidates import (
    TOLD,
    JudgedCandidates,
    read_candidates,
    write_candidates,
)
from frr.training.judging.native_draws import (
    calibrate_draws,
    gain_of,
    quantity_samples,
    score,
    spread_scale,
)
from frr.training.judging.report_candidates import spearman, spread_rows, to_markdown


def photo(
    effect,
    believed,
    gain=1.0,
    operation="whitening",
    error=2.0,
    spread=1.0,
    split="seen",
    textured=False,
):
    """A photo whose expert undoes `gain` times 10 units a degree; the router believes a level."""
    logits = np.full(8, -4.0)
    logits[int(np.clip(round(believed * 8) - 1, 0, 7))] = 4.0
    return JudgedCandidates(
        operation=operation,
        split=split,
        face="a.png",
        side=300,
        effect=effect,
        found=True,
        logits=tuple(logits.tolist()),
        truth=10 * effect,
        point=5 * effect,
        answers=tuple(gain * 10 * z for z in TOLD),
        decibels={"photo": 30.0, "main": 31.0},
        candidates=(30.5, 32.0),
        error=error,
        spread=spread,
        textured=textured,
    )


@pytest.fixture
def rows():
    """Forty photos of whose degrees the router is sure, and half of the time wrong by .25."""
    rng = np.random.default_rng(0)
    effects = rng.uniform(0.3, 0.8, 40)
    wrong = rng.choice([-0.25, 0.0, 0.0, 0.25], 40)
    return [photo(e, np.clip(e + w, 0.13, 1)) for e, w in zip(effects, wrong, strict=True)]


def test_edits_with_drawn_texture_get_no_gain():
    weak = [photo(e, e, gain=0.5) for e in (0.3, 0.5, 0.7)]
    assert gain_of(weak) == pytest.approx(2.0)
    assert gain_of([photo(e, e, gain=0.5, textured=True) for e in (0.3, 0.5, 0.7)]) == 1


def test_scores_by_hand():
    samples = np.array([1.0, 3.0])
    assert score(samples, 2.0).crps == pytest.approx(1 - 0.5)
    assert score(samples, 2.0).covered and not score(samples, 3.5).covered
    assert score(np.full(4, 2.0), 5.0) == (False, 3.0, 0.0)


def test_quantities_follow_the_answers_to_told_degrees():
    import torch

    sure = torch.zeros(8)
    sure[3] = 1
    samples = quantity_samples(photo(0.5, 0.5), sure)
    assert samples.min() > 4.3 and samples.max() < 5.7
    assert np.allclose(quantity_samples(photo(0.5, 0.5), sure, 2.0), 2 * samples)


def test_energy_of_texture_is_a_quadratic_of_the_edit():
    both = {g: 10 * np.log10(1 + 0.3 * g + 0.2 * g**2) for g in (1, 1.5, 2)}
    row = photo(0.5, 0.5, operation="smoothing")
    row = JudgedCandidates(**{**vars(row), "answers": (both[1],) * 6, "doubled": (both[2],) * 6})
    assert row.undone(1.5) == pytest.approx([both[1.5]] * 6)
    assert row.undone(1) == pytest.approx([both[1]] * 6)


def test_the_gain_is_what_is_missing():
    assert gain_of([photo(0.5, 0.5, gain=0.8)]) == 1.25
    assert gain_of([photo(0.5, 0.5)]) == 1
    assert gain_of([photo(0.5, 0.5, gain=0.1)]) == 2.0


def test_calibration_makes_sure_beliefs_honest(rows, tmp_path):
    (tmp_path / "router").mkdir()
    path = tmp_path / "router" / "config.json"
    before = {"operations": list(OPERATIONS), "degree_levels": 8, "thresholds": [0.5]}
    path.write_text(json.dumps(before))
    plain = spread_rows(rows, before)[0]
    fit = calibrate_draws(tmp_path, rows)
    config = json.loads(path.read_text())
    assert config["thresholds"] == [0.5] and config["degree_prior"][0] == list(fit.degree_prior[0])
    after = spread_rows(rows, config)[0]
    assert plain.coverage < 0.7 <= after.coverage <= 0.9
    assert after.crps < plain.crps
    assert after.expected == pytest.approx(after.levels)
    assert fit.degree_temperature[1:] == (1.0,) * (len(OPERATIONS) - 1)
    path.write_text(json.dumps({**before, "degree_levels": 5}))
    with pytest.raises(ValueError, match="of 8 degree levels, this one has 5"):
        calibrate_draws(tmp_path, rows)


def test_the_spread_is_scaled_to_the_errors():
    assert spread_scale([photo(0.5, 0.5, error=3.0), photo(0.5, 0.5, error=4.0)]) == pytest.approx(
        3.5355, abs=1e-4
    )
    assert spread_scale([photo(0.5, 0.5, spread=0.0)]) == 1


def test_rank_correlation():
    assert spearman(np.array([1.0, 5.0, 9.0]), np.array([2.0, 2.5, 70.0])) == pytest.approx(1)
    assert spearman(np.array([1.0, 5.0, 9.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1)
    assert spearman(np.array([1.0, 1.0, 2.0, 3.0]), np.arange(4.0)) == pytest.approx(
        0.9487, abs=1e-3
    )
    assert spearman(np.ones(4), np.arange(4.0)) == 0


def test_what_was_judged_is_read_again_and_shown(rows, tmp_path):
    path = tmp_path / "candidates.jsonl"
    write_candidates(rows, path)
    assert read_candidates(path) == rows
    shown = to_markdown(spread_rows(rows, {"operations": list(OPERATIONS)}), 2)
    assert "| whitening | seen | 40 |" in shown and "+1.00 | +1.00" in shown
    path.write_text("{}\n")
    with pytest.raises(ValueError, match="line 1, holds no candidates"):
        read_candidates(path)
