"""Figures on judged photos, worked by hand."""

from dataclasses import replace

import pytest

from frr.training.judging.native_photos import JudgedPhoto
from frr.training.judging.tables_native import (
    found_rows,
    lift_rows,
    quality_rows,
    size_rows,
    untouched_rows,
)

NAMES = ("tan", "blur")
HALF = dict.fromkeys(NAMES, 0.5)


def photo(applied, tan, blur, decibels, native=512, quality=80, degree=0.5):
    """`decibels` of nothing, tan, blur and both undone."""
    keys = ("", "tan", "blur", "tan+blur")
    return JudgedPhoto(
        condition="mixed" if len(applied) > 1 else "".join(applied) or "untouched",
        split="seen",
        face="a",
        native=native,
        side=native,
        quality=quality,
        effects={name: 0.5 * (name in applied) for name in NAMES},
        probabilities={"tan": tan, "blur": blur},
        degrees=dict.fromkeys(NAMES, degree),
        decibels=dict(zip(keys, decibels, strict=True)),
    )


PHOTOS = [
    photo((), 0.1, 0.2, (100, 40, 38, 36)),
    photo((), 0.7, 0.3, (100, 44, 42, 40), native=900, quality=0),
    photo(("tan",), 0.8, 0.1, (30, 33, 28, 31)),
    photo(("tan",), 0.4, 0.6, (30, 30.2, 29, 29.5), native=900, degree=0.8),
    photo(("blur",), 0.3, 0.9, (32, 31, 32.2, 31.2), quality=0),
    photo(("tan", "blur"), 0.6, 0.2, (26, 27, 26.5, 28), quality=97),
]


def test_lifts_by_hand():
    rows = {(r.condition, r.routing): r for r in lift_rows(PHOTOS, HALF)}
    assert set(rows) == {(c, r) for c in ("tan", "blur", "mixed") for r in ("given", "router")}
    given, found = rows["tan", "given"], rows["tan", "router"]
    assert (given.photos, given.copy, given.improved, given.harmed) == (2, 30, 1.0, 0.0)
    assert given.lift == pytest.approx(1.6) and given.median == pytest.approx(1.6)
    # tan is found in the first, blur alone in the second: 3 dB and -1 dB
    assert found.lift == pytest.approx(1.0)
    assert (found.improved, found.harmed) == (0.5, 0.5)
    assert rows["mixed", "given"].lift == 2 and rows["mixed", "router"].lift == 1


def test_what_cannot_be_felt_stands_in_rows_of_its_own():
    faint = replace(PHOTOS[2], effects={"tan": 0.07, "blur": 0.0}, decibels={"": 100, "tan": 50})
    rows = {(r.condition, r.routing): r for r in lift_rows([*PHOTOS, faint], HALF)}
    assert rows["tan", "given"].photos == 2 and rows["tan", "given"].lift == pytest.approx(1.6)
    assert rows["tan, faint", "given"].photos == 1 and rows["tan, faint", "given"].lift == -50


def test_what_the_router_knows_by_hand():
    tan, blur = found_rows(PHOTOS, HALF)
    # .8 .4 .6 against .1 .7: .8 beats both, .4 and .6 one each
    assert tan.untouched_auc == pytest.approx(4 / 6)
    # the mixture's .6 against .3 of the one where blur alone was done
    assert tan.mixed_auc == 1.0
    # against .1 .7 .3: 3 + 2 + 2 of 9
    assert tan.pooled_auc == pytest.approx(7 / 9)
    assert (tan.alone, tan.mixed, tan.false_alarms) == (0.5, 1.0, 0.5)
    assert (blur.alone, blur.mixed, blur.false_alarms) == (1.0, 0.0, 0.0)
    assert tan.degree_error == pytest.approx(0.1)


def test_untouched_photos_by_hand():
    (row,) = untouched_rows(PHOTOS, HALF)
    assert (row.photos, row.touched, row.restored, row.worst) == (2, 0.5, 44, 44)
    (none,) = untouched_rows(PHOTOS, dict.fromkeys(NAMES, 1.0))
    assert (none.touched, none.restored, none.worst) == (0.0, None, None)


def test_bins_by_hand():
    rows = {row.bin: row for row in size_rows(PHOTOS, HALF)}
    assert {name: row.photos for name, row in rows.items()} == {"up to 599 px": 4, "from 850 px": 2}
    large = rows["from 850 px"]
    assert (large.given, large.router, large.harmed, large.touched) == (
        pytest.approx(0.2),
        pytest.approx(-1.0),
        1.0,
        1.0,
    )
    assert large.auc == {"tan": 0.0, "blur": None}
    counts = {row.bin: row.photos for row in quality_rows(PHOTOS, HALF)}
    assert counts == {"below 90": 3, "from 96": 1, "lossless": 2}


def test_other_thresholds_need_no_other_look():
    strict = {
        row.condition: row.lift
        for row in lift_rows(PHOTOS, {"tan": 0.9, "blur": 0.95})
        if row.routing == "router"
    }
    assert strict == {"tan": 0, "blur": 0, "mixed": 0}
