"""Test conditions: recipes that stay the same from run to run."""

import numpy as np
import torch

from frr.pipelines.simulate import bank
from frr.pipelines.simulate.recipe import OPERATIONS
from frr.training.judging.conditions import (
    MIXED,
    UNTOUCHED,
    Condition,
    conditions_of,
    face_seed,
    recipe_for,
    retouched_faces,
)


def test_conditions_are_the_operations_mixed_and_untouched():
    kinds = [condition.kind for condition in conditions_of("seen")]
    assert kinds == [*OPERATIONS, MIXED, UNTOUCHED]
    assert [c.kind for c in conditions_of("seen", operations=("smoothing",))] == [
        "smoothing",
        UNTOUCHED,
    ]


def test_recipes_do_what_the_condition_says():
    for split, algorithms in (("seen", bank.seen), ("unseen", bank.unseen)):
        for condition in conditions_of(split):
            recipe = recipe_for(condition, "a.png", seed=1)
            used = [step.operation for step in recipe.steps]
            assert all(step.algorithm in algorithms(step.operation) for step in recipe.steps)
            if condition.kind == UNTOUCHED:
                assert used == []
            elif condition.kind == MIXED:
                assert 2 <= len(used) == len(set(used)) <= len(OPERATIONS)
            else:
                assert used == [condition.kind]


def test_mixed_draws_every_number_and_order_of_operations():
    recipes = [recipe_for(Condition("seen", MIXED), f"{i}.png", seed=0) for i in range(120)]
    counts = np.bincount([len(recipe.steps) for recipe in recipes])
    assert counts[:2].sum() == 0 and len(counts) == len(OPERATIONS) + 1
    assert (counts[2:] > 60 / len(counts[2:])).all()
    assert len({recipe.steps[0].operation for recipe in recipes}) == len(OPERATIONS)


def test_a_recipe_hangs_on_seed_and_name_only_and_export_keeps_the_steps():
    condition = Condition("seen", MIXED)
    recipe = recipe_for(condition, "a.png", seed=3)
    assert recipe == recipe_for(condition, "a.png", seed=3)
    assert recipe != recipe_for(condition, "b.png", seed=3)
    assert recipe != recipe_for(condition, "a.png", seed=4)
    exported = recipe_for(condition._replace(exported=True), "a.png", seed=3)
    assert exported.steps == recipe.steps and recipe.export.jpeg_quality is None
    assert 85 <= exported.export.jpeg_quality <= 95 and 0.75 <= exported.export.scale <= 1


def test_face_seeds_are_stable_and_fit_a_generator():
    assert face_seed(0, "noise", "a.png") == face_seed(0, "noise", "a.png")
    assert face_seed(0, "noise", "a.png") != face_seed(1, "noise", "a.png")
    torch.Generator().manual_seed(face_seed(2**31, "x"))


def test_untouched_faces_keep_their_bytes(three_faces):
    recipes = [recipe_for(Condition("seen", UNTOUCHED), name, 0) for name in three_faces.names]
    photos = retouched_faces(three_faces, recipes)
    assert photos.dtype == torch.uint8 and torch.equal(photos, three_faces.images)
