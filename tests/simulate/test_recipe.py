"""Recipes: sampling, editing, JSON, validation."""

import json

import numpy as np
import pytest
from by_operation import values

from frr.pipelines.simulate import bank
from frr.pipelines.simulate.recipe import OPERATIONS, Export, Recipe, Step, sample_recipe

RECIPE = Recipe(
    (
        Step("eye_enlarging", "radial", 0.25, (0.1, 0.2, 0.3, 0.4)),
        Step("whitening", bank.seen("whitening")[0], 1.0),
    ),
    Export(jpeg_quality=80, scale=0.5),
)


def test_bank_lists_the_operations_in_order_with_a_held_out_algorithm_each():
    assert tuple(bank.ALGORITHMS)[: len(OPERATIONS)] == OPERATIONS
    assert {*bank.ALGORITHMS} == {*OPERATIONS, "lip_tinting"}
    assert {"face_slimming", "eye_enlarging"} == bank.GEOMETRIC
    for operation in OPERATIONS:
        assert len(bank.seen(operation)) >= (2 if operation == "lip_tinting" else 3)
        assert len(bank.unseen(operation)) >= 1
        assert set(bank.seen(operation)).isdisjoint(bank.unseen(operation))
        assert {*bank.seen(operation), *bank.unseen(operation)} == set(bank.ALGORITHMS[operation])


@pytest.mark.parametrize("split", ["seen", "unseen", "all"])
def test_sampled_recipes_keep_to_the_split_and_the_range(split):
    rng = np.random.default_rng(0)
    drawn = {operation: set() for operation in OPERATIONS}
    for _ in range(120):
        recipe = sample_recipe(rng, OPERATIONS, split=split, degrees=(0.4, 0.6))
        assert sorted(step.operation for step in recipe.steps) == sorted(OPERATIONS)
        assert all(0.4 <= step.degree <= 0.6 for step in recipe.steps)
        for step in recipe.steps:
            drawn[step.operation].add(step.algorithm)
    pick = {"seen": bank.seen, "unseen": bank.unseen, "all": bank.algorithms}[split]
    assert drawn == {operation: set(pick(operation)) for operation in OPERATIONS}


def test_the_order_is_random_and_the_seed_decides():
    orders = set()
    for seed in range(40):
        recipe = sample_recipe(np.random.default_rng(seed), OPERATIONS)
        assert recipe == sample_recipe(np.random.default_rng(seed), OPERATIONS)
        orders.add(tuple(step.operation for step in recipe.steps))
    assert len(orders) > 12


def test_operations_may_be_any_iterable():
    recipe = sample_recipe(np.random.default_rng(0), (name for name in ["smoothing"]))
    assert [step.operation for step in recipe.steps] == ["smoothing"]
    assert sample_recipe(np.random.default_rng(0), []) == Recipe()


@pytest.mark.parametrize(
    ("interpolation", "low", "high"), [("bilinear", 0, 0.5), ("bicubic", 0.5, 1)]
)
def test_interpolation_fixes_the_last_variation_of_geometric_steps(interpolation, low, high):
    rng = np.random.default_rng(0)
    for _ in range(30):
        recipe = sample_recipe(rng, bank.GEOMETRIC, interpolation=interpolation)
        assert all(low <= step.variation[-1] <= high for step in recipe.steps)


def test_exports_come_as_often_as_asked():
    rng = np.random.default_rng(0)
    never = [sample_recipe(rng, ["smoothing"]).export for _ in range(50)]
    always = [sample_recipe(rng, ["smoothing"], export_probability=1.0).export for _ in range(50)]
    assert set(never) == {Export()}
    assert all(70 <= export.jpeg_quality <= 98 for export in always)
    scales = [export.scale for export in always if export.scale is not None]
    assert 10 < len(scales) < 40
    assert all(0.5 <= scale <= 0.95 for scale in scales)


def test_without_only_degrees():
    assert [s.operation for s in RECIPE.without("whitening").steps] == ["eye_enlarging"]
    assert [s.operation for s in RECIPE.only("whitening").steps] == ["whitening"]
    assert RECIPE.without("smoothing") == RECIPE
    assert RECIPE.without("whitening").export == RECIPE.export
    assert RECIPE.degrees() == values(0.0, whitening=1.0, eye_enlarging=0.25)
    assert RECIPE.degrees(["eye_enlarging", "whitening"]) == (0.25, 1.0)


def test_json_round_trip_is_exact():
    recipes = [RECIPE, Recipe()]
    rng = np.random.default_rng(0)
    recipes += [sample_recipe(rng, OPERATIONS, export_probability=0.5) for _ in range(20)]
    assert [Recipe.from_json(recipe.to_json()) for recipe in recipes] == recipes


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "not json",
        '{"steps": [{"operation": "whitening"}], "export": {}}',
        '{"steps": [], "export": {"colour": 1}}',
        '{"steps": [], "export": {"jpeg_quality": "high", "scale": null}}',
    ],
)
def test_json_of_something_else_is_refused(text):
    with pytest.raises(ValueError, match=r"Expected|Expecting|Unknown"):
        Recipe.from_json(text)


@pytest.mark.parametrize("degree", ["1", None, True])
def test_json_degrees_must_be_numbers(degree):
    record = json.loads(RECIPE.to_json())
    record["steps"][0]["degree"] = degree
    with pytest.raises(ValueError, match=r"degree"):
        Recipe.from_json(json.dumps(record))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Step("teeth", "radial", 0.5), "Unknown operation 'teeth'"),
        (
            Step("eye_enlarging", "thin_plate", 0.5),
            "Unknown algorithm 'thin_plate' of eye_enlarging",
        ),
        (Step("eye_enlarging", "radial", 1.01), r"degree in \[0, 1\] for eye_enlarging, got 1.01"),
        (Step("eye_enlarging", "radial", -0.1), r"degree in \[0, 1\]"),
        (Step("eye_enlarging", "radial", float("nan")), r"degree in \[0, 1\]"),
        (Step("eye_enlarging", "radial", 0.5, (0.5,)), "4 variation numbers"),
        (Step("eye_enlarging", "radial", 0.5, (0.5, 0.5, 0.5, 2.0)), "4 variation numbers"),
    ],
)
def test_invalid_steps_are_refused(step, message):
    with pytest.raises(ValueError, match=message):
        Recipe((step,))


def test_an_operation_may_not_stand_twice():
    step = Step("eye_enlarging", "radial", 0.5)
    with pytest.raises(ValueError, match="once"):
        Recipe((step, step._replace(algorithm="elliptic")))


@pytest.mark.parametrize(
    "export", [{"jpeg_quality": 0}, {"jpeg_quality": 101}, {"scale": 0.0}, {"scale": 1.5}]
)
def test_invalid_exports_are_refused(export):
    with pytest.raises(ValueError, match="Expected a"):
        Export(**export)


@pytest.mark.parametrize(
    "arguments",
    [
        {"split": "test"},
        {"interpolation": "nearest"},
        {"degrees": (0.5, 1.2)},
        {"degrees": (0.8, 0.2)},
        {"export_probability": 2.0},
        {"operations": ["teeth"]},
        {"operations": ["whitening", "whitening"]},
    ],
)
def test_invalid_sampling_is_refused(arguments):
    with pytest.raises(ValueError):
        sample_recipe(np.random.default_rng(0), **{"operations": OPERATIONS, **arguments})


def test_registering_an_operation_is_checked():
    with pytest.raises(ValueError, match="already"):
        bank.register("smoothing", {"a": print, "b": print}, ("a",), geometric=False)
    with pytest.raises(ValueError, match="not among"):
        bank.register("teeth", {"a": print}, ("b",), geometric=False)
    with pytest.raises(ValueError, match="not held out"):
        bank.register("teeth", {"a": print}, ("a",), geometric=False)
    assert "teeth" not in bank.ALGORITHMS
