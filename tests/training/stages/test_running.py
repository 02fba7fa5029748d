"""Stages and pools by name: all of them run; what does not fit is named, and nothing is written."""

import json

import pytest
import torch

from frr.models.mofrr.router import RetouchRouter
from frr.pipelines.operations import OPERATIONS
from frr.training.data.faces import load_faces
from frr.training.loop import LoopConfig
from frr.training.publishing.assemble_mofrr import assemble
from frr.training.stages.registry import (
    STAGES,
    pool_config,
    refuse_foreign,
    simulation_settings,
    stage_config,
)
from frr.training.stages.running import make_pool, run_stage

SIZE = 64


def test_every_stage_has_settings_of_its_own():
    kinds = [stage_config(name) for name in STAGES]
    assert len(set(kinds)) == len(kinds) and all(issubclass(k, LoopConfig) for k in kinds)
    for name, entry in STAGES.items():
        if entry.pool:
            assert set(simulation_settings(name)) < set(pool_config(name).names())
        else:
            with pytest.raises(ValueError, match="has no pools"):
                pool_config(name)


def test_all_stages_run_and_assemble(faces_dir, tmp_path):
    short = {"steps": 1, "batch_size": 2, "size": SIZE}
    run_stage("router", short | {"batch_size": 1}, tmp_path / "router", faces_dir)
    for name in OPERATIONS:
        run_stage("expert", short | {"operation": name}, tmp_path / name, faces_dir)
    run_stage("shared", short, tmp_path / "shared", faces_dir)
    with pytest.raises(ValueError, match="run that stage to its end first"):
        assemble(tmp_path)
    run_stage("merger", short | {"models": str(tmp_path)}, tmp_path / "merger", faces_dir)
    pipe = assemble(tmp_path, load_faces(faces_dir, SIZE, limit=2))
    photo = torch.rand(1, 3, SIZE, SIZE)
    output = pipe(photo, operations=list(OPERATIONS), output_type="pt", num_inference_steps=1)
    assert output.images.shape == photo.shape


@pytest.fixture(scope="module")
def router_pool(faces_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pools") / "router"
    settings = {"items": 3, "size": SIZE, "operations": "whitening,smoothing", "vary_light": 0.3}
    assert list(make_pool("router", settings, folder, faces_dir)) == [(3, 3)]
    return folder


def test_a_stage_learns_from_a_pool_as_the_pool_was_made(router_pool, tmp_path):
    settings = {"steps": 1, "batch_size": 2}
    model = run_stage("router", settings, tmp_path / "run", pools=[router_pool])
    assert list(RetouchRouter.from_pretrained(model).config.operations) == [
        "whitening",
        "smoothing",
    ]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["settings"]["size"] == SIZE and config["settings"]["vary_light"] == 0.3
    assert config["data"]["pools"][0]["settings"]["items"] == 3
    assert run_stage("router", settings, tmp_path / "run", pools=[router_pool]) == model


def test_what_a_pool_decides_is_not_set_twice(router_pool, faces_dir, tmp_path):
    for given, message in (
        ({"size": 128}, "size is decided by the pool"),
        ({"crop": 128}, "no setting 'crop', which belongs to bpfre, bpfre_inpaint"),
    ):
        with pytest.raises(ValueError, match=message):
            run_stage("router", given, tmp_path / "run", pools=[router_pool])
    with pytest.raises(ValueError, match="is a pool of stage router"):
        run_stage("merger", {"steps": 1}, tmp_path / "run", pools=[router_pool])
    with pytest.raises(ValueError, match="stage expert has no pools"):
        run_stage("expert", {"steps": 1}, tmp_path / "run", pools=[router_pool])
    for data in ({}, {"faces": faces_dir, "pools": [router_pool]}):
        with pytest.raises(ValueError, match="faces or from pools"):
            run_stage("router", {}, tmp_path / "run", **data)
    assert not (tmp_path / "run").exists()


def test_pools_must_agree(router_pool, faces_dir, tmp_path):
    settings = {"items": 1, "size": SIZE, "operations": "smoothing,whitening", "vary_light": 0.3}
    list(make_pool("router", settings, tmp_path / "other", faces_dir))
    with pytest.raises(ValueError, match="operations"):
        run_stage("router", {"steps": 1}, tmp_path / "run", pools=[router_pool, tmp_path / "other"])


@pytest.mark.parametrize("name", STAGES)
def test_a_foreign_setting_is_named(name):
    for other in STAGES:
        for setting in set(stage_config(other).names()) - set(stage_config(name).names()):
            with pytest.raises(ValueError, match=f"{name} has no setting '{setting}'"):
                refuse_foreign(name, {setting: 1})
    with pytest.raises(ValueError, match="unknown setting 'speed'"):
        refuse_foreign(name, {"speed": 1})


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("critic", {}, "unknown stage 'critic'"),
        ("expert", {}, "operation=NAME"),
        ("merger", {}, "models=FOLDER"),
        ("merger", {"models": "nowhere"}, "run that stage to its end first"),
        ("router", {"start": "nowhere"}, "nowhere holds no trained network"),
        ("router", {"steps": 0}, "steps must be at least 1"),
        ("router", {"preset": "huge"}, "preset must be one of tiny, base"),
        ("bpfre", {"vgg": "nowhere"}, "nowhere does not exist"),
        ("bpfre", {"pair_share": 0}, "pair_share must be more than 0"),
        ("bpfre", {"detection_only": "1", "keep_detection": "1"}, "choose one"),
    ],
)
def test_nothing_is_written_before_all_was_checked(faces_dir, tmp_path, name, settings, message):
    with pytest.raises(ValueError, match=message):
        run_stage(name, settings, tmp_path / "run", faces_dir)
    assert not (tmp_path / "run").exists()


def test_a_run_with_other_faces_is_not_resumed(faces_dir, tmp_path):
    settings = {"steps": 3, "batch_size": 1, "size": SIZE}
    assert run_stage("router", settings, tmp_path / "run", faces_dir, seconds=0) is None
    fewer = tmp_path / "fewer"
    fewer.mkdir()
    (fewer / "0.png").write_bytes((faces_dir / "0.png").read_bytes())
    with pytest.raises(ValueError, match="was started with data"):
        run_stage("router", settings, tmp_path / "run", fewer)
    with pytest.raises(ValueError, match="steps='4' is not what this run"):
        run_stage("router", {**settings, "steps": 4}, tmp_path / "run", faces_dir)
    assert run_stage("router", {}, tmp_path / "run", faces_dir) == tmp_path / "run" / "model"
