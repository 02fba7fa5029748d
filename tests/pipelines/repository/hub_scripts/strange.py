"""Without the package: load by id and by folder what was pushed, and repositories with damage."""

import json
import shutil
import sys
from pathlib import Path

import torch


class NoPackage:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "frr":
            raise ModuleNotFoundError(f"No module named {name!r}")


sys.meta_path.insert(0, NoPackage())
import diffusers.modular_pipelines.components_manager as manager  # noqa: E402
from diffusers import ComponentsManager, DiffusionPipeline, ModularPipeline  # noqa: E402

folder, work, sha = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
photos = torch.load(work / "photos.pt", weights_only=True)
facts = {}


def load(name, **options):
    pipe = DiffusionPipeline.from_pretrained(name, trust_remote_code=True, **options)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def restore(pipe):
    noise = torch.Generator().manual_seed(0)
    wishes = {"operations": ("whitening", "eye_enlarging"), "num_inference_steps": 2}
    return pipe(photos, generator=noise, output_type="pt", **wishes).images


def message(**options):
    """What loading says."""
    try:
        DiffusionPipeline.from_pretrained(**options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return "loaded"


def damaged(name, spoil):
    copy = Path(shutil.copytree(work / "shards", work / name))
    spoil(copy)
    options = {"pretrained_model_name_or_path": str(copy), "trust_remote_code": True}
    return message(**options)


def change(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def cut(file):
    file.write_bytes(file.read_bytes()[:-8])


pipe = load("me/whole", revision=sha)
classes = {type(getattr(pipe, f"{name}_expert")) for name in pipe.operations}
facts["expert classes"] = len(classes)
facts["parameters"] = sum(p.numel() for p in pipe.merger.parameters())
images = restore(pipe)
torch.save(images, work / "by_id.pt")
facts["sharded"] = torch.allclose(restore(load("me/sharded")), images, atol=1e-5)

dtypes = {"router": torch.float32, "default": torch.bfloat16}
mixed = load("me/both", variant="fp16", smoothing_expert=None, torch_dtype=dtypes)
facts["dtypes"] = [str(mixed.router.dtype), str(mixed.merger.dtype)]
facts["left out"] = mixed.smoothing_expert is None

other = load("me/whole")  # the head: the same repository with other code
facts["versions"] = [type(each).__module__ for each in (pipe, other)]
facts["shared classes"] = type(other.merger) is type(pipe.merger)
facts["first unchanged"] = torch.equal(restore(pipe), images)
facts["second differs"] = not torch.allclose(restore(other), images, atol=1e-3)
pipe.save_pretrained(work / "again")
pipe.save_pretrained(work / "shards", max_shard_size="30KB")
try:
    other.merger = pipe.merger
    other.save_pretrained(work / "mixed")
except ValueError as error:
    facts["mixed"] = str(error)
pipe.push_to_hub("me/from_afar")


def modular(**options):
    return ModularPipeline.from_pretrained("me/from_afar", trust_remote_code=True, **options)


def by_blocks(blocks, **wishes):
    noise = torch.Generator().manual_seed(0)
    options = {"num_inference_steps": 2, "output_type": "pt"}
    return blocks(image=photos, generator=noise, output="images", **options, **wishes)


def by_pipeline(operations):
    noise = torch.Generator().manual_seed(0)
    options = {"num_inference_steps": 2, "output_type": "pt"}
    return pipe(photos, generator=noise, operations=operations, **options).images


asked = getattr(manager, "TorchDeviceBackend", torch.cpu)  # diffusers of before 0.40 asks torch
asked.mem_get_info = lambda *_: (2**40, 2**40)  # the CPU does not tell
memory = ComponentsManager()
memory.enable_auto_cpu_offload(device="cpu")
blocks = modular(components_manager=memory)
blocks.load_components(workflow="whitening")
facts["whitening"] = sorted(name for name, part in blocks.components.items() if part is not None)
expected = by_pipeline({"whitening"})
facts["modular"] = {"whitening": torch.equal(by_blocks(blocks, whitening=True), expected)}
blocks.load_components()
wishes = {"whitening": True, "eye_enlarging": True}
facts["modular"]["restore"] = torch.equal(by_blocks(blocks, **wishes), images)
facts["modular"]["routed"] = torch.equal(by_blocks(blocks), by_pipeline(None))
hooked = (hasattr(getattr(blocks, name), "_hf_hook") for name in ("router", "merger"))
facts["modular"]["offloaded"] = all(hooked)

facts["no flag"] = message(pretrained_model_name_or_path="me/whole")
merger = "diffusion_pytorch_model.safetensors"
facts["missing component"] = damaged("a", lambda copy: shutil.rmtree(copy / "merger"))
facts["missing weights"] = damaged("b", lambda copy: (copy / "merger" / merger).unlink())
facts["renamed class"] = damaged(
    "c", lambda copy: change(copy / "model_index.json", "ExpertMerger", "ExpertFuser")
)
shard = sorted((work / "shards" / "router").glob("*.safetensors"))[-1].name
facts["shard"] = shard
facts["corrupt shard"] = damaged("d", lambda copy: cut(copy / "router" / shard))
facts["missing shard"] = damaged("e", lambda copy: (copy / "router" / shard).unlink())
assert not [name for name in sys.modules if name.partition(".")[0] == "frr"]
(work / "strange.json").write_text(json.dumps(facts, indent=1))
