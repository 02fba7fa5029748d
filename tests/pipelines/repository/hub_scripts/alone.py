"""Without the package: load folders by the code they hold, run their pipelines, save them again.

Arguments: a file of {name: {"folder": path, "calls": {name: [method, arguments]}}}, and an empty
folder. There, NAME.pt gets what the calls gave, or the error, and NAME what was saved again.
"""

import sys
import traceback
from pathlib import Path

import torch


class NoPackage:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "frr":
            raise ModuleNotFoundError(f"No module named {name!r}")


sys.meta_path.insert(0, NoPackage())
from diffusers import DiffusionPipeline  # noqa: E402


def load(folder, **parts):
    pipe = DiffusionPipeline.from_pretrained(folder, trust_remote_code=True, **parts)
    pipe.set_progress_bar_config(disable=True)
    assert type(pipe).__module__.startswith("diffusers_modules"), type(pipe)
    return pipe


def run(pipe, method, arguments):
    torch.manual_seed(0)
    output = getattr(pipe, method)(**arguments, output_type="pt")
    return [output.images, getattr(output, "routing", None)]


def load_in_parts(pipe, folder, again):
    """More of one folder: loaded without a part, and as saved again; bad input is refused."""
    assert len({type(getattr(pipe, f"{name}_expert")) for name in pipe.operations}) == 1
    assert load(folder, smoothing_expert=None).smoothing_expert is None
    own = type(pipe).from_pretrained(again)
    assert type(own.whitening_expert) is type(pipe.whitening_expert)
    try:
        pipe(torch.full((1, 3, 24, 30), 300.0))
    except ValueError as error:
        assert "[0, 1]" in str(error)
    else:
        raise AssertionError("bad input went through")


def made_of(name, job):
    sys.stderr.write(f"== {name}\n")
    pipe = load(job["folder"])
    made = {call: run(pipe, *given) for call, given in job["calls"].items()}
    if "old" in job:  # what wrote the first layout is not asked to write it again
        return made
    pipe.save_pretrained(work / name)
    if "in_parts" in job:
        second = load(job["folder"])  # a second time in one process
        for call, given in job["calls"].items():
            assert torch.equal(run(second, *given)[0], made[call][0])
        load_in_parts(pipe, job["folder"], work / name)
    return made


work = Path(sys.argv[2])
for name, job in torch.load(sys.argv[1], weights_only=True).items():
    try:
        made = made_of(name, job)
    except Exception:
        made = {"error": traceback.format_exc()}
    torch.save(made, work / f"{name}.pt")
assert not [name for name in sys.modules if name.partition(".")[0] == "frr"]
