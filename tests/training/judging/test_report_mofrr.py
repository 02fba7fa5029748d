"""Reports: the numbers of the rows, aligned, in Markdown, and through JSON and back."""

import dataclasses
import json

import pytest

from frr.training.judging.identity import Baseline
from frr.training.judging.report_mofrr import (
    Evaluation,
    RestorationRow,
    RouterRow,
    from_json,
    to_json,
    to_markdown,
    to_text,
)

WHITENING = RestorationRow("seen", "whitening", False, 80, 29.14, 35.5, 0.91, 0.9654, 0.975, 0.0)
UNTOUCHED = RestorationRow("unseen", "untouched", True, 80, 100.0, 98.0, 1.0, 0.999, 0.0, 0.95)
ROUTER = tuple(
    RouterRow("seen", name, False, 480, 0.5, auc, 0.9, 0.8, 0.0125, error)
    for name, auc, error in (("whitening", 0.98, 0.125), ("smoothing", 0.9, None))
)
PLAIN = Evaluation("given", 80, 256, 0, None, (WHITENING, UNTOUCHED))
FULL = dataclasses.replace(
    PLAIN,
    routing="router",
    steps=4,
    restoration=(
        dataclasses.replace(
            WHITENING, identity_retouched=0.25, identity_restored=0.125, identity_photos=79
        ),
        UNTOUCHED,
    ),
    router=ROUTER,
    baseline=Baseline(None, 0, 0.75, 3160),
)


def test_lift_and_mean_auc():
    assert WHITENING.lift == pytest.approx(6.36)
    assert FULL.mean_auc("seen") == pytest.approx(0.94)
    with pytest.raises(ValueError, match="'unseen'"):
        FULL.mean_auc("unseen")


def test_rows_are_found_by_condition():
    assert PLAIN.row("unseen", "untouched", exported=True) is UNTOUCHED
    with pytest.raises(ValueError, match="'untouched' of the split 'unseen'"):
        PLAIN.row("unseen", "untouched")


@pytest.mark.parametrize("evaluation", [PLAIN, FULL])
def test_json_round_trip(evaluation):
    text = to_json(evaluation)
    assert from_json(text) == evaluation
    assert json.loads(text)["restoration"][0]["copy_psnr"] == 29.14


@pytest.mark.parametrize("text", ["[]", "{}", "nonsense", '{"restoration": [{"split": "seen"}]}'])
def test_other_json_is_refused(text):
    with pytest.raises(ValueError, match="Not an evaluation"):
        from_json(text)


def test_text_is_aligned_and_complete():
    lines = to_text(PLAIN).splitlines()
    assert lines[0] == "80 faces at 256 px, operations given, default steps, seed 0."
    header, rule, first, second = lines[3:7]
    expected = "seen whitening 29.14 35.50 +6.36 0.9100 0.9654 0.97 0.00"
    assert " ".join(first.split()) == expected
    assert second.startswith("unseen, exported  untouched")
    assert second.split()[3:6] == ["100.00", "98.00", "-2.00"]
    assert len(header) == len(rule) == len(first) == len(second)
    for name in ("copy dB", "restored dB", "lift dB", "improved", "unchanged"):
        end = header.index(name) + len(name)
        assert first[end - 1].isdigit() and (end == len(first) or first[end] == " ")
    assert "counts as 100" in lines[-1]
    assert "Router" not in to_text(PLAIN)


def test_the_router_and_identity_tables_with_their_means_and_baselines():
    text = to_text(FULL)
    assert "operations found by the router, 4 steps" in text
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "seen whitening 0.500 0.980 0.900 0.800 0.013 0.125" in rows
    assert "seen smoothing 0.500 0.900 0.900 0.800 0.013 -" in rows
    assert "seen mean 0.940 0.900 0.800 0.013" in rows
    assert "seen whitening 79 0.250 0.125" in rows
    assert "same person - (0 pairs), different persons 0.750 (3160 pairs)" in text


def test_markdown_tables_have_as_many_cells_as_columns():
    text = to_markdown(FULL)
    assert "| seen | whitening | 29.14 | 35.50 | +6.36 | 0.9100 | 0.9654 | 0.97 | 0.00 |" in text
    for block in text.split("\n\n"):
        if block.startswith("|"):
            lines = block.splitlines()
            assert len({line.count("|") for line in lines}) == 1
            assert lines[1].startswith("| --- | --- | ---: |")
