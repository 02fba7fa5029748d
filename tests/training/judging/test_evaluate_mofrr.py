"""Evaluation, on pipelines whose answers are known beforehand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from frr.pipelines.operations import OPERATIONS
from frr.training.data.faces import FaceSet
from frr.training.judging.conditions import MIXED, UNTOUCHED, Condition, conditions_of, recipe_for
from frr.training.judging.evaluate_mofrr import evaluate
from frr.training.judging.thresholds import calibrated_thresholds
from frr.training.publishing.assemble_mofrr import fresh_pipeline


@pytest.fixture(scope="module")
def faces(three_faces):
    return three_faces


HALVES = (0.5,) * len(OPERATIONS)
CONDITIONS = len(OPERATIONS) + 2
PHOTOS = 3 * CONDITIONS


class Pipe:
    """Stands in for a pipeline; `restore` maps photos B 3 H W in [0, 1] to restored ones."""

    operations = OPERATIONS

    def __init__(self, restore, route=None, thresholds=HALVES, router=True):
        self.restore, self.route, self.calls = restore, route, []
        config = SimpleNamespace(thresholds=thresholds, operations=OPERATIONS)
        self.router = SimpleNamespace(config=config) if router else None

    def __call__(self, image, *, generator, output_type, operations=None, **options):
        assert output_type == "pt" and len(generator) == len(image)
        self.calls.append(SimpleNamespace(image=image, operations=operations, options=options))
        if operations is not None:
            active = torch.tensor([[operations[name] for name in OPERATIONS]] * len(image))
            routing = active.float()
        else:
            routing = self.route(image)
            active = routing >= torch.tensor(self.router.config.thresholds)
        return SimpleNamespace(
            images=self.restore(image, generator),
            routing=routing,
            active=active,
            degrees=torch.where(active, 0.5, 0.0),
        )


def copy(image, generator):
    return image.clone()


def oracle(faces):
    """Gives back the nearest original: three unlike faces can be told apart after any retouch."""
    originals = faces.images.float() / 255

    def restore(image, generator):
        return originals[torch.cdist(image.flatten(1), originals.flatten(1)).argmin(1)]

    return restore


def test_doing_nothing_scores_the_copy_row(faces):
    pipe = Pipe(copy)
    result = evaluate(pipe, faces, splits=("seen",), batch_size=2)
    assert [row.condition for row in result.restoration] == [*OPERATIONS, MIXED, UNTOUCHED]
    for row in result.restoration:
        assert row.photos == 3 and row.unchanged == 1 and row.improved == 0
        assert row.lift == pytest.approx(0, abs=1e-4)
        assert row.restored_ssim == pytest.approx(row.copy_ssim, abs=1e-6)
    touched = [row.copy_psnr for row in result.restoration[:-1]]
    assert all(15 < value < 60 for value in touched)
    assert result.row("seen", UNTOUCHED).copy_psnr == 100  # infinite, capped
    assert result.router == () and result.baseline is None


def test_perfect_restoration_scores_the_cap(faces):
    result = evaluate(Pipe(oracle(faces)), faces, splits=("unseen",))
    for row in result.restoration[:-1]:
        assert row.restored_psnr == 100 and row.improved == 1 and row.unchanged == 0
        assert row.restored_ssim == pytest.approx(1) and row.lift == 100 - row.copy_psnr
    untouched = result.row("unseen", UNTOUCHED)
    assert untouched.unchanged == 1 and untouched.improved == 0


def test_given_operations_are_the_applied_ones_and_degrees_are_not_given(faces):
    pipe = Pipe(copy)
    evaluate(pipe, faces, splits=("seen",), steps=3)
    truth = [
        {step.operation for step in recipe_for(condition, name, 0).steps}
        for condition in conditions_of("seen")
        for name in faces.names
    ]
    forced = [
        {name for name, on in call.operations.items() if on}
        for call in pipe.calls
        for _ in call.image
    ]
    assert sorted(map(sorted, forced)) == sorted(map(sorted, truth))
    assert all(call.options == {"num_inference_steps": 3} for call in pipe.calls)


def test_results_do_not_hang_on_the_batch_size(faces):
    def noisy(image, generator):
        noise = [torch.rand(image.shape[1:], generator=each) for each in generator]
        return (image + 0.1 * torch.stack(noise)).clamp(0, 1)

    first, second = (
        evaluate(Pipe(noisy), faces, splits=("seen",), batch_size=size) for size in (1, 3)
    )
    for a, b in zip(first.restoration, second.restoration, strict=True):
        assert a.restored_psnr == pytest.approx(b.restored_psnr, abs=1e-6)
        assert a.copy_psnr == pytest.approx(b.copy_psnr, abs=1e-6)


def test_exported_rows_are_harder_to_copy(faces):
    result = evaluate(Pipe(copy), faces, splits=("seen",), exported=True)
    exported = [row.exported for row in result.restoration]
    assert exported == [False] * CONDITIONS + [True] * CONDITIONS
    plain, lossy = result.row("seen", UNTOUCHED), result.row("seen", UNTOUCHED, exported=True)
    assert plain.copy_psnr == 100 and 20 < lossy.copy_psnr < 60
    assert lossy.unchanged == 1  # unchanged is against the photo as it came


def test_the_router_is_judged_over_all_conditions(faces):
    def whitening_only(image):
        """Sure of whitening everywhere, of nothing else: AUC a half, half of it right."""
        routing = torch.zeros(len(image), len(OPERATIONS))
        routing[:, 0] = 0.9
        return routing

    pipe = Pipe(copy, whitening_only)
    result = evaluate(pipe, faces, routing="router", splits=("seen",))
    assert all(call.operations is None for call in pipe.calls)
    whitening, smoothing = result.router[0], result.router[1]
    assert [row.operation for row in result.router] == list(OPERATIONS)
    assert whitening.photos == PHOTOS and whitening.threshold == 0.5
    assert whitening.auc == 0.5 == whitening.balanced_accuracy == smoothing.auc
    assert whitening.false_alarms == 1 and smoothing.false_alarms == 0
    mixed = [recipe_for(Condition("seen", MIXED), name, 0) for name in faces.names]
    degrees = [recipe.degrees()[0] for recipe in mixed]
    degrees += [recipe_for(Condition("seen", "whitening"), n, 0).degrees()[0] for n in faces.names]
    present = [degree for degree in degrees if degree > 0]
    assert whitening.accuracy == pytest.approx(len(present) / PHOTOS)
    expected = np.mean([abs(0.5 - degree) for degree in present])
    assert whitening.degree_error == pytest.approx(expected, abs=1e-6)
    assert smoothing.degree_error is None
    assert result.mean_auc("seen") == 0.5


def test_progress_ends_at_the_number_of_photos(faces):
    seen = []
    evaluate(Pipe(copy), faces, splits=("seen",), progress=lambda *numbers: seen.append(numbers))
    assert seen[-1] == (PHOTOS, PHOTOS)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_identity_is_measured_where_a_face_is_found(faces):
    class Embedder:
        """The mean colour is the identity; the tinted face is not found."""

        def find(self, image):
            return None if image.float().mean() < 50 else "box"

        def embed(self, image, box):
            return image.double().mean((1, 2)).numpy()

    dark = FaceSet(
        (faces.images.float() * torch.tensor([1, 1, 0.1])[:, None, None, None]).byte(),
        None,
        faces.names,
    )
    persons = {"a.png": "ann", "b.png": "ann", "c.png": "bob"}
    result = evaluate(
        Pipe(oracle(dark)), dark, splits=("seen",), embedder=Embedder(), persons=persons
    )
    row = result.row("seen", "whitening")
    assert row.identity_photos == 2 and row.identity_restored == pytest.approx(0, abs=1e-9)
    assert row.identity_retouched > 0.1
    assert result.baseline.same_pairs == 1 and result.baseline.different_person is None
    assert result.baseline.same_person == pytest.approx(0, abs=0.5)  # a mirror image


def test_settings_that_cannot_be_met(faces):
    with pytest.raises(ValueError, match="routing must be"):
        evaluate(Pipe(copy), faces, routing="guess")
    with pytest.raises(ValueError, match="no router"):
        evaluate(Pipe(copy, router=False), faces, routing="router")


def test_a_real_pipeline_with_fresh_networks_changes_nothing(faces):
    pipe = fresh_pipeline()
    pipe.set_progress_bar_config(disable=True)
    given = evaluate(pipe, faces, splits=("seen",), steps=1)
    assert all(row.lift == pytest.approx(0, abs=1e-3) for row in given.restoration)
    routed = evaluate(pipe, faces.select([0, 2]), splits=("seen",), steps=1, routing="router")
    assert len(routed.router) == len(OPERATIONS) and all(0 <= row.auc <= 1 for row in routed.router)
    assert routed.row("seen", UNTOUCHED).restored_psnr > 90
    thresholds = calibrated_thresholds(pipe.router, faces, max_false_positive_rate=0.4)
    assert len(thresholds) == len(OPERATIONS) and all(0 < value < 1 for value in thresholds)
