"""Training that is killed at random: no checkpoint lost, no log line twice, the same end."""

import json
import os
import random
import shutil
import signal
import threading
import time

import pytest
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from tqdm import tqdm

from frr.training.loop import LoopConfig, train
from frr.training.run_folder import RunFolder

CONFIG = LoopConfig(steps=25, warmup=1, save_seconds=0, log_every=1)


class Line(ModelMixin, ConfigMixin):
    """The smallest network there is."""

    @register_to_config
    def __init__(self, width: int = 2) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))


class Stage:
    """Draws the weights to numbers that come at random."""

    def __init__(self) -> None:
        self.model = Line()

    def losses(self, rng) -> dict[str, torch.Tensor]:
        time.sleep(0.002)
        wanted = torch.from_numpy(rng.normal(size=2)).float()
        return {"distance": (self.model.weight - wanted).square().mean()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict[str, torch.Tensor]:
    folder = tmp_path_factory.mktemp("whole")
    train(Stage(), CONFIG, folder)
    return Line.from_pretrained(folder / "model").state_dict()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@given(seed=st.integers(0, 2**32))
def test_training_that_is_killed(seed, undisturbed, tmp_path_factory, tried):
    tried()
    tqdm.set_lock(threading.RLock())  # its own is shared with children, who die with it
    rng, folder = random.Random(seed), RunFolder(tmp_path_factory.mktemp("killed") / "run")
    last = 0
    for _ in range(rng.randint(1, 3)):
        child = os.fork()
        if child == 0:
            os.close(2)
            train(Stage(), CONFIG, folder.path)
            os._exit(0)
        time.sleep(rng.uniform(0, 0.4))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        state = folder.load_checkpoint()
        step = 0 if state is None else state["step"]
        assert step >= last, "a checkpoint was lost"
        last = step
    model = train(Stage(), CONFIG, folder.path)
    steps = [json.loads(line)["step"] for line in folder.log.read_text().splitlines()]
    assert steps == list(range(1, CONFIG.steps + 1))
    for name, value in Line.from_pretrained(model).state_dict().items():
        assert torch.equal(value, undisturbed[name])
    shutil.rmtree(folder.path)
