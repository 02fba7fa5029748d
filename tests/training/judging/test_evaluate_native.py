"""Judging at the photo's own size: one look at a photo says what the pipeline would do to it."""

import pytest
import torch

from frr.pipelines.operations import OPERATIONS
from frr.training.data.faces import spread
from frr.training.data.native_capture import open_faces
from frr.training.judging.evaluate_native import (
    Judge,
    decibels,
    drifts,
    judge,
    subsets,
)
from frr.training.judging.native_world import World, photos_of
from frr.training.judging.report_native import evaluation_of, from_json, to_json, to_markdown

CONDITIONS = ["untouched", *OPERATIONS, "mixed"]


@pytest.fixture(scope="module")
def faces(native_faces):
    return open_faces(native_faces, ["real"])


@pytest.fixture(scope="module")
def photos(faces):
    return list(photos_of(faces.read(0), 170, "seen", World(seed=3), OPERATIONS))


@pytest.fixture(scope="module")
def judged(native_pipe, faces):
    world = World(seed=3, sides=(160, 190))
    ticks = []
    found = list(
        judge(
            native_pipe,
            faces,
            world,
            limit=2,
            all_choices=True,
            progress=lambda *numbers: ticks.append(numbers),
        )
    )
    assert ticks == [(1, 4), (2, 4), (3, 4), (4, 4)]
    return found


def test_faces_are_spread_evenly_and_go_through_the_sides(native_faces):
    faces = open_faces(native_faces, ["real", "drawn"])
    assert spread(6) == spread(6, 0) == spread(6, 9) == [0, 1, 2, 3, 4, 5]
    assert spread(6, 4) == [0, 1, 3, 4]
    shown = list(World(sides=(160, 512)).shown(faces, 4))
    assert [face.name for face, _ in shown] == [faces.files[at].name for at in (0, 1, 3, 4)]
    assert [side for _, side in shown] == [160, 197, 160, 197]  # 197 px is the most they hold


def test_a_face_is_shown_in_all_conditions_by_one_app(photos):
    assert [photo.condition for photo in photos] == CONDITIONS
    assert len({photo.image.shape for photo in photos}) == 1
    for photo in photos:
        applied = {name for name, effect in photo.effects.items() if effect > 0}
        if photo.condition in OPERATIONS:
            assert applied <= {photo.condition}
        assert torch.equal(photo.target, photos[0].image)
        levels = photo.image * 127.5 + 127.5
        assert (levels - levels.round()).abs().max() < 1e-3
    assert torch.equal(photos[0].image, photos[0].target)
    assert len({n for n, effect in photos[-1].effects.items() if effect > 0}) >= 2


def test_photos_hang_on_seed_and_name_alone(faces, photos):
    again = list(photos_of(faces.read(0), 170, "seen", World(seed=3), OPERATIONS))
    other = list(photos_of(faces.read(0), 170, "seen", World(seed=4), OPERATIONS))
    assert all(torch.equal(a.image, b.image) for a, b in zip(photos, again, strict=True))
    assert not torch.equal(photos[0].image, other[0].image)


@pytest.mark.parametrize("undone", [(), ("whitening",), OPERATIONS[1:3], OPERATIONS])
def test_one_look_says_what_the_pipeline_does(native_pipe, photos, undone):
    photo = photos[-1]
    said = Judge(native_pipe)(photo, "a", "seen", all_choices=True)
    unit = (photo.image + 1) / 2
    output = native_pipe(
        unit,
        operations=dict.fromkeys(OPERATIONS, False) | dict.fromkeys(undone, True),
        output_type="pt",
    )
    expected = decibels(output.images * 2 - 1, photo.target)
    assert said.restored(undone) == pytest.approx(expected, abs=0.02)
    routing = native_pipe(unit, output_type="pt").routing[0].tolist()
    assert list(said.probabilities.values()) == pytest.approx(routing, abs=1e-4)


def test_only_what_is_asked_for_is_restored(native_pipe, photos):
    photo = Judge(native_pipe)(photos[2], "a", "seen", all_choices=False)
    found = photo.key(photo.found(Judge(native_pipe).thresholds))
    assert set(photo.decibels) == {"", *OPERATIONS, found}


def test_every_face_is_judged_in_every_condition(judged):
    assert [photo.condition for photo in judged] == CONDITIONS * 4
    assert [photo.split for photo in judged] == ["seen"] * 12 + ["unseen"] * 12
    assert {photo.native for photo in judged} == {160, 190}
    assert all(len(photo.decibels) == 16 for photo in judged)
    assert judged[0].restored(()) == 100.0


def test_a_model_of_another_kind_is_refused(native_pipe, faces):
    pipe = type(native_pipe)(**{**native_pipe.components, "router": None})
    with pytest.raises(ValueError, match="without --world real"):
        next(judge(pipe, faces))


def test_an_evaluation_is_written_and_read(judged):
    thresholds = dict.fromkeys(OPERATIONS, 0.5)
    result = evaluation_of(judged, thresholds, seed=3, sides=(160, 190))
    assert from_json(to_json(result)) == result
    assert result.faces == 2
    text = to_markdown(result)
    row = result.lift("seen", "whitening", "given")
    assert f"{row.lift:+.2f}" in text and "By JPEG quality" in text
    with pytest.raises(ValueError, match="not evaluated"):
        result.lift("seen", "mixed", "asked")
    with pytest.raises(ValueError, match="Not an evaluation"):
        from_json("{}")


def test_subsets_are_all_of_them():
    assert list(subsets("ab")) == [(), ("a",), ("b",), ("a", "b")]


class Mean:
    """Stands in for an embedder: a photo's mean colour; a face is found in bright photos."""

    def find(self, image):
        return "box" if image.float().mean() > 100 else None

    def embed(self, image, box):
        assert box == "box"
        return image.double().mean((1, 2)).numpy() / 255


def test_drift_is_measured_against_the_true_photo():
    target = torch.zeros(1, 3, 64, 64)
    brighter = torch.full_like(target, 0.2)
    found = drifts(Mean(), target, {"retouched": brighter, "given": target})
    assert found == {"retouched": pytest.approx(25 / 255 * 3**0.5, abs=1e-4), "given": 0}
    assert drifts(Mean(), target - 1, {"retouched": target}) == {}


def test_identity_and_other_forms_are_judged(native_pipe, photos):
    judge = Judge(native_pipe, Mean())
    kept = {p.condition: judge(p, "a", "seen", False) for p in photos if p.condition != "mixed"}
    slimmed, untouched = kept["face_slimming"], kept["untouched"]
    assert set(slimmed.distances) <= {"retouched", "given", "router"}
    assert not untouched.distances
    for form in ("JPEG 90", "resized by 0.8"):
        assert tuple(untouched.forms[form]) == untouched.operations
