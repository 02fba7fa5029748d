"""What an installed copy holds: packages, version, weights; and that it restores a photo."""

import importlib.util
import os
import re
import shutil
import site
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import frr
from frr import hub
from frr.training.publishing.card import EXAMPLE_NAME, PICTURE_NAME, weights_digest
from frr.training.recipes import recipe_names

ROOT = Path(__file__).resolve().parent.parent
VERSION = re.compile(r"_v[0-9a-f]{8}")
OUTSIDE = {"tests", "benchmarks", "docs", "spaces", "build", "dist", "runs", "out", "__pycache__"}

if importlib.util.find_spec("tomllib"):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout, built without a network."""
    home = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*build, "-w", str(home), _clean_copy(home / "src")], check=True)
    return next(home.glob("*.whl"))


def _clean_copy(home: Path) -> str:
    """Copy the package's own files, so that a build leaves nothing in the checkout."""
    for folder in package_folders():
        for source in folder.iterdir():
            if source.is_file():
                target = home / source.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    return str(home)


def package_folders() -> Iterator[Path]:
    """The checkout's folders, less what is not the package: tests, builds, environments."""
    for home, folders, files in os.walk(ROOT):
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        folders[:] = [name for name in folders if name not in OUTSIDE and name[0] != "."]
        yield Path(home)


def test_packages_are_the_folders(project):
    folders = [path for path in package_folders() if (path / "__init__.py").is_file()]
    expected = {".".join(["frr", *folder.relative_to(ROOT).parts]) for folder in folders}
    assert set(project["tool"]["setuptools"]["packages"]) == expected


def test_every_python_file_stands_in_a_package():
    with_code = [path.relative_to(ROOT) for path in package_folders() if any(path.glob("*.py"))]
    loose = {path for path in with_code if not (ROOT / path / "__init__.py").is_file()}
    assert {path for path in loose if path.parts[0] != "hub"} == set()


def test_versions_agree(project):
    assert frr.__version__ == project["project"]["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {frr.__version__}" in changes


def test_metadata_is_static(project):
    assert "dynamic" not in project["project"]
    assert not any("torchvision" in name for name in project["project"]["dependencies"])


def test_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    outside = {name.split("/")[0] for name in names} - {"frr", f"frr-{frr.__version__}.dist-info"}
    assert outside == set()
    assert {"frr/py.typed", "frr/cli.py", "frr/pipelines/mofrr/pipeline.py"} <= set(names)
    assert not any("tests" in name for name in names)


def test_wheel_holds_the_recipes(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"frr/training/recipes/{name}.sh" for name in recipe_names()} <= names


@pytest.mark.parametrize("name", [hub.DEFAULT, hub.BPFRE])
def test_wheel_holds_the_embedded_weights(wheel, name):
    names = set(zipfile.ZipFile(wheel).namelist())
    folder = hub.folder(name)
    shipped = {path for path in folder.rglob("*") if path.is_file()}
    expected = {f"frr/hub/{folder.name}/{path.relative_to(folder).as_posix()}" for path in shipped}
    assert any(name.endswith(".safetensors") for name in expected)
    assert expected <= names
    assert sum(path.stat().st_size for path in shipped) <= 40e6


@pytest.mark.parametrize("name", [hub.DEFAULT, hub.BPFRE])
def test_the_embedded_folders_hold_no_code(name):
    """Their code is the package's: `save_pretrained` and `frr export` add it to what they write."""
    folder = hub.folder(name)
    assert not list(folder.rglob("*.py"))
    assert not VERSION.search((folder / "model_index.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", [hub.DEFAULT, hub.BPFRE])
def test_the_embedded_card_is_of_these_weights(name):
    folder = hub.folder(name)
    card = ModelCard.load(folder / "README.md")
    assert str(weights_digest(folder)) in card.text, "evaluate again, and run frr card"
    assert card.data.eval_results and (folder / PICTURE_NAME).is_file()
    assert card.data.widget and (folder / EXAMPLE_NAME).is_file()
    assert card.data.to_dict()["model-index"]  # as the Hub validates it


@pytest.mark.skipif("FRR_FRESH_INSTALL" not in os.environ, reason="set FRR_FRESH_INSTALL=1 to run")
def test_wheel_restores_a_photo_in_an_environment_of_its_own(wheel, tmp_path):
    """What it needs is taken from here; `.ci/run` begins with what is declared alone."""
    python = tmp_path / "env" / "bin" / "python"
    venv.create(tmp_path / "env", symlinks=os.name != "nt")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
    subprocess.run([*install, "--no-deps", "--no-index", str(wheel)], check=True)
    (home,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    here = "".join(f"site.addsitedir({folder!r}); " for folder in site.getsitepackages())
    (home / "zz_packages_from_here.pth").write_text(f"import site; {here}\n")

    code = "import frr; from skimage import data, io; io.imsave('astronaut.png', data.astronaut())"
    shown = subprocess.run(
        [python, "-c", f"{code}; print(frr.__file__)"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert str(tmp_path) in shown.stdout.decode()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    command = [python.parent / "frr", "restore", "astronaut.png", "-o", "restored"]
    subprocess.run(command, cwd=tmp_path, check=True, env=environment)
    assert (tmp_path / "restored" / "astronaut.png").stat().st_size > 0
