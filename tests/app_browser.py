"""The page in a real browser: where Chromium is, how a page is opened, and what a person does."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
PATIENCE = 1000 * float(os.environ.get("FRR_TIMEOUT", "120"))
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@contextmanager
def browser(profile: Path, *flags: str) -> Iterator[Any]:
    """A context of Chromium, with further command line flags."""
    with playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, headless=True, args=[*FLAGS.split(), *flags],
            viewport={"width": 1400, "height": 1200},
        )  # fmt: skip
        context.set_default_timeout(PATIENCE)
        try:
            yield context
        finally:
            context.close()


def choose(page, photo: Path, tab: str = "restore"):
    page.set_input_files(f"#frr-photo-{tab} input", str(photo))


def run(page, name: str, result: str) -> str:
    """Press a button and wait for its answer; returns what the page says of it."""
    took = f"document.querySelector('#{result} figure')?.dataset.seconds ?? null"
    before = page.evaluate(took)
    page.click(f"#{name}")
    page.wait_for_function(f"(before) => ({took} ?? before) !== before", arg=before)
    return page.inner_text(f"#{result} figcaption p")


def resident(process: int | str = "self") -> int:
    """A process's memory in bytes."""
    fields = Path(f"/proc/{process}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
