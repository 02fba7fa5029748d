"""What the host shows of the nodes: ids for ever, help for everything, both languages."""

import json
from pathlib import Path

import pytest
from templates import SOUGHT

from frr.pipelines.operations import OPERATIONS

ROOT = Path(__file__).resolve().parents[2]
IDS = (
    "MoFRRLoadModel",
    "MoFRRRestore",
    "MoFRRRoute",
    "MoFRREditRouting",
    "MoFRRExpert",
    "MoFRRMerge",
    "BPFReLoadModel",
    "BPFReRetouch",
    "BPFReInpaint",
    "RetouchSimulate",
    "RestorationCompare",
    "FaceCrop",
    "FacePaste",
    "MoFRRCandidates",
)


@pytest.fixture(params=IDS)
def schema(request, nodes):
    return nodes[request.param].define_schema()


def test_the_ids_are_final(nodes):
    assert tuple(nodes) == IDS


def test_ids_are_literals_in_the_source():
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "nodes").glob("*.py"))
    assert all(f'node_id="{name}"' in sources for name in IDS)


def test_every_input_and_output_is_explained(schema):
    for field in [*schema.inputs, *schema.outputs]:
        assert field.tooltip and field.tooltip[-1] == ".", f"{schema.node_id}.{field.id}"
    names = [field.id for field in [*schema.inputs, *schema.outputs]]
    assert len(set(names)) == len(names), "the host wants ids of inputs and outputs to differ"
    assert schema.description[-1] == "." and schema.search_aliases and schema.category


def test_numbers_have_a_range_that_holds_their_default(schema):
    for field in schema.inputs:
        if field.io_type in ("INT", "FLOAT"):
            assert field.min <= field.default <= field.max, field.id
        if field.io_type == "FLOAT":
            assert field.step, field.id
        if field.io_type == "COMBO":
            assert field.default in field.options["options"], field.id


def test_what_is_rarely_touched_is_folded(nodes):
    inputs = {field.id: field for field in nodes["MoFRRRestore"].define_schema().inputs}
    folded = {name for name, field in inputs.items() if field.advanced}
    assert folded == {
        "samples",
        "working_size",
        "frames",
        "order",
        "number",
        "no_face",
        *(f"{name}_degree" for name in OPERATIONS),
    }


def test_every_node_has_a_help_page(schema):
    page = (ROOT / "web" / "docs" / f"{schema.node_id}.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {schema.display_name}\n")
    words = json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))
    page = (ROOT / "web" / "docs" / schema.node_id / "zh.md").read_text(encoding="utf-8")
    assert page.startswith(f"# {words[schema.node_id]['display_name']}\n")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_word_is_in_both_languages(schema, language):
    file = ROOT / "locales" / language / "nodeDefs.json"
    entry = json.loads(file.read_text(encoding="utf-8"))[schema.node_id]
    assert entry["display_name"] and entry["description"]
    assert list(entry["inputs"]) == [field.id for field in schema.inputs]
    assert list(entry["outputs"]) == [str(place) for place in range(len(schema.outputs))]
    for words in [*entry["inputs"].values(), *entry["outputs"].values()]:
        assert words["name"] and words["tooltip"]
    if language == "en":
        assert entry["display_name"] == schema.display_name
        told = [words["tooltip"] for words in entry["inputs"].values()]
        assert told == [field.tooltip for field in schema.inputs]
    else:
        text = json.dumps(entry, ensure_ascii=False)
        assert any("\u4e00" <= letter <= "\u9fff" for letter in text)


def test_no_language_knows_a_node_that_is_not_there(nodes):
    for file in (ROOT / "locales").glob("*/nodeDefs.json"):
        assert set(json.loads(file.read_text(encoding="utf-8"))) == set(nodes)


def test_sizes_too_small_for_the_networks_are_refused_at_their_input(nodes):
    least = {"MoFRRRestore": 32, "MoFRRCandidates": 32, "MoFRRRoute": 32, "MoFRRExpert": 32}
    for name, limit in {**least, "BPFReRetouch": 64, "BPFReInpaint": 64}.items():
        check = nodes[name].validate_inputs
        for size in (0, limit, None):
            assert check(working_size=size) is True
        for size in (1, limit - 1, -5, 9000):
            assert str(size) in check(working_size=size)
    assert nodes["FaceCrop"].validate_inputs(size=0) is True
    assert "63" in nodes["FaceCrop"].validate_inputs(size=63)


@pytest.mark.parametrize("word", SOUGHT)
def test_words_that_people_look_for_name_few_nodes(nodes, word):
    named = [name for name in IDS if word in nodes[name].define_schema().search_aliases]
    assert SOUGHT[word] in named and len(named) <= 3


def test_the_frontends_presets_are_the_nodes(nodes):
    from frr.nodes.mofrr_presets import BY_HAND, PRESETS

    script = (ROOT / "web" / "js" / "presets.js").read_text(encoding="utf-8")
    for name in set(PRESETS) - {BY_HAND}:
        assert f'"{name}":' in script or f"\n  {name}:" in script
    inputs = {field.id for field in nodes["MoFRRRestore"].define_schema().inputs}
    assert {"strength", *OPERATIONS, *(f"{name}_degree" for name in OPERATIONS)} <= inputs


def test_every_value_of_a_choice_has_a_chinese_name(schema):
    """But for what is a name itself: models, data types and algorithms."""
    script = (ROOT / "web" / "js" / "options.js").read_text(encoding="utf-8")
    for field in schema.inputs:
        if field.io_type != "COMBO" or field.id.endswith(("model_name", "dtype", "algorithm")):
            continue
        for value in field.options["options"]:
            assert f'"{value}":' in script or f"\n  {value}:" in script, (field.id, value)
