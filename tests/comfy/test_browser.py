"""The pack in a real browser, in the classic canvas and in Nodes 2.0, as a user works with it.

Screenshots are kept in COMFYUI_SCREENSHOTS (default: the test's temporary folder).
"""

import io
import json
import os
from pathlib import Path

import pytest
from comfy_browser import (
    CHROMIUM,
    FLAGS,
    PATIENCE,
    READY,
    SETTINGS,
    load,
    open_template,
    prompt_of,
)
from comfy_host import Server, make_base
from PIL import Image
from templates import SOUGHT, TITLES, blueprints_with, file_of

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

STYLES = {"classic": False, "nodes2": True}

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium: nothing was tested in a browser")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One Chromium for all tests."""
    with playwright.sync_playwright() as driver:
        profile = tmp_path_factory.mktemp("profile")
        context = driver.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, headless=True, args=FLAGS.split(),
            viewport={"width": 1500, "height": 950},
        )  # fmt: skip
        context.set_default_timeout(PATIENCE)
        yield context
        context.close()


@pytest.fixture
def screenshots(tmp_path) -> Path:
    folder = Path(os.environ.get("COMFYUI_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module", params=["floor", "newest"])
def site(request, comfyui, python, tmp_path_factory):
    """A host with the frontend that it asks for, and one with the newest that there is.

    COMFYUI_FRONTEND is the folder `static` of the latter.
    """
    if request.param == "floor":
        yield request.getfixturevalue("server")
        return
    static = os.environ.get("COMFYUI_FRONTEND")
    if not static:
        pytest.skip("COMFYUI_FRONTEND is not set: nothing was tested with the newest frontend")
    base = make_base(tmp_path_factory.mktemp("newest") / "base")
    running = Server(comfyui, python, base, "--front-end-root", static)
    yield running
    running.stop()


@pytest.fixture
def open_page(site, browser):
    """`open_page(nodes2=False, locale="en")`: the frontend; fails on any error of the page."""
    errors, opened = [], []

    def make(nodes2=False, locale="en"):
        chosen = {"Comfy.VueNodes.Enabled": nodes2, "Comfy.Locale": locale}
        for name, value in {**SETTINGS, **chosen}.items():
            assert site.post(f"/settings/{name}", value)[0] == 200
        page = browser.new_page()
        opened.append(page)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on(
            "console",
            lambda told: errors.append(told.text) if "preloadError" in told.text else None,
        )
        page.goto(site.url)
        page.wait_for_function(READY)
        return page

    yield make
    for page in opened:
        page.close()
    assert errors == []


def run(page, node: str):
    """Queue the graph and wait for a node's output."""
    page.get_by_test_id("queue-button").click()
    page.wait_for_function("(id) => app.nodeOutputs?.[id]", arg=node)


def test_every_workflow_opens_as_its_api_copy(open_page, prompts):
    page = open_page()
    for name in TITLES:
        load(page, file_of(name))
        missing = "() => app.graph.nodes.filter((node) => node.has_errors).map((node) => node.type)"
        assert page.evaluate(missing) == [], name
        assert prompt_of(page) == prompts[name], name


def test_a_template_opens_from_the_dialog(open_page, prompts, screenshots):
    page = open_page()
    open_template(page, TITLES["restore_portrait"], screenshots)
    assert prompt_of(page) == prompts["restore_portrait"]


@pytest.mark.parametrize("style", STYLES)
def test_restore_shows_result_bars_and_slider(open_page, screenshots, style):
    page = open_page(nodes2=STYLES[style])
    load(page, file_of("restore_portrait"))
    run(page, "5")
    run_output = page.evaluate("() => app.nodeOutputs['3'].mofrr_verdict[0].operations")

    bars = page.locator(".frr-bar")
    page.wait_for_function("() => document.querySelectorAll('.frr-bar').length >= 4")
    assert bars.nth(0).get_attribute("data-operation") == "whitening"
    for place, entry in enumerate(run_output):
        width = bars.nth(place).locator(".frr-fill").evaluate("bar => bar.style.width")
        assert float(width.rstrip("%")) == pytest.approx(100 * entry["probability"], abs=0.1)
        assert f"{round(100 * entry['probability'])} %" in bars.nth(place).inner_text()

    page.wait_for_function(
        "() => [...document.querySelectorAll('.frr-stage img')].every((i) => i.naturalWidth)"
    )
    slider = page.locator(".frr-range").first
    slider.evaluate("bar => { bar.value = 20; bar.dispatchEvent(new Event('input')); }")
    clip = page.locator(".frr-after").first.evaluate("image => image.style.clipPath")
    assert "20%" in clip
    page.screenshot(path=screenshots / f"restore_{style}.png")


@pytest.mark.parametrize("style", STYLES)
def test_retouch_shows_result_and_slider(open_page, screenshots, style):
    page = open_page(nodes2=STYLES[style])
    load(page, file_of("retouch_portrait"))
    run(page, "5")
    run(page, "6")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.frr-stage img')].length === 2"
        " && [...document.querySelectorAll('.frr-stage img')].every((i) => i.naturalWidth)"
    )
    page.screenshot(path=screenshots / f"retouch_{style}.png")


def test_dragging_over_the_picture_moves_the_line(open_page):
    page = open_page(nodes2=True)
    load(page, file_of("restore_portrait"))
    run(page, "5")
    stage = page.locator(".frr-stage").first
    stage.wait_for()
    box = stage.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
    page.mouse.up()
    assert float(page.locator(".frr-range").first.input_value()) == pytest.approx(80, abs=3)


def test_the_help_page_opens(open_page, screenshots):
    page = open_page()
    load(page, file_of("restore_portrait"))
    page.evaluate(
        "() => app.canvas.selectNode(app.graph.nodes.find((n) => n.type === 'MoFRRRestore'))"
    )
    page.get_by_test_id("info-button").click()
    page.get_by_text("The bars on the node show each operation").wait_for()
    page.screenshot(path=screenshots / "help.png")


def test_chinese_labels(open_page):
    page = open_page(locale="zh")
    load(page, file_of("restore_portrait"))
    restore = "app.graph.nodes.find((n) => n.type === 'MoFRRRestore')"
    assert page.evaluate(f"() => {restore}.title") == "MoFRR 还原"
    labels = page.evaluate(f"() => {restore}.widgets.map((w) => w.label ?? w.name)")
    assert "美白" in labels and "强度" in labels


def found(page, words: str) -> list[str]:
    """What the search for a node offers first, as it is named."""
    field = page.get_by_placeholder("Add a node...").first
    field.fill(words)
    page.wait_for_timeout(1000)  # it waits for the next letter
    items = page.get_by_test_id("result-item")
    items.first.wait_for()
    return [text.splitlines()[0] for text in items.all_inner_texts()[:3]]


def look_for_a_node(page):
    """Open the search by its command: a busy page takes a double click for two clicks."""
    page.evaluate("() => app.graph.clear()")
    page.evaluate("() => app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
    page.get_by_placeholder("Add a node...").first.wait_for()


def test_words_that_people_look_for_find_the_node_among_the_first_three(open_page, screenshots):
    page = open_page()
    shown = page.evaluate(
        "() => Object.fromEntries(Object.values(LiteGraph.registered_node_types)"
        ".map((type) => [type.comfyClass, type.title]))"
    )
    look_for_a_node(page)
    offered = {words: found(page, words) for words in SOUGHT}
    page.screenshot(path=screenshots / "search.png")
    (screenshots / "search.json").write_text(json.dumps(offered, indent=1) + "\n")
    for words, node in SOUGHT.items():
        assert {shown[node], *blueprints_with(node)} & set(offered[words]), (words, offered[words])


def test_a_blueprint_is_found_placed_and_run(open_page, site, screenshots):
    page = open_page()
    look_for_a_node(page)
    found(page, "Undo retouching")
    block = page.get_by_test_id("result-item").filter(has_text="blueprint").first
    block.click()
    page.wait_for_function("() => app.graph.nodes.length === 1")
    page.mouse.click(700, 500)  # where it is put down
    widgets = page.evaluate("() => app.graph.nodes[0].widgets.map((widget) => widget.name)")
    assert widgets[:3] == ["preset", "strength", "whitening"] and len(widgets) == 6
    page.evaluate(
        """() => { const [block] = app.graph.nodes;
        const [load, save] = ['LoadImage', 'SaveImage'].map((type) => LiteGraph.createNode(type));
        for (const node of [load, save]) app.graph.add(node);
        load.widgets.find((widget) => widget.name === 'image').value = 'frr_retouched.png';
        load.pos = [block.pos[0] - 400, block.pos[1]];
        save.pos = [block.pos[0] + block.size[0] + 100, block.pos[1]];
        load.connect(0, block, 0); block.connect(0, save, 0); }"""
    )
    page.get_by_test_id("queue-button").click()
    page.wait_for_function(
        "() => app.graph.nodes.some((node) => node.type === 'SaveImage'"
        " && app.nodeOutputs?.[node.id]?.images)"
    )
    page.wait_for_timeout(1500)
    page.screenshot(path=screenshots / "blueprint.png")
    (picture,) = page.evaluate(
        "() => app.nodeOutputs[app.graph.nodes.find((n) => n.type === 'SaveImage').id].images"
    )
    result = Image.open(io.BytesIO(site.file(picture))).convert("RGB")
    sample = Image.open(site.base / "input" / "frr_retouched.png").convert("RGB")
    assert result.size == sample.size and result.tobytes() != sample.tobytes()


def test_an_app_opens_as_one_and_runs(open_page, site, screenshots):
    page = open_page()
    open_template(page, TITLES["restore_portrait_app"])
    tour = page.get_by_text("Skip", exact=True)
    if tour.count():
        tour.first.click()
    for widget in ("preset", "strength", "whitening"):
        page.get_by_text(widget, exact=True).first.wait_for()
    page.screenshot(path=screenshots / "app_before.png")
    page.get_by_role("button", name="Run", exact=True).last.click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('img')].some("
        "(image) => image.src.includes('restored_') && image.naturalWidth > 300)"
    )
    page.screenshot(path=screenshots / "app_after.png")


def test_a_bad_value_is_shown_at_its_node(open_page):
    page = open_page()
    load(page, file_of("restore_portrait"))
    page.evaluate(
        """() => { const node = app.graph.nodes.find((n) => n.type === 'MoFRRRestore');
        node.widgets.find((w) => w.name === 'working_size').value = 31; }"""
    )
    page.get_by_test_id("queue-button").click()
    page.wait_for_function("() => app.lastNodeErrors?.['3'] ?? false")
    (error,) = page.evaluate("() => app.lastNodeErrors['3'].errors")
    assert error["extra_info"]["input_name"] == "working_size"


def test_a_shared_picture_opens_and_runs_elsewhere(open_page, site, prompts, tmp_path):
    """A PNG that one machine wrote holds all that another, with only the pack, needs."""
    workflow = json.loads((file_of("restore_portrait")).read_text(encoding="utf-8"))
    given = {"prompt": prompts["restore_portrait"], "client_id": "elsewhere"}
    given["extra_data"] = {"extra_pnginfo": {"workflow": workflow}}
    _, answer = site.post("/prompt", given)
    entry = site.wait(answer["prompt_id"])
    content = site.file(entry["outputs"]["5"]["images"][0])
    shared = tmp_path / "shared.png"
    shared.write_bytes(content)

    page = open_page()
    load(page, shared)
    assert prompt_of(page) == prompts["restore_portrait"]
    run(page, "5")
    (picture,) = page.evaluate("() => app.nodeOutputs['5'].images")
    again = Image.open(io.BytesIO(site.file(picture)))
    assert again.tobytes() == Image.open(io.BytesIO(content)).tobytes()
