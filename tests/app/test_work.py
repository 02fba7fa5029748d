"""What the page asks of the pipelines, without a web page."""

import base64

import numpy as np
import pytest
from app_pictures import data_url, picture_in
from PIL import Image

from frr.app.pictures import MAX_BYTES, SHOWN, as_png, as_shown, read_photo


def test_a_photo_comes_and_goes_to_the_bit():
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8))
    assert read_photo(as_png(photo)).tobytes() == photo.tobytes()


def test_what_is_shown_is_small_and_on_white():
    photo = Image.new("RGBA", (2 * SHOWN, SHOWN), (10, 20, 30, 0))
    shown = picture_in(as_shown(photo))
    assert shown.size == (SHOWN, SHOWN // 2)
    assert np.asarray(shown).min() > 250


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "Choose a photo"),
        ("", "Choose a photo"),
        ("https://example.org/a.png", "as a data URL"),
        ("file:///etc/passwd", "as a data URL"),
        ("data:image/png;base64,%%%", "not base64"),
        ("data:image/png;base64," + base64.b64encode(b"no picture").decode(), "cannot be read"),
        (["data:image/png;base64,"], "Choose a photo"),
    ],
)
def test_what_is_no_photo_is_told_in_words(data, words):
    with pytest.raises(ValueError, match=words) as error:
        read_photo(data)
    assert "0x" not in str(error.value)


def test_too_large_a_file_is_refused_unread():
    with pytest.raises(ValueError, match="at most 12 MB"):
        read_photo("data:image/png;base64," + "A" * (MAX_BYTES * 4 // 3 + 8))


def test_too_many_pixels_are_refused_before_they_are_decoded(monkeypatch):
    data = data_url(Image.new("RGB", (300, 200)))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="300 x 200 pixels, expected at most 59999"):
        read_photo(data, max_pixels=59_999)


def test_the_page_says_what_the_pipeline_does(worker, examples):
    photo = examples["restore"]["retouched"].resize((256, 256))
    switches = dict.fromkeys(worker.operations, "auto") | {"whitening": True, "smoothing": False}
    shown, bars = worker.restore(data_url(photo), 1.0, switches, {"whitening": 0.5})
    output = worker.mofrr(photo, operations=switches, degrees={"whitening": 0.5})
    assert picture_in(shown["result"]).tobytes() == output.images[0].tobytes()
    assert [bar["operation"] for bar in bars] == list(worker.operations)
    assert [bar["undone"] for bar in bars] == output.active[0].tolist()
    assert [bar["probability"] for bar in bars] == pytest.approx(
        output.routing[0].tolist(), abs=1e-4
    )
    assert [bar["threshold"] for bar in bars] == list(worker.mofrr.router.config.thresholds)
    assert bars[0]["degree"] == 0.5
    assert "skin whitening (degree 0.50)" in shown["says"]


def test_all_left_gives_the_photo_back(worker, examples):
    photo = examples["restore"]["untouched"].resize((200, 200))
    shown, _ = worker.restore(data_url(photo), 1.0, dict.fromkeys(worker.operations, False), {})
    assert picture_in(shown["result"]).tobytes() == photo.tobytes()
    assert "comes back as it is" in shown["says"]


def test_retouching_lists_what_it_healed(worker, examples):
    photo = examples["retouch"]["blemishes"]
    shown, findings = worker.retouch(data_url(photo), 1.0, list(worker.kinds))
    assert picture_in(shown["result"]).size == photo.size
    assert {each["kind"] for each in findings} <= set(worker.kinds)
    assert any(each["kind"] == "spots" for each in findings)
    _, spots = worker.retouch(data_url(photo), 1.0, ["spots"])
    assert {each["kind"] for each in spots} <= {"spots"}
    shown, _ = worker.retouch(data_url(photo), 0.0, list(worker.kinds))
    assert picture_in(shown["result"]).tobytes() == photo.tobytes()
