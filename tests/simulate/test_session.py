"""Sessions of a beauty app: versions of one photo, what undoes them, and draws."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from frr.pipelines.simulate import bank
from frr.pipelines.simulate.landmarks import FaceRegions, canonical_mesh
from frr.pipelines.simulate.recipe import OPERATIONS, Step
from frr.pipelines.simulate.session import Session, perform, sample_session
from frr.pipelines.simulate.warp import warp_image

SIZE = 96
POINTS = canonical_mesh()[None]
ORDER = ("smoothing", "whitening", "face_slimming", "eye_enlarging")
MIDDLE = (0.5,) * 4
FINISHES = (("sharpening", 0.8, MIDDLE), ("tint", 0.6, MIDDLE))
EACH = [(name,) for name in ORDER]


def photo():
    """A smooth picture of the colours of skin, so that resampling loses next to nothing."""
    coarse = torch.rand(1, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    smooth = F.interpolate(coarse, (SIZE, SIZE), mode="bicubic", align_corners=False)
    skin = torch.tensor([0.75, 0.55, 0.45]).view(1, 3, 1, 1)
    return ((skin + 0.3 * (smooth - 0.5)) * 2 - 1).clamp(-1, 1)


def session(operations=ORDER, degree=1.0, finishes=(), **options):
    steps = {name: Step(name, bank.seen(name)[0], degree) for name in operations}
    return Session(steps, finishes, **options)


def run(app, *choices):
    return perform(app, photo(), POINTS, choices)


def finished(image, finishes):
    for name, amount, variation in finishes:
        face = FaceRegions(POINTS, SIZE, SIZE, image)
        amounts, variations = torch.tensor([amount]), torch.tensor([variation])
        image = bank.finish(name)(image, amounts, variations, face)
    return image.clamp(-1, 1)


def test_with_nothing_chosen_the_photo_is_untouched():
    versions = run(session(), (), ORDER)
    assert torch.equal(versions.image[:1], photo())
    assert not versions.effects[0].any()
    assert not torch.equal(versions.image[1:], photo())


def test_with_nothing_chosen_the_finishes_stay():
    versions = run(session(finishes=FINISHES), ())
    assert torch.allclose(versions.image, finished(photo(), FINISHES), atol=1e-6)
    assert not torch.allclose(versions.image, photo(), atol=2e-3)
    assert not versions.effects.any()


def test_a_session_without_operations_is_its_finishes():
    versions = run(Session(finishes=FINISHES), (), ())
    assert versions.image.shape == (2, 3, SIZE, SIZE)
    assert torch.allclose(versions.image[:1], finished(photo(), FINISHES), atol=1e-6)
    assert versions.effects.shape == (2, 0)


def test_what_the_app_does_not_offer_is_refused():
    with pytest.raises(ValueError, match="face_slimming"):
        run(session(("smoothing", "whitening")), ("smoothing", "face_slimming"))


@pytest.mark.parametrize("warps_first", [False, True])
def test_the_same_session_gives_the_same_and_leaves_the_photo_alone(warps_first):
    app, given = session(finishes=FINISHES, warps_first=warps_first), photo()
    first, second = (perform(app, given, POINTS, [ORDER, ()]) for _ in range(2))
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    assert torch.equal(given, photo())


def test_a_version_does_not_depend_on_the_others():
    app = session(finishes=FINISHES, warps_first=True)
    together = run(app, *EACH, ORDER)
    for row, chosen in enumerate([*EACH, ORDER]):
        alone = run(app, chosen)
        assert torch.allclose(together.image[row], alone.image[0], atol=1e-5)
        assert torch.allclose(together.effects[row], alone.effects[0], atol=1e-5)


def test_effects_stand_where_an_operation_was_chosen():
    versions = run(session(), *EACH)
    assert versions.effects.shape == (4, 4)
    assert (versions.effects.diagonal() > 0.05).all()
    assert not (versions.effects - versions.effects.diagonal().diag()).any()


def test_degree_zero_is_no_effect():
    versions = run(session(degree=0.0), ORDER)
    assert torch.allclose(versions.image, photo(), atol=1e-5)
    assert versions.effects.abs().max() < 1e-3
    assert versions.undoing.abs().max() == 0


@pytest.mark.parametrize("resampling", ["bilinear", "bicubic"])
@pytest.mark.parametrize("operation", ["face_slimming", "eye_enlarging"])
def test_the_undoing_flow_brings_the_photo_back(operation, resampling):
    versions = run(session(resampling=resampling), (operation,))
    place = ORDER.index(operation)
    back = warp_image(versions.image, versions.undoing[place : place + 1], "bicubic")
    moved, left = ((image - photo()).abs().mean() for image in (versions.image, back))
    assert moved > 3e-4
    assert left < 0.15 * moved
    assert not versions.undoing[:2].any()


def test_sampled_once_or_twice_the_face_ends_in_one_place():
    once, twice = (run(session(resampled_once=each), ORDER).image for each in (True, False))
    assert not torch.equal(once, twice)
    assert (once - twice).abs().mean() < 2e-3


def test_warps_come_first_or_last():
    app = session(("smoothing", "face_slimming"))
    last = run(app, ("smoothing",)).image
    flow = bank.ALGORITHMS["face_slimming"][bank.seen("face_slimming")[0]](
        POINTS, torch.ones(1), torch.tensor([MIDDLE]), SIZE, SIZE
    )
    expected = warp_image(last, flow).clamp(-1, 1)
    assert torch.allclose(run(app, ("smoothing", "face_slimming")).image, expected, atol=1e-5)
    before = run(session(("smoothing", "face_slimming"), warps_first=True), app.steps)
    assert not torch.allclose(before.image, expected, atol=1e-4)


def draw(count, operations=OPERATIONS, **options):
    return [sample_session(np.random.default_rng(s), operations, **options) for s in range(count)]


def test_draws_follow_the_seed():
    assert draw(10) == draw(10)
    assert len({str(each) for each in draw(50)}) == 50


def test_draws_offer_every_operation_with_warps_at_the_end():
    texture_first, still = 0, [name for name in OPERATIONS if name not in bank.GEOMETRIC]
    for app in draw(200):
        assert set(app.steps) == set(OPERATIONS)
        names = list(app.steps)
        assert set(names[len(still) :]) == bank.GEOMETRIC
        assert all(step.operation == name for name, step in app.steps.items())
        texture_first += names[0] == "smoothing"
    share = 0.7 + 0.3 / len(still)  # always first in 70 %, in any order in the rest
    assert texture_first == pytest.approx(200 * share, abs=20)


def test_draws_keep_to_their_split_and_degrees():
    for split, known in (("seen", bank.seen), ("unseen", bank.unseen), ("all", bank.algorithms)):
        for app in draw(30, split=split, degrees=(0.2, 0.6)):
            for name, step in app.steps.items():
                assert step.algorithm in known(name)
                assert 0.2 <= step.degree <= 0.6
    degrees = [step.degree for app in draw(200, degrees=(0.0, 1.0)) for step in app.steps.values()]
    assert np.mean(degrees) == pytest.approx(1 / 1.6, abs=0.03)


def test_finishes_come_as_often_as_the_bank_says():
    apps = draw(400)
    for name, share in bank.FINISHES.items():
        found = np.mean([any(each == name for each, _, _ in app.finishes) for app in apps])
        assert found == pytest.approx(share, abs=0.08)


def test_unknown_splits_operations_and_finishes_are_refused():
    with pytest.raises(ValueError, match="'test'"):
        draw(1, split="test")
    with pytest.raises(ValueError, match="teeth"):
        draw(1, ("teeth",))
    with pytest.raises(ValueError, match="vignette"):
        run(Session(finishes=(("vignette", 1.0, MIDDLE),)), ())
