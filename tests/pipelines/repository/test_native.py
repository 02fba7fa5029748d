"""Pipelines with experts that answer at once, saved with their code, for whom has no package."""

import json
import os
import subprocess
import sys

import pytest
import torch
from diffusers import DiffusionPipeline

from frr.pipelines.mofrr.pipeline import MoFRRPipeline
from frr.pipelines.operations import OPERATIONS
from frr.pipelines.repository.code import read_code

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
photo = torch.load(photo, weights_only=True)
noise = torch.Generator().manual_seed(0)
output = pipe(photo, operations=set(pipe.operations), generator=noise, output_type="pt")
torch.save((output.images, output.routing), result)
"""


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return torch.rand(1, 3, 75, 101, generator=torch.Generator().manual_seed(0))


def restore(pipe, photo):
    pipe.set_progress_bar_config(disable=True)
    noise = torch.Generator().manual_seed(0)
    return pipe(photo, operations=set(OPERATIONS), generator=noise, output_type="pt")


@pytest.mark.parametrize("kind", ["native", "mixed"])
@pytest.mark.usefixtures("one_thread")
def test_an_export_loads_where_the_package_is_not_installed(kind, request, photo, tmp_path):
    pipe = request.getfixturevalue(kind)
    pipe.save_pretrained(tmp_path / "folder")
    torch.save(photo, tmp_path / "photo.pt")
    given = (tmp_path / "folder", tmp_path / "photo.pt", tmp_path / "result.pt")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ALONE, *map(str, given)],
        env={**os.environ, "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    images, routing = torch.load(tmp_path / "result.pt", weights_only=True)
    expected = restore(pipe, photo)
    torch.testing.assert_close(images, expected.images, atol=1e-5, rtol=0)
    torch.testing.assert_close(routing, expected.routing, atol=1e-5, rtol=0)
    assert (images - photo).abs().max() > 1e-3


def test_the_index_names_each_networks_own_class(native, tmp_path, photo):
    native.save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    version = read_code(MoFRRPipeline).version
    assert index["smoothing_expert"] == [f"mofrr_texture_expert_v{version}_part", "TextureExpert"]
    assert index["router"][1] == "NativeRouter"
    assert index["face_slimming_expert"][1] == index["eye_enlarging_expert"][1] == "FlowExpert"
    remote = DiffusionPipeline.from_pretrained(tmp_path, trust_remote_code=True)
    assert type(remote.whitening_expert).__module__.startswith("diffusers_modules")
    assert torch.equal(restore(remote, photo).images, restore(native, photo).images)


def test_a_network_of_a_class_that_cannot_stand_there_is_refused(native, tmp_path):
    native.save_pretrained(tmp_path)
    file = tmp_path / "router" / "config.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "_class_name": "FlowExpert"}))
    file = tmp_path / "model_index.json"
    index = json.loads(file.read_text())
    index["router"][1] = "FlowExpert"
    file.write_text(json.dumps(index))
    with pytest.raises(ValueError, match="router is of class 'FlowExpert'; expected RetouchRouter"):
        MoFRRPipeline.from_pretrained(tmp_path)
