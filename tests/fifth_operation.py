"""Run in a copy of the package whose list of operations has a fifth line: everything follows it.

Arguments: an empty folder to work in. The copy is importable as `frr`.
"""

import asyncio
import importlib.util
import json
import sys
from pathlib import Path

import torch
from click.testing import CliRunner

HERE, work = Path(__file__).resolve().parent, Path(sys.argv[1])


def load(name: str, file: Path):
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


sys.path.insert(0, str(HERE))  # pytest does this for its own run; "-P" leaves it out here
stub = load("stub_host", HERE / "nodes" / "stub_host.py")
sys.modules.update(stub.modules(work / "models"))
import tiny_mofrr as tiny  # noqa: E402

commands = load("command_fixtures", HERE / "cli" / "conftest.py")

import frr  # noqa: E402
from frr.cli import main  # noqa: E402
from frr.pipelines.operations import OPERATIONS, label  # noqa: E402

FIFTH = "lip_tinting"
assert OPERATIONS[-1] == FIFTH and label(FIFTH) == "lip tinting"

# The pipeline: an expert for each operation, found, routed, saved and loaded.
router = tiny.stir(tiny.RetouchRouter(**tiny.ROUTER, operations=OPERATIONS))
merger = tiny.ExpertMerger(operations=OPERATIONS, channels=(8, 8))
lips = tiny.stir(tiny.WaveFRRExpert(**tiny.EXPERT, has_tone_head=True))
pipe = tiny.build(router=router, merger=merger, lip_tinting_expert=lips)
photo = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0))
noise = torch.Generator().manual_seed(0)
restored = pipe(photo, operations={FIFTH}, generator=noise, output_type="pt")
assert restored.active.tolist() == [[name == FIFTH for name in OPERATIONS]]
pipe.save_pretrained(work / "model")
again = frr.MoFRRPipeline.from_pretrained(work / "model")
assert again.operations == OPERATIONS


# The nodes: inputs for it, and the same picture.
async def ask():
    extension = await frr.comfy_entrypoint()
    return {node.define_schema().node_id: node for node in await extension.get_node_list()}


nodes = asyncio.run(ask())
from frr.nodes.mofrr_model import MoFRRModel  # noqa: E402

decisions = dict.fromkeys(OPERATIONS, "off") | {f"{name}_degree": 0.0 for name in OPERATIONS}
decisions[FIFTH] = "on"
inputs = {each.id: each for each in nodes["MoFRRRestore"].define_schema().inputs}
assert set(decisions) <= set(inputs) and "lip tinting" in inputs[FIFTH].options["tooltip"]
model = MoFRRModel(again, "five")
image = photo.movedim(1, -1)
made = nodes["MoFRRRestore"].execute(image, model, 1, 0, 1.0, 1, 0, "pictures", **decisions)
noise = torch.Generator().manual_seed(0)  # to the bit for the same weights: not those saved from
expected = again(photo, operations={FIFTH}, generator=noise, output_type="pt").images
assert torch.equal(made[0].movedim(-1, 1), expected)
assert torch.allclose(expected, restored.images, atol=1e-5)
assert "lip tinting: probability" in made[4]
routing = nodes["MoFRRRoute"].execute(image, model, 0, "pictures")[0]
routing = nodes["MoFRREditRouting"].execute(routing, **decisions)[0]
assert routing.routing.active.tolist() == [[name == FIFTH for name in OPERATIONS]]
degrees = dict.fromkeys(OPERATIONS, 0.0) | {FIFTH: 1.0}
algorithms = {f"{name}_algorithm": "any" for name in OPERATIONS}
tinted = nodes["RetouchSimulate"].execute(image, 0, 100, **degrees, **algorithms)
assert json.loads(tinted[2])["steps"][0]["operation"] == FIFTH


# The command line: simulate, restore, judge, write the card.
def run(*arguments) -> str:
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


(work / "faces").mkdir()
for seed in range(2):
    commands.face_like(seed).save(work / "faces" / f"{seed}.png")
run("simulate", work / "faces" / "0.png", "-o", work / "retouched", "--operations", FIFTH)
chosen = ["--model", work / "model", "--operations", FIFTH]
run("restore", work / "faces" / "0.png", "-o", work / "restored", *chosen)
report = json.loads((work / "restored" / "0.json").read_text())
assert FIFTH in json.dumps(report)
judged = ["--size", 64, "--limit", 1, "--steps", 1, "--split", "seen", "--model", work / "model"]
run("evaluate", "--faces", work / "faces", "-o", work / "judged", "--routing", "given", *judged)
run("card", "--model", work / "model", "--evaluation", work / "judged" / "given.json")
card = (work / "model" / "README.md").read_text()
assert FIFTH in card or "lip tinting" in card
