"""Model folders and single files, mutated: a pipeline of finite weights, or one line."""

import importlib.util
import json
import shutil
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frr.pipelines.mofrr.pipeline import MoFRRPipeline
from frr.pipelines.mofrr.single_file import load_single_file, save_single_file

HERE = Path(__file__).resolve().parent
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.sampled_from(
        (10**6, 10**9, -1.5, 1e300, "", "x", "MoFRRPipeline", [], [1], [[]], {}, {"a": 1})
    ),
    st.text(max_size=5),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder, and a single file, of a small pipeline."""
    spec = importlib.util.spec_from_file_location(
        "fuzzed_pipeline", HERE.parent / "pipelines" / "conftest.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    place = tmp_path_factory.mktemp("models")
    pipe = module.build_native()
    pipe.save_pretrained(place / "folder")
    save_single_file(pipe, place / "single.safetensors")
    return place


def change_json(draw, value):
    """The same with an entry somewhere in it replaced, left out, or added."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 4)) == 0:
            return {k: v for k, v in value.items() if k != key}
        return {**value, key: change_json(draw, value[key])}
    if isinstance(value, dict):
        return {**value, draw(st.sampled_from(("more", "_x", "router", "width"))): draw(ODD)}
    if isinstance(value, list) and value and draw(st.booleans()):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], change_json(draw, value[at]), *value[at + 1 :]]
    return draw(ODD)


def change_bytes(draw, content: bytes) -> bytes:
    at = draw(st.integers(0, len(content)))
    some = draw(st.binary(min_size=1, max_size=8))
    way = draw(st.sampled_from(("change", "cut", "insert", "nan", "empty")))
    if way == "nan":
        at = len(content) - 4 * draw(st.integers(1, 20))
        some = struct.pack("<f", draw(st.sampled_from((float("nan"), float("inf")))))
    return {
        "change": content[:at] + some + content[at + len(some) :],
        "nan": content[:at] + some + content[at + len(some) :],
        "cut": content[:at],
        "insert": content[:at] + some + content[at:],
        "empty": b"",
    }[way]


def check_load(load) -> None:
    try:
        pipe = load()
    except (ValueError, TypeError) as error:
        assert str(error)
        return
    for name, network in pipe.components.items():
        if isinstance(network, torch.nn.Module):
            assert all(bool(p.isfinite().all()) for p in network.parameters()), name


@given(data=st.data())
def test_folders(data, whole, tmp_path_factory, tried):
    tried()
    draw = data.draw
    folder = tmp_path_factory.mktemp("changed") / "folder"
    shutil.copytree(whole / "folder", folder)
    try:
        if draw(st.booleans()):
            (folder / "SHA256SUMS").unlink()
        names = (path for path in folder.rglob("*") if path.suffix in (".json", ".safetensors"))
        file = draw(st.sampled_from(sorted(names)))
        if file.suffix == ".json" and draw(st.integers(0, 4)):
            changed = change_json(draw, json.loads(file.read_text()))
            file.write_text(json.dumps(changed))
        else:
            file.write_bytes(change_bytes(draw, file.read_bytes()))
        check_load(lambda: MoFRRPipeline.from_pretrained(folder))
    finally:
        shutil.rmtree(folder)


@given(data=st.data())
def test_single_files(data, whole, tmp_path_factory, tried):
    tried()
    draw = data.draw
    content = (whole / "single.safetensors").read_bytes()
    if draw(st.booleans()):
        length = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8 : 8 + length])
        record = json.loads(header["__metadata__"]["frr"])
        header["__metadata__"]["frr"] = json.dumps(change_json(draw, record))
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        content = struct.pack("<Q", len(text)) + text + content[8 + length :]
    else:
        content = change_bytes(draw, content)
    file = tmp_path_factory.mktemp("changed") / "one.safetensors"
    file.write_bytes(content)
    try:
        check_load(lambda: load_single_file(file))
    finally:
        file.unlink()
