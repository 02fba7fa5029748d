import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frr.pipelines.operations import OPERATIONS
from frr.pipelines.simulate import bank
from frr.pipelines.simulate.landmarks import canonical_mesh
from frr.pipelines.simulate.recipe import Recipe

ONE = ["--operations", "whitening", "--degree", "whitening=0.9"]


def pixels(path: str | Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(np.int16)


def test_writes_photo_and_recipe(frr, photo):
    frr("simulate", photo, "-o", "out")
    recipe = Recipe.from_json(Path("out/one.json").read_text())
    assert sorted(s.operation for s in recipe.steps) == sorted(OPERATIONS)
    assert np.abs(pixels("out/one.png") - pixels(photo)).mean() > 0.5


def test_wishes_are_granted(frr, photo):
    frr("simulate", photo, "-o", "out", *ONE, "--algorithm", "whitening=log_curve")
    (step,) = Recipe.from_json(Path("out/one.json").read_text()).steps
    assert (step.operation, step.algorithm, step.degree) == ("whitening", "log_curve", 0.9)
    assert (pixels("out/one.png") - pixels(photo)).mean() > 2


def test_degree_zero_changes_nothing(frr, photo):
    frr("simulate", photo, "-o", "out", "--operations", "whitening", "--degree", "whitening=0")
    assert (pixels("out/one.png") == pixels(photo)).all()


def test_seed_and_name_fix_the_recipe(frr, photo):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        frr("simulate", photo, "-o", folder, "--seed", seed)
    first, second, third = (Path(folder, "one.json").read_text() for folder in "abc")
    assert first == second != third
    Image.open(photo).save(photo.with_name("two.png"))
    frr("simulate", photo.with_name("two.png"), "-o", "a", "--seed", 1)
    assert Path("a/two.json").read_text() != first


def test_a_recipe_is_repeated(frr, photo):
    frr("simulate", photo, "-o", "a", "--seed", 3, "--lossy", 1)
    frr("simulate", photo, "-o", "b", "--recipe", "a/one.json")
    assert Path("a/one.json").read_text() == Path("b/one.json").read_text()
    assert (pixels("a/one.png") == pixels("b/one.png")).all()


def test_alpha_is_kept(frr, photo):
    picture = Image.open(photo).convert("RGBA")
    picture.putalpha(77)
    picture.save(photo)
    frr("simulate", photo, "-o", "out", *ONE)
    assert Image.open("out/one.png").getchannel("A").getextrema() == (77, 77)


def test_landmarks_say_where_the_face_is(frr, photo):
    points = canonical_mesh().numpy() * 64
    np.savez("here.npz", names=["one.png"], points=points[None])
    np.savez("left.npz", names=["one.png"], points=points[None] * 0.5)
    np.savez("other.npz", names=["two.png"], points=points[None])
    wish = ["--operations", "eye_enlarging", "--degree", "eye_enlarging=1"]
    frr("simulate", photo, "-o", "mean", *wish)
    frr("simulate", photo, "-o", "here", *wish, "--landmarks", "here.npz")
    frr("simulate", photo, "-o", "left", *wish, "--landmarks", "left.npz")
    assert np.abs(pixels("mean/one.png") - pixels("here/one.png")).max() <= 1
    changed = np.abs(pixels("left/one.png") - pixels(photo)).max(-1) > 0
    assert changed[:32, :32].any() and not changed[32:, 32:].any()
    shown = frr("simulate", photo, "-o", "x", *wish, "--landmarks", "other.npz", status=1)
    assert "no points" in shown.stderr


def test_bad_files_are_named_and_others_go_on(frr, photo):
    photo.with_name("bad.png").write_text("no picture")
    shown = frr("simulate", photo.parent, "-o", "out", *ONE, status=1)
    assert "bad.png" in shown.stderr and Path("out/one.png").exists()


def test_photos_are_not_overwritten(frr, photo):
    before = photo.read_bytes()
    assert "overwrite" in frr("simulate", photo, "-o", photo.parent, *ONE, status=1).stderr
    assert photo.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--operations", "botox"], "unknown operation 'botox'"),
        (["--operations", "whitening", "--degree", "smoothing=1"], "unknown operation"),
        (["--algorithm", "whitening=magic"], "the algorithms of whitening are"),
        (["--recipe", "broken.json"], "broken.json"),
        (["--landmarks", "broken.json"], "broken.json"),
        (["--split", "third"], "third"),
    ],
)
def test_wrong_options_are_refused(frr, photo, options, complaint):
    Path("broken.json").write_text(json.dumps({"steps": 3}))
    assert complaint in frr("simulate", photo, "-o", "out", *options, status=2).stderr


def test_contact_sheets_show_every_algorithm_at_every_degree(frr, photo):
    frr("simulate", photo, "-o", "out", "--sheet", "--operations", "whitening,eye_enlarging")
    written = sorted(path.name for path in Path("out").glob("*.png"))
    assert written == ["one_eye_enlarging.png", "one_whitening.png"]
    sheet = pixels("out/one_whitening.png")
    band = sheet.shape[0] // len(bank.algorithms("whitening"))
    assert sheet.shape[1] == 5 * 64 and band > 64
    first = sheet[band - 64 : band]
    assert (first[:, :64] == pixels(photo)).all()
    assert first[:, 256:].mean() > first[:, :64].mean() + 2
