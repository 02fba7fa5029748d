import inspect
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frr.pipelines.mofrr.pipeline import MoFRRPipeline
from frr.pipelines.operations import OPERATIONS
from frr.pipelines.photos.faces import Alignment

SIDE = 64


def texture(seed: int = 0, size: tuple[int, int] = (SIDE, SIDE), mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(seed)
    bands = len(Image.new(mode, (1, 1)).getbands())
    levels = rng.integers(40, 216, (size[1], size[0], bands), dtype=np.uint8)
    return Image.fromarray(levels.squeeze()).convert(mode)


def same(first: Path | Image.Image, second: Path | Image.Image) -> bool:
    pictures = [Image.open(p) if isinstance(p, Path) else p for p in (first, second)]
    arrays = [np.asarray(picture) for picture in pictures]
    return arrays[0].shape == arrays[1].shape and bool((arrays[0] == arrays[1]).all())


def test_restores_and_reports(frr, photo, model):
    shown = frr("restore", photo, "-o", "out", "--model", model, "--operations", "whitening")
    report = json.loads(Path("out/one.json").read_text())
    assert Image.open("out/one.png").size == (SIDE, SIDE)
    assert report["photo"] == str(photo) and report["output"] == str(Path("out/one.png"))
    assert report["active"] == ["whitening"]
    assert tuple(report["routing"]) == tuple(report["degrees"]) == OPERATIONS
    assert all(0 <= report["routing"][name] <= 1 for name in OPERATIONS)
    assert report["degrees"]["whitening"] > 0
    assert set(report["seconds"]) == {"read", "restore", "write"}
    assert report["settings"]["operations"] == ["whitening"]
    default = inspect.signature(MoFRRPipeline.__call__).parameters["num_inference_steps"].default
    assert report["settings"]["num_inference_steps"] == default
    assert report["psnr"] is None and report["uncertainty"] is None
    assert f"{photo} -> out/one.png: whitening" in shown.stdout


def test_strength_zero_returns_the_pixels(frr, photo, model):
    frr("restore", photo, "-o", "out", "--model", model, "--strength", "0")
    assert same(Path("out/one.png"), photo)


def test_settings_reach_the_pipeline(frr, photo, model):
    options = ["--degree", "whitening=0.25", "--steps", "2", "--samples", "2", "--seed", "5"]
    wishes = {**dict.fromkeys(OPERATIONS, "off"), "whitening": "on"}
    options += ["--operations", ",".join(f"{name}={wish}" for name, wish in wishes.items())]
    frr("restore", photo, "-o", "out", "--model", model, *options, "--working-size", "32")
    report = json.loads(Path("out/one.json").read_text())
    assert report["degrees"]["whitening"] == 0.25
    assert report["active"] == ["whitening"]
    assert report["uncertainty"] >= 0
    settings = report["settings"]
    assert (settings["num_inference_steps"], settings["num_samples"], settings["seed"]) == (2, 2, 5)
    assert settings["working_size"] == 32 and settings["degrees"] == {"whitening": 0.25}


def test_a_seed_repeats_the_result(frr, photo, model):
    for folder in ("first", "second"):
        frr("restore", photo, "-o", folder, "--model", model, "--operations", "smoothing")
    assert same(Path("first/one.png"), Path("second/one.png"))


def test_folders_and_bad_files(frr, photo, model):
    folder = photo.parent
    texture(1).save(folder / "two.jpg")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden").write_text("not looked at")
    (folder / "cut.png").write_bytes(photo.read_bytes()[:200])
    shown = frr("restore", folder, "-o", "out", "--model", model, "gone.png", status=1)
    assert sorted(p.name for p in Path("out").glob("*.png")) == ["one.png", "two.png"]
    complaints = shown.stderr
    for name in ("notes.txt", "cut.png", "gone.png"):
        assert name in complaints
    assert ".hidden" not in complaints and "3 problem(s)" in complaints


def test_photos_of_one_name_get_numbers(frr, photo, model):
    texture(1).save(photo.with_suffix(".jpg"))
    frr("restore", photo.parent, "-o", "out", "--model", model, "--strength", "0")
    assert sorted(p.name for p in Path("out").glob("*.png")) == ["one-2.png", "one.png"]
    assert same(Path("out/one-2.png"), photo)


def test_an_original_is_never_overwritten(frr, photo, model):
    before = photo.read_bytes()
    for options in ([], ["--overwrite"]):
        shown = frr("restore", photo, "-o", photo.parent, "--model", model, *options, status=1)
        assert "overwrite a photo" in shown.stderr
        assert photo.read_bytes() == before
    linked = photo.parent.parent / "linked"
    linked.symlink_to(photo.parent)
    frr("restore", photo, "-o", linked, "--model", model, "--overwrite", status=1)
    assert photo.read_bytes() == before


def test_other_files_are_overwritten_only_when_told(frr, photo, model):
    Path("out").mkdir()
    Path("out/one.json").write_text("mine")
    shown = frr("restore", photo, "-o", "out", "--model", model, status=1)
    assert "--overwrite" in shown.stderr
    assert Path("out/one.json").read_text() == "mine" and not Path("out/one.png").exists()
    shown = frr("restore", photo, "-o", "out", "--model", model, "--overwrite", status=1)
    assert "no result of" in shown.stderr and Path("out/one.json").read_text() == "mine"
    Path("out/one.json").unlink()
    for options in ([], ["--overwrite"]):
        frr("restore", photo, "-o", "out", "--model", model, *options)
    assert json.loads(Path("out/one.json").read_text())["photo"] == str(photo)


def test_orientation_is_honoured(frr, photo, model):
    upright = texture(2, (64, 48))
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying: to be turned a quarter clockwise
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    lying.save(photo.with_name("lying.png"), exif=exif)
    options = ["--model", model, "--strength", "0"]
    frr("restore", photo.with_name("lying.png"), "-o", "out", *options)
    assert same(Path("out/lying.png"), upright)
    assert Image.open("out/lying.png").getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_alpha_is_kept(frr, photo, model, suffix):
    picture = texture(3, mode="RGBA")
    picture.save(photo.with_name("cutout.png"))
    options = ["--model", model, "--operations", "whitening", "--format", suffix]
    frr("restore", photo.with_name("cutout.png"), "-o", "out", *options)
    restored = Image.open(f"out/cutout.{suffix}")
    assert restored.mode == "RGBA"
    assert same(restored.getchannel("A"), picture.getchannel("A"))


def test_alpha_and_jpeg_do_not_go_together(frr, photo, model):
    texture(3, mode="RGBA").save(photo.with_name("cutout.png"))
    options = ["--model", model, "--format", "jpg"]
    shown = frr("restore", photo.with_name("cutout.png"), "-o", "out", *options, status=1)
    assert "transparency" in shown.stderr and not Path("out/cutout.jpg").exists()


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK"])
def test_other_colour_modes_come_back_as_rgb(frr, photo, model, mode):
    path = photo.with_name("other.tiff")
    texture(4).convert(mode).save(path)
    frr("restore", path, "-o", "out", "--model", model, "--strength", "0")
    assert same(Path("out/other.png"), texture(4).convert(mode).convert("RGB"))


def test_sixteen_bit_grey_is_reduced(frr, photo, model):
    levels = np.linspace(0, 65535, SIDE * SIDE).astype(np.uint16).reshape(SIDE, SIDE)
    Image.fromarray(levels).save(photo.with_name("deep.png"))
    frr("restore", photo.with_name("deep.png"), "-o", "out", "--model", model, "--strength", "0")
    restored = np.asarray(Image.open("out/deep.png"))
    assert (restored[..., 0] == levels // 257).all()


def test_an_animation_is_refused(frr, photo, model):
    frames = [texture(seed) for seed in range(3)]
    frames[0].save(photo.with_name("film.gif"), save_all=True, append_images=frames[1:])
    shown = frr("restore", photo.with_name("film.gif"), "-o", "out", "--model", model, status=1)
    assert "3 frames" in shown.stderr


def test_colour_profile_is_kept(frr, photo, model):
    texture(5).save(photo.with_name("p3.png"), icc_profile=b"a profile")
    frr("restore", photo.with_name("p3.png"), "-o", "out", "--model", model, "--strength", "0")
    assert Image.open("out/p3.png").info["icc_profile"] == b"a profile"


def test_reference_gives_psnr(frr, photo, model):
    truth = np.asarray(Image.open(photo)).astype(np.int16)
    path = photo.parent.parent / "truth" / "one.png"
    path.parent.mkdir()
    Image.fromarray((truth + 4).astype(np.uint8)).save(path)
    for reference in (path, path.parent):
        options = ["--model", model, "--strength", "0", "--overwrite", "--reference", reference]
        shown = frr("restore", photo, "-o", "out", *options)
        psnr = json.loads(Path("out/one.json").read_text())["psnr"]
        expected = 20 * np.log10(255 / 4)
        assert psnr == pytest.approx({"photo": expected, "restored": expected}, abs=1e-4)
        assert "PSNR 36.09 -> 36.09 dB" in shown.stdout


def test_an_equal_reference_is_null_in_json(frr, photo, model):
    options = ["--model", model, "--strength", "0", "--reference", photo]
    frr("restore", photo, "-o", "out", *options)
    assert json.loads(Path("out/one.json").read_text())["psnr"] == {"photo": None, "restored": None}


def test_a_missing_or_unfit_reference_is_reported(frr, photo, model):
    other = photo.parent.parent / "truth"
    other.mkdir()
    options = ["--model", model, "--reference", other]
    assert "0 files named one" in frr("restore", photo, "-o", "out", *options, status=1).stderr
    texture(0, (32, 32)).save(other / "one.png")
    assert "(32, 32)" in frr("restore", photo, "-o", "out", *options, status=1).stderr
    texture(1).save(photo.with_name("two.png"))
    options = ["--model", model, "--reference", other / "one.png"]
    assert "one file for 2" in frr("restore", photo.parent, "-o", "out", *options, status=2).stderr


def test_experts_are_written_as_pictures(frr, photo, model):
    options = ["--model", model, "--experts", "--operations", "whitening,face_slimming"]
    frr("restore", photo, "-o", "out", *options)
    written = sorted(p.name for p in Path("out/one_experts").iterdir())
    names = ("face_slimming", "shared", "whitening")
    assert written == sorted(f"{n}{kind}.png" for n in names for kind in ("", "_flow", "_residual"))
    for path in Path("out/one_experts").iterdir():
        assert Image.open(path).size == (SIDE, SIDE)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--operations", "whitening,botox"], "unknown operation 'botox'"),
        (["--operations", "whitening=maybe"], "on, off or auto"),
        (["--operations", "whitening=on,smoothing"], "mixes"),
        (["--degree", "whitening"], "NAME=NUMBER"),
        (["--degree", "whitening=1.5"], "between 0 and 1"),
        (["--degree", "whitening=nan"], "between 0 and 1"),
        (["--strength", "1.5"], "0<=x<=1"),
        (["--steps", "0"], "x>=1"),
    ],
)
def test_wrong_options_are_refused(frr, photo, model, options, complaint):
    shown = frr("restore", photo, "-o", "out", "--model", model, *options, status=2)
    assert complaint in shown.stderr and not Path("out").exists()


@pytest.mark.parametrize("name", ["no-such-model", "no/such/folder"])
def test_a_model_that_is_not_there_is_named(frr, photo, name):
    assert name in frr("restore", photo, "-o", "out", "--model", name, status=1).stderr


def test_a_device_that_is_not_there_is_named(frr, photo, model):
    shown = frr("restore", photo, "-o", "o", "--model", model, "--device", "nonsense", status=1)
    assert "--device nonsense" in shown.stderr


def test_half_precision_runs(frr, photo, model):
    options = ["--model", model, "--dtype", "bfloat16", "--operations", "whitening"]
    frr("restore", photo, "-o", "out", *options)
    assert Image.open("out/one.png").size == (SIDE, SIDE)


class Finder:
    """Finds what it was told to, wherever it looks."""

    def __init__(self, *faces: Alignment):
        self.faces = list(faces)

    def find(self, photo):
        return self.faces


@pytest.fixture
def whole_photo(tmp_path) -> Path:
    path = tmp_path / "photos" / "party.png"
    path.parent.mkdir(exist_ok=True)
    texture(3, (160, 120), "RGBA").save(path)
    return path


FACES = (Alignment(8.0, 8.0, 64.0, 0.0), Alignment(100.0, 60.0, 40.0, 6.0))


def plant(monkeypatch, *faces):
    monkeypatch.setattr("frr.commands.restoring.load_detector", lambda: Finder(*faces))


def test_faces_of_a_whole_photo(frr, whole_photo, model, monkeypatch):
    plant(monkeypatch, *FACES)
    shown = frr("restore", whole_photo, "-o", "out", "--model", model, "--faces", "all")
    before, after = Image.open(whole_photo), Image.open("out/party.png")
    assert after.size == before.size and after.mode == "RGBA"
    changed = (np.asarray(before)[..., :3] != np.asarray(after)[..., :3]).any(-1)
    assert not changed[90:, :90].any() and not changed[:50, 80:].any()
    report = json.loads(Path("out/party.json").read_text())
    assert [face["face"] for face in report["faces"]] == [1, 2]
    assert report["faces"][0]["corners"][0] == [8.0, 8.0]
    assert "2 face(s)" in shown.stdout
    assert report["settings"]["num_inference_steps"] >= 1


@pytest.mark.parametrize(("wish", "numbers"), [("largest", [1]), ("2", [2]), ("2,1", [2, 1])])
def test_chosen_faces(frr, whole_photo, model, monkeypatch, wish, numbers):
    plant(monkeypatch, *FACES)
    frr("restore", whole_photo, "-o", "out", "--model", model, "--faces", wish)
    report = json.loads(Path("out/party.json").read_text())
    assert [face["face"] for face in report["faces"]] == numbers


def test_faces_that_are_not_there(frr, whole_photo, model, monkeypatch):
    plant(monkeypatch, *FACES)
    shown = frr("restore", whole_photo, "-o", "o", "--model", model, "--faces", "3", status=1)
    assert "face 3 was asked for, but 2 were found" in shown.stderr
    plant(monkeypatch)
    shown = frr("restore", whole_photo, "-o", "o", "--model", model, "--faces", "all", status=1)
    assert "no face was found" in shown.stderr
    for wish in ("some", "0", "1,1"):
        frr("restore", whole_photo, "-o", "o", "--model", model, "--faces", wish, status=2)
    frr(
        "restore", whole_photo, "-o", "o", "--model", model, "--faces", "all", "--experts", status=2
    )


def test_without_the_extra_faces_says_what_to_install(frr, whole_photo, model, monkeypatch):
    monkeypatch.setattr("frr.pipelines.photos.detector.importlib.util.find_spec", lambda name: None)
    shown = frr("restore", whole_photo, "-o", "o", "--model", model, "--faces", "all", status=1)
    assert "pip install 'frr[identity]'" in shown.stderr
