"""The package's own models, which lie without code: loaded by the package, exported for others."""

import json
import shutil
from pathlib import Path

import pytest
from diffusers import DiffusionPipeline

import frr
from frr import hub
from frr.pipelines.repository.code import code_files
from frr.pipelines.repository.writer import remove_code

KINDS = {hub.DEFAULT: frr.MoFRRPipeline, hub.BPFRE: frr.BPFRePipeline}


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


def test_an_export_without_its_code_is_the_embedded_folder_again(name, exported, tmp_path):
    copy = Path(shutil.copytree(exported, tmp_path / "copy"))
    remove_code(copy)
    embedded = hub.folder(name)
    assert files_of(copy) == files_of(embedded)
    for index in ("model_index.json", "modular_model_index.json"):
        written, kept = (json.loads((each / index).read_text()) for each in (copy, embedded))
        written["_diffusers_version"] = kept["_diffusers_version"]  # of whoever writes
        assert written == kept


def files_of(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
