"""With the package: push repositories, then load them by id without the flag."""

import json
import socket
import sys
from pathlib import Path

import torch

import frr  # noqa: F401

assert "diffusers" not in sys.modules
from diffusers import DDIMPipeline, DiffusionPipeline  # noqa: E402

from frr import MoFRRPipeline  # noqa: E402
from frr.pipelines.repository.code import read_code  # noqa: E402

folder, work = map(Path, sys.argv[1:])
photos = torch.load(work / "photos.pt", weights_only=True)
facts = {}
connect = socket.socket.connect


def restore(pipe):
    pipe.set_progress_bar_config(disable=True)
    noise = torch.Generator().manual_seed(0)
    wishes = {"operations": ("whitening", "eye_enlarging"), "num_inference_steps": 2}
    return pipe(photos, generator=noise, output_type="pt", **wishes).images


pipe = MoFRRPipeline.from_pretrained(folder)
facts["url"] = pipe.push_to_hub("me/whole").commit_url
pipe.push_to_hub("me/whole")  # again: a second commit of the same files
pipe.push_to_hub("me/sharded", max_shard_size="30KB")

half = MoFRRPipeline.from_pretrained(folder, dtype=torch.float16)
half.save_pretrained(work / "both")
pipe.save_pretrained(work / "both")
half.save_pretrained(work / "both", variant="fp16", push_to_hub=True, repo_id="me/both")

loaded = DiffusionPipeline.from_pretrained("me/whole")
facts["class"] = type(loaded) is MoFRRPipeline
torch.save(restore(loaded), work / "no_flag.pt")
facts["remote modules"] = [name for name in sys.modules if "diffusers_modules.local." in name]
wishes = {"variant": "fp16", "torch_dtype": torch.float16, "smoothing_expert": None}
part = DiffusionPipeline.from_pretrained("me/both", **wishes)
facts["subset"] = [part.smoothing_expert is None, str(part.merger.dtype)]
sent = []
socket.socket.connect = lambda self, address: sent.append(address)
cached = DiffusionPipeline.from_pretrained("me/both", local_files_only=True, **wishes)
facts["offline"] = [cached.smoothing_expert is None, str(cached.merger.dtype), len(sent)]
socket.socket.connect = connect
try:
    DDIMPipeline.from_pretrained("me/whole")
except ValueError as error:
    facts["other class"] = str(error)

code = read_code(MoFRRPipeline)
source = code.texts["mofrr_edits"].replace(f"_v{code.version}", "")
other = source.replace("flow=flow, residual=residual", "flow=flow, residual=residual * 0")
assert other != source
MoFRRPipeline.own_code = classmethod(lambda cls: {"mofrr_edits": other})
pipe.push_to_hub("me/whole")
pipe.save_pretrained(work / "other")
(work / "pushed.json").write_text(json.dumps(facts))
