"""ComfyUI's frontend in Chromium: how it is opened, and what a user does there."""

import os
import shutil
from pathlib import Path

from comfy_host import PACK
from comfy_host import PATIENCE as SECONDS

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
PATIENCE = 1000 * SECONDS
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --in-process-gpu"
)
# What every page is opened with: no tour, and a canvas that leaves the processor to the host.
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "LiteGraph.Canvas.MaximumFps": 5,
}
READY = """() => window.frrViewsReady && window.app?.graph
    && window.LiteGraph?.registered_node_types?.['MoFRRRestore']"""


def open_template(page, title: str, pictures: Path | None = None) -> None:
    """Choose a template in the dialog of *Templates*; a screenshot of it goes to `pictures`."""
    page.locator(".templates-tab-button").first.click()
    page.get_by_test_id("template-workflows-content").wait_for()
    page.get_by_text(PACK, exact=True).first.click()
    card = page.get_by_test_id(f"template-workflow-{title}")
    card.wait_for()
    if pictures is not None:
        page.wait_for_timeout(4000)
        page.screenshot(path=pictures / "templates.png")
    page.evaluate("() => app.graph.clear()")  # what is there then is the template's
    card.click()
    page.get_by_test_id("template-workflows-content").wait_for(state="detached")
    page.wait_for_function(
        "() => app.graph.nodes.some((node) => /^(MoFRR|BPFRe)/.test(node.comfyClass))"
    )
    page.wait_for_timeout(1500)


def load(page, file: Path):
    """Open a file as a user does."""
    page.evaluate("() => app.graph.clear()")  # what is there then is the file's
    page.set_input_files("#comfy-file-input", str(file))
    page.wait_for_function(
        "() => app.graph.nodes.some((node) => /^(MoFRR|BPFRe)/.test(node.comfyClass))"
    )
    page.wait_for_timeout(500)


def prompt_of(page) -> dict:
    """What the frontend would queue, without the widget that it shows a video in."""
    output = page.evaluate("async () => (await app.graphToPrompt()).output")
    return {
        node: {
            "class_type": entry["class_type"],
            "inputs": {k: v for k, v in entry["inputs"].items() if k != "video-preview"},
        }
        for node, entry in output.items()
    }
