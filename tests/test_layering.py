"""The rooms import one way: models <- pipelines <- {nodes, training} <- command line."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "hub": set(),
    "models": set(),
    "pipelines": {"models", "hub"},
    "nodes": {"pipelines", "models", "hub"},
    "training": {"pipelines", "models", "hub"},
    "app": {"pipelines", "models", "hub"},
    "commands": {"app", "training", "pipelines", "models", "hub", "__init__"},
    "cli": {"commands", "__init__"},
    "__init__": {"pipelines", "nodes"},
}
HOST = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths"}


def sources() -> list[Path]:
    """Every Python file of the package, as paths relative to the checkout."""
    rooms = [room for room in MAY_IMPORT if (ROOT / room).is_dir()]
    files = [path for room in rooms for path in (ROOT / room).rglob("*.py")]
    inside = [path.relative_to(ROOT) for path in files]
    return sorted({*inside, *(Path(path.name) for path in ROOT.glob("*.py"))})


def room_of(path: Path) -> str:
    """The room a file stands in; a file at the root is a room of its own."""
    return path.parts[0] if len(path.parts) > 1 else path.stem


def imports(path: Path, text: str) -> list[tuple[int, str]]:
    """Level (0: absolute) and dotted name of each import; relative names start at the root."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append((0, node.module or ""))
        elif isinstance(node, ast.ImportFrom):
            base = path.parent.parts[: len(path.parent.parts) - (node.level - 1)]
            assert node.level - 1 <= len(path.parent.parts), f"{path}: import from above the root"
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found += [(node.level, ".".join([*base, name])) for name in names]
    return found


def violations(path: Path, text: str) -> list[str]:
    """What a file imports against the order of the rooms."""
    room = room_of(path)
    wrong = []
    for level, name in imports(path, text):
        target = name.split(".")[0]
        if level == 0 and target in {"frr", *MAY_IMPORT} - {"cli", "__init__"}:
            wrong.append(f"{path}: absolute import of {name}")
        elif level == 0 and target in HOST and path != Path("nodes/host.py"):
            wrong.append(f"{path}: imports {name} outside nodes/host.py")
        elif level > 0 and (target if target in MAY_IMPORT else "__init__") not in {
            room,
            *MAY_IMPORT[room],
        }:
            wrong.append(f"{path}: {room} must not import {name}")
    return wrong


def test_every_python_file_stands_in_a_known_room():
    strangers = [path for path in ROOT.glob("*/*.py") if path.parent.name not in MAY_IMPORT]
    assert {path.parent.name for path in strangers} <= {
        *("tests", "benchmarks", "docs", "build", "spaces"),
    }
    assert {path.stem for path in ROOT.glob("*.py")} <= set(MAY_IMPORT)


@pytest.mark.parametrize("path", sources(), ids=str)
def test_imports_follow_the_order_of_the_rooms(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert violations(path, text) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("models/a.py", "from ..pipelines.b import x"),
        ("pipelines/simulate/a.py", "from ...training.b import x"),
        ("pipelines/a.py", "from .. import cli"),
        ("training/a.py", "def f():\n    from ..commands import x"),
        ("training/a.py", "from ..nodes.b import x"),
        ("nodes/a.py", "from ..training import b"),
        ("nodes/a.py", "import comfy.utils"),
        ("training/a.py", "import frr.models"),
        ("commands/a.py", "from pipelines.b import x"),
    ],
)
def test_a_planted_violation_is_found(path, text):
    assert len(violations(Path(path), text)) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("models/a.py", "from .b import x"),
        ("pipelines/a.py", "from .simulate.recipe import x"),
        ("pipelines/simulate/a.py", "from .recipe import x\nfrom ..faces import y"),
        ("training/a.py", "from ..models.presets import x\nimport torch"),
        ("nodes/host.py", "import comfy.utils"),
        ("commands/a.py", "from .. import __version__\nfrom .pictures import x"),
        ("cli.py", "from .commands.demo import demo"),
    ],
)
def test_a_lawful_import_passes(path, text):
    assert violations(Path(path), text) == []


@pytest.mark.parametrize("statement", ["import frr", "import frr.cli", "import frr.hub"])
def test_import_is_light(statement, tmp_path):
    code = (
        f"import sys; {statement}\n"
        "heavy = {'torch', 'diffusers', 'transformers', 'numpy', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_unknown_attribute_is_named():
    import frr

    with pytest.raises(AttributeError, match="no_such_thing"):
        frr.no_such_thing  # noqa: B018
