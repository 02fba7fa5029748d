"""The blemish painter: kinds, masks, moles, determinism, and what stays untouched."""

import numpy as np
import pytest
import torch

from frr.pipelines.simulate.blemishes.painter import (
    KINDS,
    MOLES,
    Blemish,
    forms,
    paint,
    paintable_skin,
    sample_blemishes,
)

EVERY_FORM = [(kind, form) for kind in (*KINDS, MOLES) for form in forms(kind)]


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    """Two plain skin-coloured photos with faint noise, 128 px; the mean mesh fits them."""
    generator = torch.Generator().manual_seed(0)
    skin = torch.tensor([0.6, 0.2, 0.05])[:, None, None]
    noise = torch.randn(2, 3, 128, 128, generator=generator) * 0.02
    return (skin + noise).clamp(-1, 1)


@pytest.mark.parametrize(("kind", "form"), EVERY_FORM)
def test_every_form_changes_the_photo_only_inside_its_own_mask(faces, kind, form):
    painted = paint(faces, [[Blemish(kind, form, 1.0, 3)], []])
    changed = (painted.image != faces).any(1)
    assert changed[0].any() and not changed[1].any()
    layer = painted.moles if kind == MOLES else painted.masks[:, KINDS.index(kind)]
    assert (layer[0][changed[0]] > 0).all() and layer[0].max() > 0.3
    others = [i for i, other in enumerate(KINDS) if other != kind]
    assert painted.masks[:, others].max() == 0
    assert (painted.moles.max() > 0) == (kind == MOLES)


def test_moles_stand_in_source_and_target_alike_and_blemishes_only_in_the_source(faces):
    both = [Blemish(MOLES, "flat_moles", 1.0, 1), Blemish("acne", "papules", 1.0, 2)]
    painted = paint(faces, [both, both])
    alone = paint(faces, [both[:1]] * 2)
    assert torch.equal(painted.target, alone.image) and torch.equal(alone.image, alone.target)
    assert not torch.equal(painted.target, faces)
    clean = painted.mask[:, 0] == 0
    assert torch.equal(painted.image.movedim(1, -1)[clean], painted.target.movedim(1, -1)[clean])


def test_degree_zero_and_no_blemish_leave_the_photo_to_the_bit(faces):
    painted = paint(faces, [[Blemish("acne", "nodules", 0.0, 5)], []])
    assert torch.equal(painted.image, faces) and torch.equal(painted.target, faces)
    assert painted.masks.max() == 0


def test_a_higher_degree_departs_further(faces):
    changes = []
    for degree in (0.3, 0.6, 1.0):
        painted = paint(faces[:1], [[Blemish("redness", "flush", degree, 5)]])
        changes.append(float((painted.image - painted.target).abs().mean()))
    assert 0 < changes[0] < changes[1] < changes[2]


def test_marks_lie_on_skin_and_not_on_eyes_or_background(faces):
    every = [Blemish(kind, form, 1.0, 11) for kind, form in EVERY_FORM]
    painted = paint(faces[:1], [every])
    away = paintable_skin(faces[:1])[:, 0] == 0
    assert away.float().mean() > 0.3
    assert torch.equal(painted.image.movedim(1, -1)[away], faces[:1].movedim(1, -1)[away])


def test_the_same_seed_paints_the_same_alone_and_in_a_batch(faces):
    wishes = [sample_blemishes(np.random.default_rng(i)) for i in range(2)]
    batch = paint(faces, wishes)
    alone = paint(faces[1:], wishes[1:])
    torch.testing.assert_close(batch.image[1:], alone.image, atol=1e-4, rtol=0)
    again = paint(faces, wishes)
    assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True))


def test_one_mask_for_all_kinds_is_the_same_photo(faces):
    wishes = [sample_blemishes(np.random.default_rng(i)) for i in range(2)]
    apart, together = paint(faces, wishes), paint(faces, wishes, by_kind=False)
    torch.testing.assert_close(apart.image, together.image, atol=1e-4, rtol=0)
    assert together.masks.shape == (2, 1, 128, 128)


def test_redness_takes_green_and_blue_but_not_red(faces):
    painted = paint(faces[:1], [[Blemish("acne", "papules", 1.0, 4)]])
    inside = painted.mask[0, 0] > 0.9
    ratio = ((painted.image + 1) / (painted.target + 1))[0][:, inside].mean(1)
    assert ratio[0] > 0.97 and ratio[1] < 0.9 and ratio[2] < 0.9


def test_sampling_keeps_its_bounds():
    rng = np.random.default_rng(0)
    for _ in range(20):
        drawn = sample_blemishes(rng, ("acne", "spots"), count=(1, 3), degrees=(0.2, 0.4))
        blemishes = [one for one in drawn if one.kind != MOLES]
        assert 1 <= len(blemishes) <= 3
        assert {one.kind for one in blemishes} <= {"acne", "spots"}
        assert all(0.2 <= one.degree <= 0.4 for one in drawn)
    assert sample_blemishes(rng, count=(0, 0), mole_probability=0.0) == ()


@pytest.mark.parametrize(
    ("blemish", "message"),
    [
        (Blemish("warts", "papules", 0.5, 0), "Unknown kind"),
        (Blemish("acne", "flush", 0.5, 0), "Unknown form"),
        (Blemish("acne", "papules", 1.5, 0), "degree"),
    ],
)
def test_a_wrong_blemish_is_named(faces, blemish, message):
    with pytest.raises(ValueError, match=message):
        paint(faces[:1], [[blemish]])


def test_lists_that_do_not_fit_the_photos_are_refused(faces):
    with pytest.raises(ValueError, match="1 lists"):
        paint(faces, [[]])
    with pytest.raises(ValueError, match="landmarks"):
        paint(faces, [[], []], torch.zeros(1, 478, 2))
