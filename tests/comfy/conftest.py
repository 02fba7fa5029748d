"""A real ComfyUI: found by COMFYUI_PATH, started once.

COMFYUI_PYTHON is the interpreter that has the host's requirements (default: this one); see
`comfy_host.py`.
"""

import json
import os
import sys
from pathlib import Path

import pytest
from comfy_host import Server, astronaut, blemished, make_base

HERE = Path(__file__).resolve().parent

collect_ignore = [] if os.environ.get("FRR_IN_HOST") else ["in_process"]


@pytest.fixture(scope="session")
def comfyui() -> Path:
    """The checkout of ComfyUI."""
    path = os.environ.get("COMFYUI_PATH")
    if not path:
        pytest.skip("COMFYUI_PATH is not set: nothing here was tested in a real ComfyUI")
    assert (Path(path) / "main.py").is_file(), f"COMFYUI_PATH {path} is no checkout of ComfyUI"
    return Path(path)


@pytest.fixture(scope="session")
def python() -> str:
    """The interpreter that the host runs on."""
    return os.environ.get("COMFYUI_PYTHON", sys.executable)


@pytest.fixture(scope="session")
def server(comfyui, python, tmp_path_factory):
    """One server for all tests."""
    running = Server(comfyui, python, make_base(tmp_path_factory.mktemp("comfy") / "base"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def prompts() -> dict[str, dict]:
    """The workflows in the host's API format, by name."""
    files = sorted((HERE / "workflows").glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


@pytest.fixture(scope="session")
def portrait():
    """The picture that the host has as example.png."""
    return astronaut()


@pytest.fixture(scope="session")
def painted(server, portrait):
    """The portrait with blemishes, which the host has as blemished.png, and without."""
    pair = blemished(portrait)
    pair[0].save(server.base / "input" / "blemished.png")
    return pair


SOURCES = {"LoadImage": ("image", "example.png"), "LoadVideo": ("file", "clip.mp4")}


@pytest.fixture
def prompt(prompts):
    """`prompt(name, **{"node id.input": value})`: a copy of a workflow with inputs changed.

    It works on the picture and the clip of the tests, not on the samples that templates open.
    """

    def make(name: str, **changes):
        copy = json.loads(json.dumps(prompts[name]))
        for node in copy.values():
            if node["class_type"] in SOURCES:
                key, file = SOURCES[node["class_type"]]
                node["inputs"][key] = file
        for place, value in changes.items():
            node, _, key = place.partition(".")
            copy[node]["inputs"][key] = value
        return copy

    return make
