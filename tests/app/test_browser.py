"""The page in a real browser, as a person uses it.

Screenshots are kept in FRR_SCREENSHOTS (default: the test's temporary folder).
"""

from pathlib import Path

import pytest
from app_browser import CHROMIUM, browser, choose, run

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium: nothing was tested in a browser")


@pytest.fixture(scope="module")
def page(address, tmp_path_factory):
    """The page, opened; fails on any error of it and on any request to another machine."""
    errors, strangers = [], []
    with browser(tmp_path_factory.mktemp("profile")) as context:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                strangers.append(asked.url)
                if asked.url.startswith("http") and not asked.url.startswith(address)
                else None
            ),
        )
        page.goto(address)
        page.wait_for_selector("#frr-photo-restore input")
        yield page
    assert errors == []
    assert strangers == []


@pytest.fixture
def shot(page, shots):
    return lambda name: page.screenshot(path=shots / f"{name}.png", full_page=True)


@pytest.fixture(scope="module")
def photo(examples, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "portrait.jpg"
    examples["restore"]["retouched"].save(path, quality=92)
    return path


def test_limits_are_in_view(page, shot):
    shot("start")
    limits = page.locator(".frr-limits").first
    assert "estimate, not evidence" in limits.inner_text()
    assert "Consent" in limits.inner_text()
    assert limits.bounding_box()["y"] < 600


def test_upload_verdict_override_and_slider(page, photo, shot):
    choose(page, photo)
    page.wait_for_selector("#frr-photo-restore img")
    run(page, "frr-restore", "frr-restored")
    meters = page.locator("#frr-verdict [role=meter]")
    assert meters.count() == 4
    for meter in meters.all():
        assert 0 <= float(meter.get_attribute("aria-valuenow")) <= 1
        assert meter.bounding_box()["width"] > 50
    shot("restored")

    group = page.locator("#frr-switch-face_slimming")
    group.get_by_label("undo").check()
    said = run(page, "frr-restore", "frr-restored")
    assert "face slimming (degree" in said
    assert "undone" in page.inner_text("#frr-verdict [data-operation=face_slimming]")
    group.get_by_label("leave").check()
    assert "face slimming" not in run(page, "frr-restore", "frr-restored")
    group.get_by_label("undo").check()
    run(page, "frr-restore", "frr-restored")

    slider = page.get_by_label("Before and after").first
    clip = "getComputedStyle(document.querySelector('#frr-restored .frr-after')).clipPath"
    assert page.evaluate(clip) == "inset(0px 0px 0px 50%)"
    box = slider.bounding_box()
    page.mouse.click(box["x"] + 0.2 * box["width"], box["y"] + 0.5 * box["height"])
    at = float(slider.input_value())
    assert 10 < at < 30
    assert page.evaluate(clip) == f"inset(0px 0px 0px {at:g}%)"
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert float(slider.input_value()) > at
    shot("overridden")


def test_result_is_saved_at_the_photos_size(page, photo, tmp_path):
    from PIL import Image

    choose(page, photo)
    run(page, "frr-restore", "frr-restored")
    with page.expect_download() as download:
        page.click("#frr-restored a")
    path = tmp_path / "restored.png"
    download.value.save_as(path)
    assert download.value.suggested_filename == "restored.png"
    with Image.open(path) as saved, Image.open(photo) as given:
        assert saved.size == given.size


def test_what_is_no_picture_is_told_in_words(page, tmp_path, shot):
    text = tmp_path / "notes.png"
    text.write_text("this is no picture")
    choose(page, text)
    page.click("#frr-restore")
    toast = page.wait_for_selector(".toast-body, [data-testid=toast-body]")
    assert "cannot be read as a picture" in toast.inner_text()
    shot("no_picture")
    assert page.locator("#frr-restored figure").count() == 0  # nothing of another photo
    assert page.locator("#frr-photo-restore img").count() == 0  # no broken picture either
    assert "cannot be shown here" in page.inner_text("#frr-photo-restore")
    page.locator(".toast-close, [data-testid=toast-close]").first.click()


def test_a_huge_file_is_refused_before_it_is_sent(page, tmp_path):
    from frr.app.pictures import MAX_BYTES

    path = tmp_path / "huge.jpg"
    path.write_bytes(bytes(MAX_BYTES + 1))
    choose(page, path)
    page.wait_for_function(
        "() => document.querySelector('#frr-photo-restore span').textContent.includes('too large')"
    )


def test_retouch(page, shot):
    page.get_by_role("tab", name="Retouch").click()
    page.get_by_role("button", name="Example: blemishes").click()
    page.wait_for_selector("#frr-photo-retouch img")
    assert "pixels changed" in run(page, "frr-retouch", "frr-retouched")
    shot("retouched")
    page.get_by_role("tab", name="Restore").click()


def test_narrow_window(page, photo, shot):
    page.set_viewport_size({"width": 390, "height": 844})
    width = "document.documentElement.scrollWidth"
    shot("narrow")
    assert page.evaluate(width) <= 400
    page.set_viewport_size({"width": 1400, "height": 1200})
