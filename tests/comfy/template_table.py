"""Opens every template as a user does, runs it twice, and tells what came of it.

`COMFYUI_PATH=... COMFYUI_PYTHON=... python tests/comfy/template_table.py OUT` starts a host on a
fresh folder, opens each template from *Templates* in Chromium, keeps a screenshot before and after
its run in OUT, and prints a table: seconds of the first run and of a second one with another
strength, by the clock and of the host's processor, how much the picture changed, and what overlaps
afterwards. What stands in OUT's table already is not run again. `--frontend STATIC` takes the
static folder of another frontend, `--nodes2` switches Nodes 2.0 on, `--only NAME` takes some. Linux
only.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from itertools import combinations
from pathlib import Path

import av
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from comfy_browser import CHROMIUM, FLAGS, READY, SETTINGS, open_template
from comfy_host import PATIENCE, Server, make_base
from playwright.sync_api import sync_playwright
from templates import TITLES, file_of

COUNT = """() => { window.frrEnds = 0; window.frrErrors = [];
    app.api.addEventListener('execution_success', () => { window.frrEnds += 1; });
    app.api.addEventListener('execution_error', (e) => {
        window.frrErrors.push(e.detail.exception_message); window.frrEnds += 1; }); }"""
SIZES = """() => app.graph.nodes.map((node) => [Number(node.id), ...node.size])"""
BOXES = """() => app.graph.nodes.map((node) => {
    const box = node.getBounding ? node.getBounding() : node.boundingRect;
    return [`${node.type} ${node.id}`, ...box]; })"""
FILES = """() => {
    const of = (type) => app.graph.nodes.filter((node) => node.type === type);
    const shown = (type, key) =>
        of(type).flatMap((node) => app.nodeOutputs[String(node.id)]?.[key] ?? []);
    const source = app.graph.nodes.find((node) => /^Load(Image|Video)/.test(node.type));
    const compared = ['frr_before', 'frr_after'].map((key) => shown('RestorationCompare', key));
    return [source.widgets[0].value, [...shown('SaveImage', 'images'),
        ...shown('SaveVideo', 'images')], ...compared]; }"""
LOADED = """() => [...document.querySelectorAll('.frr-stage img')].every(
    (image) => image.complete && image.naturalWidth)"""
MANY = 6  # pictures are told one by one, more than that are frames
OTHER = """() => { for (const node of app.graph.nodes) {
    const find = (name) => node.widgets?.find((w) => w.name === name);
    if (find('strength')) find('strength').value = 0.9;
    else if (node.type === 'BPFReInpaint') find('working_size').value = 192; } }"""


def show(page, least: float = 0.6) -> None:
    """Bring the graph into view: all of it, but at a scale of at least `least` its beginning."""
    page.evaluate(
        """(least) => { const boxes = app.graph.nodes.map((n) => n.boundingRect ?? n.getBounding());
        const side = (i) => Math.min(...boxes.map((b) => b[i]));
        const end = (i) => Math.max(...boxes.map((b) => b[i] + b[i + 2]));
        const [x, y] = [side(0) - 30, side(1) - 60];
        const scale = Math.min(1450 / (end(0) - x), 850 / (end(1) - y));
        const ds = app.canvas.ds; ds.scale = Math.max(least, Math.min(1, scale));
        ds.offset = [80 / ds.scale - x, 90 / ds.scale - y]; app.canvas.setDirty(true, true); }""",
        least,
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
    page.wait_for_function(LOADED)
    page.wait_for_timeout(2500)
    return seconds, page.evaluate("() => window.frrErrors")


def overlapping(boxes: list) -> list[str]:
    """Pairs of nodes that lie over one another."""
    return [
        f"{a[0]} / {b[0]}"
        for a, b in combinations(boxes, 2)
        if a[1] < b[1] + b[3] and b[1] < a[1] + a[3] and a[2] < b[2] + b[4] and b[2] < a[2] + a[4]
    ]


def pictures_in(file: Path) -> list[np.ndarray]:
    """The picture in a file, the frames of a clip or the pictures of a folder, each H W 3."""
    if file.is_dir():
        return [picture for each in sorted(file.iterdir()) for picture in pictures_in(each)]
    if file.suffix == ".mp4":
        with av.open(str(file)) as clip:
            return [
                frame.to_ndarray(format="rgb24").astype(float) for frame in clip.decode(video=0)
            ]
    return [np.asarray(Image.open(file).convert("RGB")).astype(float)]


def change(server: Server, page) -> str:
    """How much what was made differs from what was opened, in levels of 8 bits.

    Saved pictures and clips are read where they have the size of what was opened, else the two
    pictures that Compare shows.
    """
    opened, made, *compared = page.evaluate(FILES)
    before = pictures_in(server.base / "input" / opened)
    after = [picture for each in made for picture in pictures_in(place_of(server, each))]
    if len(before) == 1:
        before *= len(after)
    if not after or [each.shape for each in before] != [each.shape for each in after]:
        before, after = (
            [picture for each in files for picture in pictures_in(place_of(server, each))]
            for files in compared
        )
    changes = [np.abs(new - old) for old, new in zip(before, after, strict=True)]
    if len(changes) > MANY:
        mean, most = np.mean([each.mean() for each in changes]), max(map(np.max, changes))
        return f"{mean:.2f} (most {most:.0f}) in {len(changes)} frames"
    return "; ".join(f"{each.mean():.2f} (most {each.max():.0f})" for each in changes)


def place_of(server: Server, made: dict) -> Path:
    """Where the host keeps a picture or clip that a node shows."""
    return server.base / made["type"] / made["subfolder"] / made["filename"]


def grown(name: str, sizes: list) -> list[str]:
    """Nodes that are larger than their place in the template's file."""
    graph = json.loads(file_of(name).read_text(encoding="utf-8"))
    planned = {node["id"]: (node["type"], *node["size"]) for node in graph["nodes"]}
    found = []
    for number, width, height in sizes:
        kind, wide, high = planned[number]
        if width > wide + 1 or height > high + 1:
            found.append(f"{kind} {number}: {wide} x {high} -> {width:.0f} x {height:.0f}")
    return found


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
    show(page)
    page.screenshot(path=out / f"{name}_before.png")
    begin = worked(server)
    one, errors = run(page)
    row = {"template": TITLES[name], "first": round(one, 2), "errors": errors}
    row["first_cpu"] = round(worked(server) - begin, 2)
    show(page)
    page.screenshot(path=out / f"{name}_after.png")
    show(page, 0.2)
    page.screenshot(path=out / f"{name}_whole.png")
    row |= {"changed": change(server, page), "overlaps": overlapping(page.evaluate(BOXES))}
    row["grown"] = grown(name, page.evaluate(SIZES))
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
    file = given.out / "table.json"
    rows = json.loads(file.read_text()) if file.exists() else []
    left = [name for name in given.only if TITLES[name] not in {row["template"] for row in rows}]
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
            style = {"Comfy.VueNodes.Enabled": given.nodes2}
            for setting, value in {**SETTINGS, **style}.items():
                server.post(f"/settings/{setting}", value)
            page = context.new_page()
            page.on("pageerror", lambda error: print("page error:", error, flush=True))
            page.goto(server.url)
            page.wait_for_function(READY)
            page.evaluate(COUNT)
            for place, name in enumerate(left):
                rows.append(look_at(page, server, name, given.out, place == 0))
                print(json.dumps(rows[-1]), flush=True)
                file.write_text(json.dumps(rows, indent=1) + "\n")
            context.close()
        finally:
            server.stop()


if __name__ == "__main__":
    main()
