"""The package's own models, which lie without code: loaded by the package, exported for others."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline

import frr
from frr import hub
from frr.pipelines.repository.code import code_files
from frr.pipelines.repository.writer import remove_code

KINDS = {hub.DEFAULT: frr.MoFRRPipeline, hub.BPFRE: frr.BPFRePipeline}
ALONE = """
import sys
import torch

class NoPackage:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "frr":
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, NoPackage())
from diffusers import DiffusionPipeline

folder, photo, result = sys.argv[1:]
pipe = DiffusionPipeline.from_pretrained(folder, trust_remote_code=True)
pipe.set_progress_bar_config(disable=True)
torch.manual_seed(0)
wishes = {"operations": set(pipe.operations)} if hasattr(pipe, "operations") else {}
photo = torch.load(photo, weights_only=True)
torch.save(pipe(photo, output_type="pt", **wishes).images, result)
"""


def act(pipe, photo: torch.Tensor) -> torch.Tensor:
    pipe.set_progress_bar_config(disable=True)
    torch.manual_seed(0)
    wishes = {"operations": set(pipe.operations)} if hasattr(pipe, "operations") else {}
    return pipe(photo, output_type="pt", **wishes).images


@pytest.fixture(scope="module", params=KINDS)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def exported(name, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / name
    KINDS[name].from_pretrained(hub.folder(name)).save_pretrained(folder)
    return folder


def test_diffusers_finds_the_packages_class(name):
    loaded = DiffusionPipeline.from_pretrained(hub.folder(name))
    assert type(loaded) is KINDS[name]


def test_an_export_holds_the_packages_code_and_the_same_weights(name, exported):
    assert {file.name for file in exported.glob("*.py")} == {*code_files(KINDS[name]), "block.py"}
    for file in ("SHA256SUMS", "README.md"):
        assert (exported / file).read_bytes() == (hub.folder(name) / file).read_bytes()


@pytest.mark.usefixtures("one_thread")
def test_an_export_loads_where_the_package_is_not_installed(name, exported, tmp_path):
    photo = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    torch.save(photo, tmp_path / "photo.pt")
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    given = (exported, tmp_path / "photo.pt", tmp_path / "result.pt")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ALONE, *map(str, given)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    result = torch.load(tmp_path / "result.pt", weights_only=True)
    own = act(KINDS[name].from_pretrained(hub.folder(name)), photo)
    torch.testing.assert_close(result, own, atol=1e-5, rtol=0)
    assert (result - photo).abs().max() > 1e-3


def test_an_export_without_its_code_is_the_embedded_folder_again(name, exported, tmp_path):
    copy = Path(shutil.copytree(exported, tmp_path / "copy"))
    remove_code(copy)
    embedded = hub.folder(name)
    assert files_of(copy) == files_of(embedded)
    for index in ("model_index.json", "modular_model_index.json"):
        assert (copy / index).read_text() == (embedded / index).read_text()


def files_of(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
