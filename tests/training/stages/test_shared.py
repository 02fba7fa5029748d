"""Stage `shared`: it learns what the expert predicts."""

import numpy as np
import pytest
import torch

from frr.models.mofrr.shared import SharedExpert
from frr.training.stages.shared import SharedStage

SMALL = {"channels": (16, 16), "attention_levels": ()}


@pytest.mark.parametrize(("kind", "timesteps"), [("sample", 1000), ("epsilon", 200)])
def test_the_schedule_and_the_loss_are_those_of_the_prediction(source, kind, timesteps):
    torch.manual_seed(0)
    stage = SharedStage(SharedExpert(**SMALL, prediction_type=kind), source, batch_size=2)
    assert stage.scheduler.config.num_train_timesteps == timesteps
    losses = stage.losses(np.random.default_rng(0))
    assert set(losses) == {"simple", "space"}
    # untrained, one answers with the photo, the other with no noise at all
    assert (losses["simple"] > 0.5) == (kind == "epsilon")
    sum(losses.values()).backward()
    assert stage.model.denoiser.conv_out.weight.grad.any()


def test_what_cannot_be_predicted_is_refused():
    with pytest.raises(ValueError, match="expected 'sample' or 'epsilon'"):
        SharedExpert(**SMALL, prediction_type="velocity")
