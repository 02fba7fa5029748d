"""Folders that MoFRRPipeline writes: complete, loadable anywhere, and refused when damaged."""

import filecmp
import importlib
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, DiffusionPipeline
from safetensors.torch import load_file

from frr.pipelines.mofrr.pipeline import MoFRRPipeline
from frr.pipelines.repository import writer as frr_repository
from frr.pipelines.repository.code import code_files, read_code

WEIGHTS = "diffusion_pytorch_model.safetensors"
EXPERTS = ("whitening", "smoothing", "face_slimming", "eye_enlarging")
NETWORKS = (*(f"{name}_expert" for name in EXPERTS), "router", "shared_expert", "merger")
OWN = "mofrr_pipeline"
NAMES = {
    "models": (
        *("attending", "native_traces", "resampling", "retouching_traces", "sizes", "unets"),
        "wavelets",
    ),
    "models/mofrr": (
        *("bands", "coarse_encoder", "coarse_head", "contract", "degrees", "denoising", "expert"),
        *(
            "face_parts",
            "flow_expert",
            "granularity",
            "hfcam",
            "idem",
            "merger",
            "native_router",
            "native_view",
        ),
        *(
            "router",
            "shared",
            "spectral_stem",
            "stem",
            "texture_diffusion",
            "texture_expert",
            "tone_expert",
            "tone_path",
        ),
        "warping",
    ),
    "pipelines": ("arguments", "blocks", "operations", "placement", "room"),
    "pipelines/mofrr": (
        *("beliefs", "blocks", "by_expert", "candidates", "clips", "components", "composing"),
        *("direct", "edits", "estimating"),
        *("experts", "joining", "later_blocks", "merging", "modular", "output", "pipeline"),
        *("request", "restoration", "routing", "running", "sampling", "sight", "stages", "steps"),
        "tiled",
    ),
    "pipelines/photos": ("arrays", "compression", "tiles"),
    "pipelines/repository": (
        *("code", "exchange", "fitting", "loading", "modular", "reader", "writer", "writing"),
    ),
}
CODE = {
    f"{folder}/{name}.py": "_".join([*folder.split("/")[1:], name])
    for folder, names in NAMES.items()
    for name in names
}
ABSOLUTE_PATH = re.compile(r"""["'\s](/[a-z]\w*/|[A-Z]:\\\\|~/|file://)""")
CALL = {"operations": ("whitening", "eye_enlarging"), "num_inference_steps": 2}


def restore(pipeline, photos):
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    return pipeline(photos, generator=generator, output_type="pt", **CALL).images


def files_of(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def version_of(folder: Path) -> str:
    """The version in the names of a repository's code files."""
    return next(folder.glob(f"{OWN}_v*.py")).stem.removeprefix(OWN)


def test_layout(written):
    version = version_of(written)
    assert re.fullmatch(r"_v[0-9a-f]{8}", version)
    parts = {name: f"{name}/mofrr_expert{version}_part.py" for name in NETWORKS[:4]}
    parts |= {name: f"{name}/mofrr_{name}{version}_part.py" for name in ("router", "merger")}
    parts["shared_expert"] = f"shared_expert/mofrr_shared{version}_part.py"
    expected = {"model_index.json", "SHA256SUMS", "scheduler/scheduler_config.json"}
    expected |= {"block.py", "modular_config.json", "modular_model_index.json"}
    expected |= {f"{name}{version}.py" for name in CODE.values()} | set(parts.values())
    expected |= {f"{name}/{file}" for name in NETWORKS for file in ("config.json", WEIGHTS)}
    assert set(files_of(written)) == expected

    index = json.loads((written / "model_index.json").read_text())
    assert index["_class_name"] == [f"{OWN}{version}", "MoFRRPipeline"]
    assert index["whitening_expert"] == [f"mofrr_expert{version}_part", "WaveFRRExpert"]
    assert index["shared_expert"] == [f"mofrr_shared{version}_part", "SharedExpert"]
    assert index["scheduler"] == ["diffusers", "DDIMScheduler"]
    assert index["working_size"] == 32
    experts = [name for name in index if name.endswith("_expert")]
    assert experts == [*(f"{name}_expert" for name in EXPERTS), "shared_expert"]
    stub = (written / parts["whitening_expert"]).read_text().splitlines()
    assert len(stub) == 3
    assert stub[1:] == [
        f"from . import mofrr_expert{version} as _module",
        "WaveFRRExpert = _module.WaveFRRExpert",
    ]


def test_code_is_the_packages_with_flat_imports(written, root):
    version = version_of(written)
    named = set()
    for source, name in CODE.items():
        original = (root / source).read_text().splitlines()
        copy = (written / f"{name}{version}.py").read_text().splitlines()
        changed = [(a, b) for a, b in zip(original, copy, strict=False) if a != b]
        assert len(changed) == sum(bool(re.match(r"\s*from \.+\w", line)) for line in original)
        for line, flat in changed:
            module = re.match(r"\s*from (\.+)([\w.]+) import", line)
            folder = Path(source).parents[len(module[1]) - 1]
            wanted = CODE[(folder / f"{module[2].replace('.', '/')}.py").as_posix()]
            space = " " if name == OWN else ""  # diffusers follows those with one
            there = f"from {''.join(module.groups())}"
            assert flat == line.replace(there, f"from{space}.{wanted}{version}", 1)
        if name == OWN:
            named = {line.split()[1] for line in copy if line.strip().startswith("from .")}
            assert named == {f".{each}{version}" for each in CODE.values() if each != OWN}
        else:
            assert len(copy) == len(original)


def test_the_version_follows_the_code_and_other_versions_are_removed(
    make_pipeline, written, folder, monkeypatch
):
    assert version_of(folder) == f"_v{read_code(MoFRRPipeline).version}"
    pipeline = make_pipeline()
    text = (folder / f"mofrr_edits{version_of(folder)}.py").read_text()
    monkeypatch.setattr(
        MoFRRPipeline, "own_code", classmethod(lambda cls: {"mofrr_edits": text + "\n"})
    )
    pipeline.save_pretrained(folder)
    assert version_of(folder) != version_of(written)
    assert len(files_of(folder)) == len(files_of(written))
    assert not list(folder.rglob(f"*{version_of(written)}*"))


def test_imports_do_not_go_round_in_a_circle(written):
    """diffusers follows them by a pattern, without looking where it has been."""
    pattern = re.compile(r"^\s*from\s+\.(\S+)\s+import", re.MULTILINE)
    files = {each.stem: pattern.findall(each.read_text()) for each in written.glob("*.py")}

    def follow(name: str, passed: tuple[str, ...]) -> None:
        assert name not in passed, passed
        for other in files[name]:
            follow(other, (*passed, name))

    follow("block", ())


def test_nothing_local_and_nothing_pickled(pipe, photos, written, tmp_path, root):
    again = MoFRRPipeline.from_pretrained(written)
    again.save_pretrained(tmp_path / "again")
    for file in files_of(tmp_path / "again"):
        content = (tmp_path / "again" / file).read_bytes()
        assert str(written).encode() not in content
        assert str(root).encode() not in content
        assert b'"_name_or_path"' not in content or file.endswith(".py")
        assert not file.endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt"))
        assert not content.startswith((b"\x80\x02", b"\x80\x04", b"PK"))  # pickles, torch's zips
        if not file.endswith(".safetensors"):
            assert not ABSOLUTE_PATH.search(content.decode()), file
            assert not re.search(r"\bpickle\.|torch\.load\(|\bimport pickle", content.decode())
    same, different, errors = filecmp.cmpfiles(
        written, tmp_path / "again", files_of(written), shallow=False
    )
    assert (different, errors) == ([], [])
    assert files_of(tmp_path / "again") == sorted(same)


def test_loading_needs_no_trust_and_gives_the_same(pipe, photos, written):
    loaded = MoFRRPipeline.from_pretrained(written)
    torch.testing.assert_close(restore(loaded, photos), restore(pipe, photos), atol=1e-5, rtol=0)
    assert loaded.config["working_size"] == 32
    assert type(loaded.scheduler) is DDIMScheduler
    assert loaded.scheduler.config.prediction_type == "sample"
    assert not any(getattr(loaded, name).training for name in NETWORKS)


def test_diffusers_needs_no_flag_for_the_packages_own_pipelines(written):
    loaded = DiffusionPipeline.from_pretrained(written)
    assert type(loaded) is MoFRRPipeline
    part = DiffusionPipeline.from_pretrained(str(written), smoothing_expert=None)
    assert part.smoothing_expert is None
    remote = DiffusionPipeline.from_pretrained(written, trust_remote_code=True)
    assert type(remote).__module__.startswith("diffusers_modules")


def test_other_repositories_still_need_the_flag(folder):
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace('"MoFRRPipeline"', '"AnotherPipeline"'))
    with pytest.raises(ValueError, match="trust_remote_code"):
        DiffusionPipeline.from_pretrained(folder)
    with pytest.raises((ValueError, OSError), match="nowhere"):
        DiffusionPipeline.from_pretrained(str(folder / "nowhere"))


def test_a_component_that_is_given_is_not_read(pipe, photos, folder):
    shutil.rmtree(folder / "smoothing_expert")
    shutil.rmtree(folder / "whitening_expert")
    loaded = MoFRRPipeline.from_pretrained(
        folder, smoothing_expert=None, whitening_expert=pipe.whitening_expert, working_size=None
    )
    assert loaded.smoothing_expert is None
    assert loaded.config["working_size"] is None
    torch.testing.assert_close(restore(loaded, photos), restore(pipe, photos), atol=1e-5, rtol=0)


def test_unknown_arguments_are_refused(written, pipe, tmp_path):
    with pytest.raises(ValueError, match="device_map names 'auto'"):
        MoFRRPipeline.from_pretrained(written, device_map="auto")
    with pytest.raises(TypeError, match="repo"):
        pipe.save_pretrained(tmp_path / "x", repo="me/mine")
    with pytest.raises(ValueError, match="safetensors only"):
        pipe.save_pretrained(tmp_path / "x", safe_serialization=False)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file"):
        pipe.save_pretrained(tmp_path / "file")


def test_variants(make_pipeline, photos, tmp_path):
    make_pipeline().save_pretrained(tmp_path)
    make_pipeline().to(torch.float16).save_pretrained(tmp_path, variant="fp16")
    assert len((tmp_path / "SHA256SUMS").read_text().splitlines()) == 14
    assert MoFRRPipeline.from_pretrained(tmp_path).merger.dtype == torch.float32
    half = MoFRRPipeline.from_pretrained(tmp_path, variant="fp16", dtype=torch.float16)
    weight = half.merger.gain_head.weight
    stored = load_file(tmp_path / "merger" / "diffusion_pytorch_model.fp16.safetensors")
    assert torch.equal(weight, stored["gain_head.weight"])
    (tmp_path / "merger" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    mixed = MoFRRPipeline.from_pretrained(tmp_path, variant="fp16")
    assert mixed.merger.gain_head.weight.dtype == torch.float32
    with pytest.raises(ValueError, match="variant=int4"):
        MoFRRPipeline.from_pretrained(tmp_path, variant="int4")


def test_shards(pipe, photos, tmp_path):
    pipe.save_pretrained(tmp_path, max_shard_size="30KB")
    shards = sorted((tmp_path / "router").glob("*.safetensors"))
    assert len(shards) > 1
    loaded = MoFRRPipeline.from_pretrained(tmp_path)
    torch.testing.assert_close(restore(loaded, photos), restore(pipe, photos), atol=1e-5, rtol=0)


def test_the_card_is_carried_along_and_a_readme_stays(pipe, folder, tmp_path):
    (folder / "README.md").write_text("![a face](face.png) ![elsewhere](http://a/b.png)")
    (folder / "face.png").write_bytes(b"picture")
    loaded = MoFRRPipeline.from_pretrained(folder)
    loaded.save_pretrained(tmp_path / "carried")
    assert files_of(tmp_path / "carried") == files_of(folder)
    (folder / "README.md").write_text("by hand")
    loaded.save_pretrained(tmp_path / "carried")
    assert (tmp_path / "carried" / "README.md").read_text().startswith("![a face]")
    pipe.save_pretrained(folder)
    assert (folder / "README.md").read_text() == "by hand"


def test_pushing_uploads_the_same_folder(pipe, written, monkeypatch, tmp_path):
    uploads = []

    class Created:
        repo_id = "me/mine"

    def upload(repo_id, folder_path, **options):
        shutil.copytree(folder_path, tmp_path / f"upload{len(uploads)}")
        uploads.append((repo_id, options))

    monkeypatch.setattr(frr_repository, "create_repo", lambda *given, **options: Created)
    monkeypatch.setattr(frr_repository, "upload_folder", upload)
    pipe.push_to_hub("mine", token="t")
    pipe.save_pretrained(tmp_path / "mine", push_to_hub=True, create_pr=True)
    assert [repo_id for repo_id, _ in uploads] == ["me/mine"] * 2
    assert uploads[0][1]["token"] == "t" and uploads[1][1]["create_pr"]
    for i in range(2):
        assert files_of(tmp_path / f"upload{i}") == files_of(written)


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """Makes a package whose folders are rooms, and gives its pipeline's class."""

    def make(**files: str):
        package = tmp_path / "odd_package"
        for name, text in files.items():
            file = package / f"{name.replace('__', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        for folder in (package, *(each for each in package.iterdir() if each.is_dir())):
            (folder / "__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
        for name in [name for name in sys.modules if name.startswith("odd_package")]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        return importlib.import_module("odd_package.pipelines.odd").Odd

    return make


def test_what_the_pipelines_file_does_not_name_itself_is_named_at_its_end(odd):
    kind = odd(
        pipelines__odd="from .first import A\n\nclass Odd:\n    pass\n",
        pipelines__first="from ..models.second import A\n",
        models__second="A = 1\n",
    )
    code = read_code(kind)
    assert set(code_files(kind)) == {f"{n}_v{code.version}.py" for n in ("odd", "first", "second")}
    last = code.texts["odd"].splitlines()[-1]
    assert last == f"from .second_v{code.version} import __doc__ as _second"


def test_two_files_of_one_flat_name_are_refused(odd):
    kind = odd(
        pipelines__odd="from ..models.same import A\nfrom .same import B\nclass Odd:\n    pass\n",
        pipelines__same="B = 1\n",
        models__same="A = 1\n",
    )
    with pytest.raises(ValueError, match=r"odd_package\.models\.same"):
        code_files(kind)
