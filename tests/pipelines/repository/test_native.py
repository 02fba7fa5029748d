"""Pipelines with experts that answer at once, saved with their code."""

import json

import pytest
import torch
from diffusers import DiffusionPipeline

from frr.pipelines.mofrr.pipeline import MoFRRPipeline
from frr.pipelines.operations import OPERATIONS
from frr.pipelines.repository.code import read_code


@pytest.fixture(scope="module")
def photo() -> torch.Tensor:
    return torch.rand(1, 3, 75, 101, generator=torch.Generator().manual_seed(0))


def restore(pipe, photo):
    pipe.set_progress_bar_config(disable=True)
    noise = torch.Generator().manual_seed(0)
    return pipe(photo, operations=set(OPERATIONS), generator=noise, output_type="pt")


def test_the_index_names_each_networks_own_class(native, tmp_path, photo):
    native.save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    version = read_code(MoFRRPipeline).version
    assert index["smoothing_expert"] == [f"mofrr_texture_expert_v{version}_part", "TextureExpert"]
    assert index["router"][1] == "NativeRouter"
    assert index["face_slimming_expert"][1] == index["eye_enlarging_expert"][1] == "FlowExpert"
    remote = DiffusionPipeline.from_pretrained(tmp_path, trust_remote_code=True)
    assert type(remote.whitening_expert).__module__.startswith("diffusers_modules")
    there, here = restore(remote, photo).images, restore(native, photo).images
    assert torch.allclose(there, here, atol=1e-5)


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
