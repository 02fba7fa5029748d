"""Example graphs read left to right: nothing overlaps after a run, no wire passes a node."""

import json
from itertools import combinations
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "workflows").glob("*.json"))
TITLE, SLOT = 30, 20  # pixels: of a node's title bar, and between two sockets
BACKWARDS = 60  # pixels that a wire may run to the left: none does
# Sizes that nodes grow to once they show their results, in both kinds of frontend.
SHOWN = {
    "LoadImage": (300, 340),
    "LoadVideo": (300, 380),
    "SaveImage": (320, 400),
    "SaveVideo": (320, 440),
    "PreviewImage": (300, 340),
    "MoFRRRestore": (360, 860),
    "MoFRRExpert": (300, 230),
    "BPFReRetouch": (360, 680),
    "BPFReInpaint": (340, 400),
    "RestorationCompare": (380, 600),
}


def nodes_of(graph: dict) -> dict[int, dict]:
    return {node["id"]: node for node in graph["nodes"]}


def box(node: dict) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a node with its title."""
    (x, y), (width, height) = node["pos"], node["size"]
    return x, y - TITLE, x + width, y + height


def socket(node: dict, slot: int, output: bool) -> tuple[float, float]:
    (x, y), (width, _) = node["pos"], node["size"]
    return x + (width if output else 0), y + SLOT * (slot + 0.7)


def wire(start, end, steps: int = 200):
    """Points of the spline that the canvas draws between two sockets."""
    (x0, y0), (x3, y3) = start, end
    reach = 0.25 * ((x3 - x0) ** 2 + (y3 - y0) ** 2) ** 0.5
    for step in range(steps + 1):
        t = step / steps
        a, b, c, d = (1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3
        yield a * x0 + b * (x0 + reach) + c * (x3 - reach) + d * x3, (a + b) * y0 + (c + d) * y3


def overlapping(graph: dict) -> list[str]:
    return [
        f"{first['type']} {first['id']} and {second['type']} {second['id']}"
        for first, second in combinations(graph["nodes"], 2)
        for a, b in [(box(first), box(second))]
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]


def crossed(graph: dict) -> list[str]:
    """Wires that pass over a node, also over one of the two that they join."""
    nodes, found = nodes_of(graph), []
    for _, source, slot, target, place, _ in graph["links"]:
        ends = socket(nodes[source], slot, True), socket(nodes[target], place, False)
        if ends[1][0] - ends[0][0] < BACKWARDS:
            found.append(f"{source} -> {target} runs backwards")
        for node in graph["nodes"]:
            left, top, right, bottom = box(node)
            if any(left < x < right and top < y < bottom for x, y in wire(*ends)):
                found.append(f"{source} -> {target} passes {node['type']} {node['id']}")
    return found


def over_titles(graph: dict) -> list[str]:
    """Wires that pass over the title of a group that they have nothing to do with."""
    nodes, found = nodes_of(graph), []
    for _, source, slot, target, place, _ in graph["links"]:
        ends = socket(nodes[source], slot, True), socket(nodes[target], place, False)
        for group in graph["groups"]:
            x, y, width, height = group["bounding"]
            if any(x < left < x + width and y < top < y + height for left, top in ends):
                continue
            bar = y + 1.4 * group["font_size"]
            if any(x < left < x + width and y < top < bar for left, top in wire(*ends)):
                found.append(f"{source} -> {target} passes the title {group['title']}")
    return found


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def graph(request) -> dict:
    return json.loads(request.param.read_text(encoding="utf-8"))


def test_nothing_overlaps_and_results_have_room(graph):
    assert overlapping(graph) == []
    for node in graph["nodes"]:
        width, height = SHOWN.get(node["type"], (0, 0))
        assert node["size"][0] >= width and node["size"][1] >= height, node["type"]


def test_no_wire_passes_a_node(graph):
    assert crossed(graph) == []


def test_no_wire_passes_a_groups_title(graph):
    assert over_titles(graph) == []


def test_titled_groups_and_a_note_hold_every_node(graph):
    (note,) = [node for node in graph["nodes"] if node["type"] == "MarkdownNote"]
    assert any("\u4e00" <= letter <= "\u9fff" for letter in note["widgets_values"][0])
    frames = []
    for group in graph["groups"]:
        assert group["title"]
        x, y, width, height = group["bounding"]
        frames.append((x, y, x + width, y + height))
    for node in graph["nodes"]:
        if node["type"] == "Reroute":
            continue
        left, top, right, bottom = box(node)
        around = [f for f in frames if f[0] <= left and f[1] <= top and f[2] >= right]
        assert any(frame[3] >= bottom for frame in around), f"{node['type']} {node['id']}"


def test_links_and_sockets_agree(graph):
    nodes = nodes_of(graph)
    for number, source, slot, target, place, _ in graph["links"]:
        assert number in nodes[source]["outputs"][slot]["links"]
        assert nodes[target]["inputs"][place]["link"] == number
    assert len(nodes) == len(graph["nodes"]) and graph["last_node_id"] >= max(nodes)


def test_a_planted_fault_is_found():
    def node(number, x, y, **sockets):
        return {"id": number, "type": "T", "pos": [x, y], "size": [100, 100], **sockets}

    row = [node(1, 0, 0), node(2, 200, 0), node(3, 400, 0)]
    assert overlapping({"nodes": row}) == []
    assert overlapping({"nodes": [*row, node(4, 450, 90)]}) == ["T 3 and T 4"]
    assert crossed({"nodes": row, "links": [[1, 1, 0, 3, 0, "IMAGE"]]}) == ["1 -> 3 passes T 2"]
    assert crossed({"nodes": row, "links": [[1, 1, 0, 2, 0, "IMAGE"]]}) == []
    group = {"title": "G", "bounding": [190, 0, 120, 200], "font_size": 24}
    graph = {"nodes": row, "groups": [group], "links": [[1, 1, 0, 3, 0, "IMAGE"]]}
    assert over_titles(graph) == ["1 -> 3 passes the title G"]
    group["bounding"][1] = 20
    assert over_titles(graph) == []


def test_app_templates_name_widgets_that_are_there():
    apps = [file for file in FILES if file.stem.endswith(".app")]
    assert len(apps) == 2
    for file in apps:
        graph = json.loads(file.read_text(encoding="utf-8"))
        nodes = nodes_of(graph)
        assert graph["extra"]["linearMode"] is True
        known = json.loads((ROOT / "tests/comfy/object_info.json").read_text(encoding="utf-8"))
        for number, widget in graph["extra"]["linearData"]["inputs"]:
            kind = nodes[int(number)]["type"]
            inputs = known.get(kind, {"input": {"required": {"image": None}}})["input"]
            assert any(widget in part for part in inputs.values()), (kind, widget)
        shown = [nodes[int(number)]["type"] for number in graph["extra"]["linearData"]["outputs"]]
        assert shown == ["SaveImage"], "Compare's pictures begin with the one before"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_template_has_its_card(file):
    """Made by `python tests/workflow_cards.py`, all of one size."""
    from PIL import Image

    with Image.open(file.with_suffix(".jpg")) as card:
        assert card.size == (480, 360)


BLUEPRINTS = sorted((ROOT / "subgraphs").glob("*.json"))


@pytest.mark.parametrize("file", BLUEPRINTS, ids=lambda file: file.stem)
def test_a_blueprint_holds_together(file):
    """One node that stands for a subgraph of known nodes; its links join what they name."""
    blueprint = json.loads(file.read_text(encoding="utf-8"))
    (top,), (inner,) = blueprint["nodes"], blueprint["definitions"]["subgraphs"]
    assert top["type"] == inner["id"] and inner["name"] == file.stem
    assert inner["category"] and inner["description"].endswith(".")
    known = json.loads((ROOT / "tests/comfy/object_info.json").read_text(encoding="utf-8"))
    nodes = nodes_of(inner)
    for node in nodes.values():
        info = known[node["type"]]
        assert [output["type"] for output in node["outputs"]] == info["output"]
        names = {name for part in info["input_order"].values() for name in part}
        assert {each["name"] for each in node["inputs"]} == names
    for link in inner["links"]:
        ends = [("origin", -10, "inputs", "outputs"), ("target", -20, "outputs", "inputs")]
        for end, outside, shared, own in ends:
            number, slot = link[f"{end}_id"], link[f"{end}_slot"]
            sockets = inner[shared] if number == outside else nodes[number][own]
            assert sockets[slot]["type"] == link["type"]
    shown = [each["name"] for each in top["inputs"] if "widget" in each]
    assert shown == [widget for _, widget in top["properties"]["proxyWidgets"]] and shown
    assert [each["name"] for each in top["inputs"]] == [each["name"] for each in inner["inputs"]]
    for number, widget in top["properties"]["proxyWidgets"]:
        (socket,) = [each for each in nodes[int(number)]["inputs"] if each["name"] == widget]
        (link,) = [each for each in inner["links"] if each["id"] == socket["link"]]
        assert inner["inputs"][link["origin_slot"]]["name"] == widget


def test_the_blueprints():
    blocks = {"Undo retouching", "Undo retouching on every face", "Undo slimming and big eyes"}
    assert {file.stem for file in BLUEPRINTS} == {*blocks, "Retouch blemishes and acne"}
