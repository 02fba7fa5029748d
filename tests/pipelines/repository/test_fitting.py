"""Weights are numbers, of the right shapes, in folders and in single files."""

import json
import time

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from frr.models.mofrr.merger import ExpertMerger
from frr.pipelines.mofrr.pipeline import MoFRRPipeline
from frr.pipelines.mofrr.single_file import load_single_file, save_single_file
from frr.pipelines.repository import fitting
from frr.pipelines.repository.fitting import check_finite, check_fit
from frr.training.run_folder import load_trained

WEIGHTS = "diffusion_pytorch_model.safetensors"
SMALL = {"operations": ("whitening", "smoothing"), "channels": (8, 8)}


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def single(pipe, tmp_path_factory):
    file = tmp_path_factory.mktemp("single") / "all.safetensors"
    save_single_file(pipe, file)
    return file


def altered(single, tmp_path, change):
    """A copy of a single file whose record, or tensors, `change` altered."""
    with safe_open(single, "pt") as content:
        record = json.loads(content.metadata()["frr"])
    tensors = load_file(single)
    change(record, tensors)
    file = tmp_path / "altered.safetensors"
    save_file(tensors, file, metadata={"frr": json.dumps(record)})
    return file


@pytest.mark.parametrize("poison", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_that_are_no_numbers_are_named(poison, dtype):
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).to(dtype)
    check_finite(network, "some file")
    network[1].running_var[1] = poison
    with pytest.raises(ValueError, match=r"some file holds weights .* \(1.running_var\)"):
        check_finite(network, "some file")


def test_weights_at_the_limits_of_their_type_are_numbers():
    network = nn.Linear(2, 1).half()
    network.weight.data = torch.tensor([[65504.0, -65504.0]]).half()
    check_finite(network, "some file")


def test_folders_single_files_and_training_refuse_nan(folder, single, tmp_path):
    (folder / "SHA256SUMS").unlink()
    file = folder / "merger" / WEIGHTS
    tensors = load_file(file)
    tensors["gain_head.bias"][0] = torch.nan
    save_file(tensors, file, metadata={"format": "pt"})
    for load in (
        lambda: MoFRRPipeline.from_pretrained(folder),
        lambda: load_trained(ExpertMerger, folder / "merger"),
    ):
        with pytest.raises(ValueError, match=r"merger.*NaN or infinite.*gain_head.bias"):
            load()

    def poison(_, tensors):
        tensors["merger.gain_head.bias"][0] = torch.nan

    with pytest.raises(ValueError, match="NaN or infinite"):
        load_single_file(altered(single, tmp_path, poison))


def test_a_config_is_compared_with_the_shapes():
    network = ExpertMerger(**SMALL)
    config, found = dict(network.config), shapes(network)
    check_fit(ExpertMerger, config, found, "file")
    name = next(iter(found))
    for spoilt, message in (
        ({**found, name: (1, 2)}, f"{name} is 1x2, its config asks for"),
        ({**found, "more": (1,)}, "more is 1, its config asks for none"),
        ({n: s for n, s in found.items() if n != name}, f"{name} is missing"),
    ):
        with pytest.raises(ValueError, match=message):
            check_fit(ExpertMerger, config, spoilt, "file")


@pytest.mark.parametrize("size", [10**6, 10**9])
def test_a_small_file_with_the_config_of_a_giant_is_refused_unbuilt(single, tmp_path, size):
    """No network of that size is ever made: only its outline is."""

    def enlarge(record, _):
        record["parts"]["merger"]["channels"] = [size // 8 * 8, 8]

    file = altered(single, tmp_path, enlarge)
    start = time.process_time()
    with pytest.raises(ValueError):
        load_single_file(file)
    assert time.process_time() - start < 20


def test_a_config_of_endless_layers_is_refused(monkeypatch):
    class Endless(nn.Module):
        @classmethod
        def from_config(cls, config):
            network = cls()
            network.layers = nn.Sequential()
            for _ in range(config["depth"]):
                network.layers.append(nn.Linear(1, 1))
            return network

    check_fit(Endless, {"depth": 2}, shapes(Endless.from_config({"depth": 2})), "file")
    with pytest.raises(ValueError, match="far larger than 4 tensors"):
        check_fit(Endless, {"depth": 10**9}, dict.fromkeys("abcd", (1,)), "file")
    nn.Sequential(*(nn.Identity() for _ in range(fitting.AT_LEAST * 40)))  # and counts no more
