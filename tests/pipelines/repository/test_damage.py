"""Folders of a pipeline that are damaged or of another kind: refused, the file named."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file

from frr.pipelines.mofrr.pipeline import MoFRRPipeline

WEIGHTS = "diffusion_pytorch_model.safetensors"


def refuses(folder, *words, **options):
    with pytest.raises(ValueError) as caught:
        MoFRRPipeline.from_pretrained(folder, **options)
    for word in words:
        assert str(word) in str(caught.value), str(caught.value)


def flip(file: Path) -> None:
    """Changes one bit of the last weight."""
    content = bytearray(file.read_bytes())
    content[-2] ^= 1
    file.write_bytes(content)


def test_altered_weights_are_refused_unless_the_digests_are_deleted(folder):
    file = folder / "merger" / WEIGHTS
    flip(file)
    refuses(folder, file, "altered", "SHA256SUMS")
    (folder / "SHA256SUMS").unlink()
    MoFRRPipeline.from_pretrained(folder)


def test_truncated_weights_are_refused(folder):
    for size in (0, 5, 2000):
        file = folder / "router" / WEIGHTS
        file.write_bytes(file.read_bytes()[:size])
        refuses(folder, file, "no whole safetensors file")


@pytest.mark.parametrize("change", ["missing", "renamed", "reshaped", "of another network"])
def test_weights_that_do_not_fit_are_refused(folder, change):
    (folder / "SHA256SUMS").unlink()
    file = folder / "merger" / WEIGHTS
    tensors = load_file(file)
    weight = tensors["gain_head.weight"]
    if change == "missing":
        del tensors["gain_head.weight"]
    if change == "renamed":
        tensors["head.weight"] = tensors.pop("gain_head.weight")
    if change == "reshaped":
        tensors["gain_head.weight"] = torch.cat((weight, weight))
    if change == "of another network":
        tensors = load_file(folder / "shared_expert" / WEIGHTS)
    save_file(tensors, file)
    refuses(folder, file)


def test_missing_files_are_named(folder):
    (folder / "merger" / WEIGHTS).unlink()
    refuses(folder, folder / "merger" / WEIGHTS)
    shutil.rmtree(folder / "merger")
    refuses(folder, folder / "merger" / "config.json")
    (folder / "scheduler" / "scheduler_config.json").unlink()
    refuses(folder, folder / "scheduler" / "scheduler_config.json", merger=None)
    (folder / "model_index.json").unlink()
    refuses(folder, folder / "model_index.json")


def test_folders_of_another_kind_are_refused(folder, tmp_path):
    refuses(tmp_path / "nowhere", tmp_path / "nowhere", "no folder")
    refuses("frr/nowhere", "frr/nowhere", "the Hub")
    refuses(tmp_path, tmp_path / "model_index.json")
    refuses(folder / "router", "single network", "RetouchRouter")
    unet = UNet2DModel(
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        norm_num_groups=4,
        layers_per_block=1,
    )
    DDIMPipeline(unet, DDIMScheduler()).save_pretrained(tmp_path / "ddim")
    refuses(tmp_path / "ddim", "DDIMPipeline", "MoFRRPipeline")


def edit(file: Path, **changes) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.parametrize(
    ("file", "changes", "words"),
    [
        ("model_index.json", {"router": "RetouchRouter"}, ("router", "[file, class]")),
        ("model_index.json", {"router": ["a", "Elsewhere"]}, ("'Elsewhere'", "RetouchRouter")),
        ("model_index.json", {"scheduler": ["diffusers", "Elsewhere"]}, ("'Elsewhere'",)),
        ("model_index.json", {"scheduler": [None, None]}, ("scheduler",)),
        ("model_index.json", {"retoucher": ["a", "WaveFRRExpert"]}, ("retoucher",)),
        ("router/config.json", {"_class_name": "ExpertMerger"}, ("ExpertMerger",)),
        ("router/config.json", {"token_width": 24}, ("router/" + WEIGHTS, "router/config.json")),
        ("router/config.json", {"operations": ["a"]}, ("router/" + WEIGHTS,)),
        ("scheduler/scheduler_config.json", {"beta_schedule": "odd"}, ("odd",)),
    ],
)
def test_wrong_configs_are_refused(folder, file, changes, words):
    edit(folder / file, **changes)
    refuses(folder, file, *words)


def test_an_operation_without_its_folder_is_named(folder):
    edit(folder / "model_index.json", lip_tinting_expert=["a", "WaveFRRExpert"])
    refuses(folder, folder / "lip_tinting_expert" / "config.json", "lip_tinting_expert")


def test_broken_json_is_refused(folder):
    for file in ("router/config.json", "model_index.json"):
        (folder / file).write_text("{")
        refuses(folder, folder / file, "not JSON")
    (folder / file).write_text("[]")
    refuses(folder, folder / file, "no JSON object")


def test_damaged_shards_are_named(pipe, tmp_path):
    pipe.save_pretrained(tmp_path, max_shard_size="30KB")
    shards = sorted((tmp_path / "router").glob("*.safetensors"))
    flip(shards[-1])
    refuses(tmp_path, shards[-1], "SHA256SUMS")
    shards[0].unlink()
    refuses(tmp_path, shards[0], "does not exist")
    index = tmp_path / "router" / f"{WEIGHTS}.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../elsewhere.safetensors"}}))
    refuses(tmp_path, index, "no shards beside it")
