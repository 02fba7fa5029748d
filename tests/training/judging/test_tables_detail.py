"""Size by quality, identity, steadiness and honesty on judged photos, worked by hand."""

import pytest

from frr.training.judging.native_photos import JudgedPhoto
from frr.training.judging.report_native import evaluation_of, from_json, to_json, to_text
from frr.training.judging.tables_detail import (
    grid_rows,
    honesty_rows,
    identity_rows,
    place,
    steady_rows,
)

HALF = {"tan": 0.5}


def photo(applied, tan, lift=0.0, native=512, quality=80, **more):
    return JudgedPhoto(
        condition="tan" if applied else "untouched",
        split="seen",
        face="a",
        native=native,
        side=native,
        quality=quality,
        effects={"tan": 0.5 * applied},
        probabilities={"tan": tan},
        degrees={"tan": 0.5},
        decibels={"": 30.0, "tan": 30.0 + lift},
        **more,
    )


def other(jpeg, resized):
    return {"JPEG 90": {"tan": jpeg}, "resized by 0.8": {"tan": resized}}


PHOTOS = [
    photo(False, 0.1, -2, forms=other(0.15, 0.3)),
    photo(False, 0.6, -2, forms=other(0.6, 0.55)),
    photo(True, 0.8, 3, forms=other(0.7, 0.8)),
    photo(True, 0.4, 1, native=300, quality=0),
]


@pytest.mark.parametrize(
    ("native", "quality", "expected"),
    [(300, 0, (256, "PNG")), (700, 67, (768, "60")), (2000, 98, (1024, "90"))],
)
def test_the_nearest_place_of_the_grid(native, quality, expected):
    assert place(photo(False, 0.5, native=native, quality=quality)) == expected


def test_size_by_quality_by_hand():
    small, large = grid_rows(PHOTOS, HALF)
    assert (small.native, small.quality, small.photos) == (256, "PNG", 1)
    assert (small.given, small.router, small.auc) == (1.0, 0.0, {"tan": None})
    assert (large.native, large.quality, large.photos) == (512, "75", 3)
    assert (large.given, large.router, large.auc) == (3.0, 3.0, {"tan": 1.0})


def test_steadiness_by_hand():
    rows = {(row.form, row.photos): row for row in steady_rows(PHOTOS)}
    untouched = rows["resized by 0.8", "untouched"]
    assert (untouched.count, untouched.steady) == (2, 0.5)
    assert untouched.mean == pytest.approx(0.125) and untouched.largest == pytest.approx(0.2)
    assert rows["JPEG 90", "retouched"].largest == pytest.approx(0.1)


def test_identity_by_hand():
    distances = [{"retouched": 0.2, "given": 0.1, "router": 0.3}, {}]
    photos = [photo(True, 0.8, 3, distances=each) for each in distances]
    (row,) = identity_rows(photos)
    assert (row.operation, row.photos) == ("tan", 1)
    assert (row.retouched, row.given, row.router) == (0.2, 0.1, 0.3)


def test_honesty_by_hand():
    rows = list(honesty_rows([*PHOTOS, photo(True, 0.65, 1)]))
    # three with it weigh as much as the two without
    assert [round(row.probability, 3) for row in rows] == [0.1, 0.4, 0.62, 0.8]
    assert [round(row.present, 3) for row in rows] == [0, 1, 0.4, 1]
    assert [round(row.weight, 3) for row in rows] == [0.25, 0.167, 0.417, 0.167]


def test_all_of_it_is_written_read_and_shown():
    photos = [
        *PHOTOS[:2],
        photo(True, 0.8, 3, distances={"retouched": 0.2, "given": 0.1, "router": 0.2}),
    ]
    evaluation = evaluation_of(photos, HALF)
    assert from_json(to_json(evaluation)) == evaluation
    text = to_text(evaluation)
    for words in ("By size and quality", "Identity", "resized by 0.8", "probability of it"):
        assert words in text


def test_what_cannot_be_told_is_not_found():
    assert photo(True, 0.9).found(HALF) == ("tan",)
    assert photo(True, 0.9, untold=("tan",)).found(HALF) == ()
