"""MoFRRLoadModel: what it offers, what it loads, what it refuses."""

import shutil

import pytest
import torch

from frr import hub
from frr.pipelines.mofrr.single_file import load_single_file, save_single_file

EMBEDDED = "mofrr-tiny (embedded)"


@pytest.fixture
def home(models):
    folder = models / "mofrr"
    folder.mkdir(exist_ok=True)
    yield folder
    shutil.rmtree(folder)


def offered(nodes):
    return nodes["MoFRRLoadModel"].define_schema().inputs[0].options["options"]


def test_offers_the_embedded_model_and_what_lies_in_the_folder(nodes, home, pipe):
    assert offered(nodes) == [EMBEDDED]
    pipe.save_pretrained(home / "mine")
    save_single_file(pipe, home / "one.safetensors")
    (home / "notes.txt").write_text("put models here")
    assert offered(nodes) == [EMBEDDED, "mine", "one.safetensors"]


@pytest.mark.parametrize("name", ["mine", "one.safetensors"])
def test_a_folder_and_a_file_give_the_same_model(nodes, home, pipe, name, pictures, restore, model):
    pipe.save_pretrained(home / "mine")
    save_single_file(pipe, home / "one.safetensors")
    loaded = nodes["MoFRRLoadModel"].execute(name, "float32")[0]
    assert loaded.name == name and len(loaded.get_models()) == len(pipe.expert_names) + 2
    wishes = {"whitening": "on", "face_slimming": "on"}
    expected = restore(pictures, model, **wishes)[0]
    torch.testing.assert_close(restore(pictures, loaded, **wishes)[0], expected, atol=1e-5, rtol=0)


def test_the_embedded_model_loads_in_the_dtype_asked_for(nodes):
    loaded = nodes["MoFRRLoadModel"].execute(EMBEDDED, "bfloat16")[0]
    assert {p.model.get_dtype() for p in loaded.get_models()} == {torch.bfloat16}
    loaded = nodes["MoFRRLoadModel"].execute(EMBEDDED, "auto")[0]
    assert {p.model.get_dtype() for p in loaded.get_models()} == {torch.float32}


def test_a_changed_file_is_a_new_model(nodes, home, pipe):
    file = home / "one.safetensors"
    save_single_file(pipe, file)
    fingerprint = nodes["MoFRRLoadModel"].fingerprint_inputs
    first = fingerprint("one.safetensors", "auto")
    assert first == fingerprint("one.safetensors", "auto")
    file.write_bytes(file.read_bytes() + b" ")
    assert fingerprint("one.safetensors", "auto") != first
    assert fingerprint("gone", "auto") == ["gone"]


def test_bpfre_models_are_folders_of_their_own(nodes, models, retoucher, bpfre, pictures):
    load, folder = nodes["BPFReLoadModel"], models / "bpfre"
    bpfre.save_pretrained(folder / "mine")
    try:
        (folder / "one.safetensors").touch()
        names = load.define_schema().inputs[0].options["options"]
        assert names == ["bpfre-tiny (embedded)", "mine"]
        loaded = load.execute("mine", "float32")[0]
        given = {"strength": 1.0, "working_size": 0}
        first, second = (
            nodes["BPFReRetouch"].execute(pictures, each, **given) for each in (loaded, retoucher)
        )
        torch.testing.assert_close(first[0], second[0], atol=1e-5, rtol=0)
        assert not torch.equal(first[0], pictures)
        before = load.fingerprint_inputs("mine", "auto")
        (folder / "mine" / "retoucher" / "other.safetensors").touch()
        assert load.fingerprint_inputs("mine", "auto") != before
    finally:
        shutil.rmtree(folder)


def test_the_embedded_bpfre_model_loads(nodes):
    loaded = nodes["BPFReLoadModel"].execute("bpfre-tiny (embedded)", "bfloat16")[0]
    assert {p.model.get_dtype() for p in loaded.get_models()} == {torch.bfloat16}
    assert "retoucher" in loaded.patchers
    with pytest.raises(ValueError, match="'gone' is not under models/bpfre"):
        nodes["BPFReLoadModel"].execute("gone", "auto")


def test_a_model_that_is_gone_is_named(nodes):
    with pytest.raises(ValueError, match="'gone' is not under models/mofrr"):
        nodes["MoFRRLoadModel"].execute("gone", "auto")


def test_files_of_other_kinds_are_refused(tmp_path, pipe):
    from safetensors.torch import save_file

    file = tmp_path / "x.safetensors"
    file.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="no whole safetensors file"):
        load_single_file(file)
    save_file({"a": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match="no MoFRR pipeline in one file"):
        load_single_file(file)
    save_single_file(pipe, file)
    with pytest.raises(ValueError, match="far larger than 0 tensors"):
        load_single_file(file, read=lambda name: {})


def test_a_part_that_is_missing_stays_missing(tmp_path, pipe):
    file = tmp_path / "x.safetensors"
    merger, pipe.merger = pipe.merger, None
    try:
        save_single_file(pipe, file)
    finally:
        pipe.merger = merger
    loaded = load_single_file(file)
    assert loaded.merger is None and loaded.config["working_size"] == 32
    assert tuple(loaded.router.config.thresholds) == tuple(pipe.router.config.thresholds)


def test_the_embedded_folder_is_the_default():
    assert hub.folder().name == EMBEDDED.split()[0]
