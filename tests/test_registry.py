"""Ready for ComfyUI's registry: metadata, what a pack's zip holds, workflows, what nodes need."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import unicodedata
import zipfile
from pathlib import Path

import pytest
from templates import TITLES, file_of

ROOT = Path(__file__).resolve().parent.parent
COMFY = shutil.which("comfy")
TOP = {
    ".comfyignore", ".gitignore", "LICENSE", "README.md", "__init__.py", "app", "cli.py",
    "commands", "hub", "locales", "models", "nodes", "pipelines", "py.typed", "pyproject.toml",
    "requirements.txt", "samples", "subgraphs", "training", "web", "workflows",
}  # fmt: skip

if importlib.util.find_spec("tomllib"):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_registry_finds_what_it_asks_for(project):
    meta, comfy = project["project"], project["tool"]["comfy"]
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,98}", meta["name"]) and "comfyui" not in meta["name"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", meta["version"])
    assert meta["description"] and meta["license"] and (ROOT / "LICENSE").is_file()
    assert {"Repository", "Documentation", "Bug Tracker"} <= set(meta["urls"])
    assert comfy["PublisherId"] and comfy["DisplayName"]
    assert "web" not in comfy, "WEB_DIRECTORY is set: both would register the folder twice"


def test_the_ranges_have_three_numbers(project):
    wanted = project["tool"]["comfy"]["requires-comfyui"]
    dependencies = project["project"]["dependencies"]
    (frontend,) = [d for d in dependencies if d.startswith("comfyui-frontend-package")]
    for text in (wanted, frontend.removeprefix("comfyui-frontend-package")):
        assert re.fullmatch(r">=\d+\.\d+\.\d+", text)


def test_the_nodes_ask_for_no_more_than_the_package(project):
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = {line for line in lines if line and not line.startswith("#")}
    assert wanted and wanted <= set(project["project"]["dependencies"])
    assert not any(re.match(r"(torch|numpy|pillow)\b", line, re.I) for line in wanted)


def tracked() -> list[str]:
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split("\0") if name]


def test_what_the_pack_holds():
    patterns = (ROOT / ".comfyignore").read_text(encoding="utf-8").split()
    kept = [
        name
        for name in tracked()
        if not any(name == p or (p[-1] == "/" and name.startswith(p)) for p in patterns)
    ]
    assert {name.split("/")[0] for name in kept} == TOP
    assert not any(name.startswith("tests/") for name in kept)
    assert sum((ROOT / name).stat().st_size for name in kept) < 60e6


def test_a_governed_host_would_take_the_pack():
    """One that checks packs takes none with links, bytecode or names that are one on some disks."""
    listed = subprocess.run(
        ["git", "ls-files", "--stage"], cwd=ROOT, capture_output=True, text=True, check=True
    ) if tracked() else None  # fmt: skip
    assert listed and not any(line.startswith("120000") for line in listed.stdout.splitlines())
    names = tracked()
    assert not any(name.endswith((".pyc", ".pyo")) or "__pycache__" in name for name in names)
    folded = {unicodedata.normalize("NFC", name).casefold() for name in names}
    assert len(folded) == len(names)


@pytest.mark.skipif(not COMFY, reason="comfy-cli is not installed")
def test_comfy_cli_packs_the_same(tmp_path):
    copy = tmp_path / "copy"
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "-A", "-f"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *command], cwd=copy, check=True)
    environment = {**os.environ, "HOME": str(tmp_path), "DO_NOT_TRACK": "1"}
    comfy = [COMFY, "--skip-prompt", "--no-enable-telemetry", "node"]
    checked = subprocess.run(
        [*comfy, "validate"], cwd=copy, env=environment, capture_output=True, text=True
    )
    said = checked.stdout + checked.stderr
    assert checked.returncode == 0, said
    assert "Warning" not in said and not re.search(r"\b(S102|S307|E702)\b.*:\d+", said), said
    subprocess.run([*comfy, "pack"], cwd=copy, env=environment, check=True)
    names = zipfile.ZipFile(copy / "node.zip").namelist()
    assert {name.split("/")[0] for name in names} == TOP
    assert not any("__pycache__" in name or name.endswith(".pyc") for name in names)
    assert (copy / "node.zip").stat().st_size < 60e6


WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
CORE = {
    "LoadImage", "SaveImage", "MarkdownNote", "LoadVideo", "GetVideoComponents", "CreateVideo",
    "SaveVideo", "PreviewImage", "LoadImageDataSetFromFolder", "Reroute",
}  # fmt: skip


def test_there_are_the_workflows_and_a_copy_of_each_for_the_tests():
    assert {file.stem for file in WORKFLOWS} == set(TITLES.values())
    assert {file.stem for file in (ROOT / "tests/comfy/workflows").glob("*.json")} == set(TITLES)


@pytest.mark.parametrize("name", TITLES)
def test_a_workflow_uses_known_nodes_and_has_its_picture(name):
    file = file_of(name)
    graph = json.loads(file.read_text(encoding="utf-8"))
    ours = set(re.findall(r'node_id="(\w+)"', "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "nodes").glob("*.py")
    )))  # fmt: skip
    kinds = {node["type"] for node in graph["nodes"]}
    assert kinds & ours and kinds <= ours | CORE
    assert "MarkdownNote" in kinds, "a workflow says what it does"
    assert file.with_suffix(".jpg").stat().st_size > 10_000
    copy = json.loads((ROOT / f"tests/comfy/workflows/{name}.json").read_text(encoding="utf-8"))
    named = {
        str(n["id"]): n["type"]
        for n in graph["nodes"]
        if n["type"] not in ("MarkdownNote", "Reroute")
    }
    assert {node: entry["class_type"] for node, entry in copy.items()} == named


def test_every_node_stands_in_a_workflow():
    texts = "".join(file.read_text(encoding="utf-8") for file in WORKFLOWS)
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "nodes").glob("*.py"))
    for name in re.findall(r'node_id="(\w+)"', sources):
        assert f'"{name}"' in texts, name
