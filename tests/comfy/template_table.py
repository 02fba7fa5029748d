"""Opens every template as a user does, runs it twice, and tells what came of it.

`COMFYUI_PATH=... COMFYUI_PYTHON=... python tests/comfy/template_table.py OUT` starts a host on a
fresh folder, opens each template from *Templates* in Chromium, keeps a screenshot before and after
its run in OUT, and prints a table: seconds of the first run and of a second one with another
strength, by the clock and of the host's processor, how much the picture changed, and what overlaps
afterwards. `--frontend STATIC` takes the static folder of another frontend, `--nodes2` switches
Nodes 2.0 on, `--only NAME` takes some. Linux only.
"""

import argparse
import io
import json
import os
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from comfy_browser import CHROMIUM, FLAGS, READY, open_template
from comfy_host import PATIENCE, Server, make_base
from playwright.sync_api import sync_playwright
from templates import TITLES

COUNT = """() => { window.frrEnds = 0; window.frrErrors = [];
    app.api.addEventListener('execution_success', () => { window.frrEnds += 1; });
    app.api.addEventListener('execution_error', (e) => {
        window.frrErrors.push(e.detail.exception_message); window.frrEnds += 1; }); }"""
BOXES = """() => app.graph.nodes.map((node) => {
    const box = node.getBounding ? node.getBounding() : node.boundingRect;
    return [`${node.type} ${node.id}`, ...box]; })"""
OTHER = """() => { for (const node of app.graph.nodes) {
    const find = (name) => node.widgets?.find((w) => w.name === name);
    if (find('strength')) find('strength').value = 0.9;
    else if (node.type === 'BPFReInpaint') find('working_size').value = 192; } }"""


def show_all(page) -> None:
    """Bring the graph into view: all of it, or, where it could not be read then, its beginning."""
    page.evaluate(
        """() => { const boxes = app.graph.nodes.map((n) => n.boundingRect ?? n.getBounding());
        const side = (i) => Math.min(...boxes.map((b) => b[i]));
        const end = (i) => Math.max(...boxes.map((b) => b[i] + b[i + 2]));
        const [x, y] = [side(0) - 30, side(1) - 60];
        const scale = Math.min(1450 / (end(0) - x), 850 / (end(1) - y));
        const ds = app.canvas.ds; ds.scale = Math.max(0.6, Math.min(1, scale));
        ds.offset = [80 / ds.scale - x, 90 / ds.scale - y]; app.canvas.setDirty(true, true); }"""
    )
    page.wait_for_timeout(1500)


def run(page) -> tuple[float, list[str]]:
    """Queue the graph; seconds until it has ended, and its errors."""
    ends = page.evaluate("() => { window.frrErrors = []; return window.frrEnds; }")
    begin = time.monotonic()
    button = page.get_by_test_id("queue-button")
    if button.count() and button.first.is_visible():
        button.first.click()
    else:
        page.evaluate("() => app.queuePrompt(0)")
    page.wait_for_function("(ends) => window.frrEnds > ends", arg=ends)
    seconds = time.monotonic() - begin
    page.wait_for_timeout(2500)
    return seconds, page.evaluate("() => window.frrErrors")


def overlapping(boxes: list) -> list[str]:
    """Pairs of nodes that lie over one another."""
    return [
        f"{a[0]} / {b[0]}"
        for a, b in combinations(boxes, 2)
        if a[1] < b[1] + b[3] and b[1] < a[1] + a[3] and a[2] < b[2] + b[4] and b[2] < a[2] + a[4]
    ]


def levels(file) -> np.ndarray:
    """The picture in a file, H W 3."""
    return np.asarray(Image.open(file).convert("RGB")).astype(float)


def change(server: Server, page) -> str:
    """How much a saved picture differs from the one that was opened, in levels of 8 bits."""
    found = []
    source, saved = page.evaluate(
        """() => { const load = app.graph.nodes.find((n) => n.type === 'LoadImage');
        const saves = app.graph.nodes.filter((n) => n.type === 'SaveImage');
        const images = saves.flatMap((n) => app.nodeOutputs[String(n.id)]?.images ?? []);
        return [load?.widgets?.[0]?.value, images]; }"""
    )
    if not source or not saved:
        return "not a saved picture"
    before = np.asarray(Image.open(server.base / "input" / source).convert("RGB")).astype(float)
    for result in saved:
        after = np.asarray(Image.open(io.BytesIO(server.file(result))).convert("RGB")).astype(float)
        if after.shape == before.shape:
            found.append(
                f"{np.abs(after - before).mean():.2f} (most {np.abs(after - before).max():.0f})"
            )
        else:
            found.append(f"another size, {after.shape[1]} x {after.shape[0]}")
    return "; ".join(found)


def worked(server: Server) -> float:
    """Seconds of processor time that the host has used: on a busy machine the fairer figure."""
    stat = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def look_at(page, server: Server, name: str, out: Path, first: bool) -> dict:
    """One template: opened, run, run again."""
    open_template(page, TITLES[name], out if first else None)
    tour = page.get_by_text("Skip", exact=True)  # of app mode, over everything
    if tour.count():
        tour.first.click()
    show_all(page)
    page.screenshot(path=out / f"{name}_before.png")
    begin = worked(server)
    one, errors = run(page)
    row = {"template": TITLES[name], "first": round(one, 2), "errors": errors}
    row["first_cpu"] = round(worked(server) - begin, 2)
    show_all(page)
    page.screenshot(path=out / f"{name}_after.png")
    row |= {"changed": change(server, page), "overlaps": overlapping(page.evaluate(BOXES))}
    page.evaluate(OTHER)
    begin = worked(server)
    row["second"] = round(run(page)[0], 2)
    row["second_cpu"] = round(worked(server) - begin, 2)
    return row


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--frontend", type=Path)
    parser.add_argument("--nodes2", action="store_true")
    parser.add_argument("--only", nargs="*", choices=TITLES, default=list(TITLES))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    options = ["--front-end-root", str(given.frontend)] if given.frontend else []
    rows = []
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as driver:
        base = make_base(Path(scratch) / "base")
        python = os.environ.get("COMFYUI_PYTHON", sys.executable)
        server = Server(Path(os.environ["COMFYUI_PATH"]), python, base, *options)
        try:
            context = driver.chromium.launch_persistent_context(
                str(Path(scratch) / "profile"), executable_path=CHROMIUM, headless=True,
                args=FLAGS.split(), viewport={"width": 1600, "height": 1000},
                reduced_motion="reduce",
            )  # fmt: skip
            context.set_default_timeout(1000 * PATIENCE)
            settings = {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": given.nodes2}
            for setting, value in settings.items():
                server.post(f"/settings/{setting}", value)
            page = context.new_page()
            page.on("pageerror", lambda error: print("page error:", error, flush=True))
            page.goto(server.url)
            page.wait_for_function(READY)
            page.evaluate(COUNT)
            for place, name in enumerate(given.only):
                rows.append(look_at(page, server, name, given.out, place == 0))
                print(json.dumps(rows[-1]), flush=True)
            context.close()
        finally:
            server.stop()
    (given.out / "table.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
