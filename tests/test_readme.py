"""What the README tells a reader to type is what the package does."""

import re
import runpy
import shlex
from pathlib import Path

import click
import pytest
from PIL import Image

from frr import hub
from frr.cli import main

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SHELL = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines() if line]
COMMANDS = [part for line in SHELL for part in re.findall(r"\bfrr \w.*", line)]


def test_the_first_two_commands_start_and_test():
    assert SHELL[0].startswith("pip install ") and SHELL[0].endswith("&& frr demo -o out")
    assert SHELL[1] == 'pip install ".[test]" && pytest'


def test_ci_runs_the_commands_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for command in SHELL[:2]:
        for part in command.split(" && "):
            assert part.removesuffix("-o out") in script


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_line_is_understood(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (
        "album",
        "originals",
        "faces/train",
        "faces/val",
        "faces/test",
        "made",
        "report",
        "pools/router",
        "runs/router",
        "runs/router_2",
    ):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("given", "router"):
        (tmp_path / "report" / f"{name}.json").touch()
    for name in ("keep.png", "hole.png"):
        (tmp_path / name).touch()
    _, *words = shlex.split(line, comments=True)
    command, context = main, click.Context(main)
    while isinstance(command, click.Group):
        name, command, words = command.resolve_command(context, words)
    assert command.make_context(name, words, parent=context).params


def test_every_link_leads_to_a_file():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", TEXT)
    assert links and [link for link in links if not (ROOT / link).exists()] == []


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    code, *from_hub = [block for kind, block in BLOCKS if kind == "python"]
    assert len(from_hub) == 2
    for block in from_hub:
        assert "trust_remote_code=True" in block
        compile(block, "README.md", "exec")
    assert (hub.folder() / "model_index.json").is_file()
    monkeypatch.chdir(tmp_path)
    Image.linear_gradient("L").convert("RGB").resize((64, 64)).save("photo.jpg")
    Path("example.py").write_text(code)
    runpy.run_path("example.py")
    assert Image.open("restored.png").size == (64, 64)
    assert "whitening" in capsys.readouterr().out
