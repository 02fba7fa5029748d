"""A Hub Space for real: its own files in a fresh folder, its own process, its own host name.

What a Hub adds is played by the browser: a Space's name leads here, by https too, and the Hub's
page, which shows a Space in a frame, is answered on the spot.
"""

import importlib.util
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from app_browser import CHROMIUM, browser, choose, resident, run

SPACE = Path(__file__).resolve().parents[2] / "spaces"
NAME = "frr-faces.hf.space"
HUB = "https://huggingface.co/spaces/frr/faces"
STRANGER = "https://stranger.example/"
log = logging.getLogger(__name__)

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium: no Space was opened"),
    pytest.mark.skipif(
        importlib.util.find_spec("gradio") is None,
        reason="gradio is not installed: no Space was served",
    ),
]
UPLOADS = 12


class Served(NamedTuple):
    """A Space that runs."""

    url: str
    process: int
    folder: Path


@pytest.fixture(scope="module")
def space(tmp_path_factory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("space")
    shutil.copytree(SPACE, folder, dirs_exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"SPACE_HOST": NAME, "GRADIO_SERVER_PORT": str(port), "TMPDIR": str(folder / "tmp")}
    (folder / "tmp").mkdir()
    command = [sys.executable, "app.py"]
    with subprocess.Popen(command, cwd=folder, env=os.environ | given) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/", process)
            yield Served(f"http://{NAME}:{port}/", process.pid, folder)
        finally:
            process.terminate()


def _wait(address: str, process: subprocess.Popen) -> None:
    for _ in range(600):
        assert process.poll() is None, "the Space ended"
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("the Space did not answer")


@pytest.fixture(scope="module")
def context(space, tmp_path_factory):
    flag = "--host-resolver-rules=MAP *.hf.space 127.0.0.1"
    with browser(tmp_path_factory.mktemp("profile"), flag) as opened:
        opened.route(f"https://{NAME}/**", lambda route: _pass_on(route, space))
        yield opened


def _pass_on(route, space: Served) -> None:
    """What stands before a Space: it speaks https, and says so."""
    if route.request.url.endswith("heartbeat"):  # an answer without end
        route.abort()
        return
    address = route.request.url.replace(f"https://{NAME}/", space.url.replace(NAME, "127.0.0.1"))
    headers = {**route.request.headers, "x-forwarded-proto": "https", "x-forwarded-host": NAME}
    route.fulfill(response=route.fetch(url=address, headers=headers, max_redirects=0))


@pytest.fixture(scope="module")
def photo(examples, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "portrait.jpg"
    examples["restore"]["retouched"].save(path, quality=92)
    return path


def framed(context, parent: str):
    """A page of another site that shows the Space in a frame."""
    html = f'<h1>A page</h1><iframe src="https://{NAME}/" width="1300" height="1100"></iframe>'
    page = context.new_page()
    page.route(parent, lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(parent)
    return page


def test_a_person_uses_the_space_and_its_memory_stays_flat(context, space, photo, shots):
    page = context.new_page()
    page.goto(space.url)
    page.wait_for_selector("#frr-photo-restore input")
    sizes = []
    for _ in range(UPLOADS):
        choose(page, photo)
        assert run(page, "frr-restore", "frr-restored")
        sizes.append(resident(space.process))
    assert page.locator("#frr-verdict [role=meter]").count() == 4
    page.screenshot(path=shots / "space.png", full_page=True)
    log.info("MB of the Space after each upload: %s", [round(size / 1e6) for size in sizes])
    steps = sorted(after - before for before, after in pairwise(sizes))
    assert steps[len(steps) // 2] < 1e6, sizes
    kept = [path for path in (space.folder / "tmp").rglob("*") if path.is_file()]
    assert kept == []
    page.close()


def test_the_hub_shows_it_in_a_frame_where_it_works(context, photo, shots):
    page = framed(context, HUB)
    frame = page.frame_locator("iframe")
    frame.locator("#frr-photo-restore input").wait_for(state="attached")
    frame.locator("#frr-photo-restore input").set_input_files(photo)
    frame.locator("#frr-restore").click()
    frame.locator("#frr-restored figure").wait_for()
    page.screenshot(path=shots / "space_in_the_hub.png")
    page.close()


def test_no_other_site_shows_it(context):
    refusals = []
    context.on("console", lambda said: refusals.append(said.text))
    page = framed(context, STRANGER)
    page.wait_for_timeout(3000)
    assert page.frame_locator("iframe").locator("#frr-photo-restore").count() == 0
    assert any("frame-ancestors" in text for text in refusals), refusals
    page.close()


@pytest.mark.parametrize(
    ("size", "headers", "status"),
    [
        (2, {"Origin": STRANGER.rstrip("/")}, 403),
        (2, {"Sec-Fetch-Site": "cross-site"}, 403),
        (2**25, {}, 413),
    ],
)
def test_a_strangers_call_and_a_huge_one_are_refused(space, size, headers, status):
    address = space.url.replace(NAME, "127.0.0.1") + "gradio_api/queue/join"
    asked = urllib.request.Request(address, bytes(size), headers)
    try:
        urllib.request.urlopen(asked, timeout=60).close()
    except urllib.error.HTTPError as error:
        assert error.code == status
    except urllib.error.URLError:
        assert status == 413  # it hung up before all was sent
    else:
        raise AssertionError("it was answered")
