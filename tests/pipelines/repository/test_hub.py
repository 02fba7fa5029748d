"""Pushed to a Hub and loaded by id: with and without the package, by huggingface_hub's client."""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import diffusers
import pytest
import torch
from diffusers import ModularPipeline
from hub_server import TOKEN, running_hub

from frr.pipelines.mofrr.pipeline import MoFRRPipeline

SCRIPTS = Path(__file__).parent / "hub_scripts"
MODULAR = "modular_model_index.json"
NETWORKS = tuple(MoFRRPipeline._optional_components)


def run(script: str, work: Path, endpoint: str, *given: str, **environment: str) -> None:
    """Runs a script in a process of its own, with an empty cache and this Hub."""
    home = {"HF_HOME": str(work / f"home-{script}"), "OMP_NUM_THREADS": "1"}
    home |= {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-W", "ignore", str(SCRIPTS / f"{script}.py"), *given]
    done = subprocess.run(
        command, env={**os.environ, **home, **environment}, cwd=work, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Expected types" not in done.stderr


@pytest.fixture(scope="module")
def pushed(pipe, photos, written, tmp_path_factory) -> SimpleNamespace:
    """What both scripts found, the Hub as they left it, and what they asked of it."""
    work = tmp_path_factory.mktemp("hub")
    torch.save(photos, work / "photos.pt")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    noise = torch.Generator().manual_seed(0)
    wishes = {"operations": ("whitening", "eye_enlarging"), "num_inference_steps": 2}
    images = pipe(photos, generator=noise, output_type="pt", **wishes).images
    torch.set_num_threads(threads)
    with running_hub() as hub:
        run("push", work, hub.url, str(written), str(work), HF_TOKEN=TOKEN)
        by_package = hub.fetched("me/both")
        shas = list(hub.commits)
        whole = next(sha for sha in shas if "model_index.json" in hub.commits[sha])
        hub.requests.clear()
        run("strange", work, hub.url, str(written), str(work), whole, HF_TOKEN=TOKEN)
    read = {name: json.loads((work / f"{name}.json").read_text()) for name in ("pushed", "strange")}
    return SimpleNamespace(**read, hub=hub, work=work, images=images, by_package=by_package)


def files_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def as_pushed(files: dict[str, bytes], repo: str) -> dict[str, bytes]:
    """A repository on the Hub as a folder, where no index says its name."""
    files = {name: raw for name, raw in files.items() if name != ".gitattributes"}
    key = b'"pretrained_model_name_or_path": '
    named, nameless = key + f'"{repo}"'.encode(), key + b"null"
    assert named in files[MODULAR] and nameless not in files[MODULAR]
    return files | {MODULAR: files[MODULAR].replace(named, nameless)}


def test_the_hub_holds_what_save_pretrained_writes(pushed, written):
    first = next(files for files in pushed.hub.commits.values() if "model_index.json" in files)
    assert as_pushed(first, "me/whole") == files_of(written)
    assert pushed.pushed["url"].startswith(f"{pushed.hub.url}/me/whole/commit/")


def test_by_id_where_the_package_is_not_installed(pushed, photos):
    images = torch.load(pushed.work / "by_id.pt", weights_only=True)
    torch.testing.assert_close(images, pushed.images, atol=1e-5, rtol=0)
    assert (images - photos).abs().max() > 1e-3
    assert pushed.strange["expert classes"] == 1
    assert pushed.strange["sharded"]


@pytest.mark.parametrize("kind", ["restore", "routed", "whitening", "offloaded"])
def test_the_modular_pipeline_by_id_where_the_package_is_not_installed(pushed, kind):
    assert pushed.strange["modular"][kind]


@pytest.mark.skipif(
    "workflow" not in inspect.signature(ModularPipeline.load_components).parameters,
    reason=f"diffusers {diffusers.__version__} loads no part of a modular pipeline by workflow",
)
def test_a_workflow_loads_its_own_networks(pushed):
    assert pushed.strange["whitening"] == [
        "merger",
        "scheduler",
        "shared_expert",
        "whitening_expert",
    ]


def test_by_id_without_the_flag_once_the_package_is_imported(pushed):
    assert pushed.pushed["class"]
    images = torch.load(pushed.work / "no_flag.pt", weights_only=True)
    torch.testing.assert_close(images, pushed.images, atol=1e-5, rtol=0)
    assert pushed.pushed["remote modules"] == []
    assert "trust_remote_code" in pushed.strange["no flag"]
    assert "trust_remote_code" in pushed.pushed["other class"]


def test_what_was_fetched_loads_without_a_network(pushed):
    assert pushed.pushed["offline"] == [True, "torch.float16", 0]


def test_what_is_left_out_is_not_fetched_and_variants_are_alone(pushed):
    for fetched in (pushed.by_package, pushed.hub.fetched("me/both")):
        assert {name for name in fetched if name.startswith("merger/")} >= {
            "merger/config.json",
            "merger/diffusion_pytorch_model.fp16.safetensors",
        }
        weights = {name for name in fetched if name.endswith(".safetensors")}
        assert len(weights) == len(NETWORKS) - 1
        assert all(name.endswith(".fp16.safetensors") for name in weights)
        assert not any(name.startswith("smoothing_expert/") for name in fetched)
    assert pushed.pushed["subset"] == [True, "torch.float16"]
    assert pushed.strange["left out"]


def test_a_dtype_for_each_component(pushed):
    assert pushed.strange["dtypes"] == ["torch.float32", "torch.bfloat16"]


def test_two_versions_in_one_process_keep_to_their_code(pushed):
    first, second = pushed.strange["versions"]
    assert first != second
    assert not pushed.strange["shared classes"]
    assert pushed.strange["first unchanged"]
    assert pushed.strange["second differs"]
    assert "merger" in pushed.strange["mixed"]


def test_pushing_another_version_removes_the_first_ones_code(pushed):
    code = [name for name in pushed.hub.files("me/whole") if name.endswith(".py")]
    code.remove("block.py")
    versions = {re.search(r"_v([0-9a-f]{8})", name)[1] for name in code}
    assert len(versions) == 1
    assert {name.partition("/")[0] for name in code if "/" in name} == set(NETWORKS)


def test_saving_and_pushing_from_afar_gives_the_same_repository(pushed, written):
    assert files_of(pushed.work / "again") == files_of(written)
    assert as_pushed(pushed.hub.files("me/from_afar"), "me/from_afar") == files_of(written)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("missing component", ["merger"]),
        ("missing weights", ["merger", "diffusion_pytorch_model"]),
        ("renamed class", ["mofrr_merger", "ExpertFuser"]),
        ("corrupt shard", ["router", "{shard}"]),
        ("missing shard", ["router"]),
    ],
)
def test_diffusers_names_the_damaged_file(pushed, damage, words):
    text = pushed.strange[damage]
    assert not text.startswith("loaded")
    for word in words:
        assert word.format(shard=pushed.strange["shard"]) in text, text
