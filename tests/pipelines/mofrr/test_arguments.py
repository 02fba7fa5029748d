"""Arguments that cannot be meant: one line that says what came and what was expected."""

import numpy as np
import pytest
import torch

from frr.pipelines.operations import OPERATIONS

LATENTS = (2, len(OPERATIONS) + 1, 3, 8, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"generator": 42}, "generator is 42; expected a torch.Generator"),
        ({"generator": [torch.Generator(), 1]}, "generator is 1"),
        ({"num_samples": 10**12}, "num_samples is 1000000000000; .* at most 1000"),
        ({"num_inference_steps": 10**9}, "num_inference_steps is"),
        ({"num_samples": 2.0}, "num_samples is 2.0"),
        ({"working_size": -5}, "working_size is -5"),
        ({"working_size": True}, "working_size is True"),
        ({"working_size": torch.ones(2)}, "working_size is tensor"),
        ({"strength": "1"}, "strength is '1'"),
        ({"output_type": ["pil"]}, "output_type is"),
        ({"callback_on_step_end": 3}, "callback_on_step_end is 3"),
        ({"latents": torch.full(LATENTS, torch.nan)}, "latents hold NaN"),
        ({"latents": 3}, "latents of shape int"),
        ({"image": torch.zeros(0, 3, 24, 30)}, "no pixels"),
        ({"image": np.zeros((0, 24, 30, 3))}, "no pixels"),
        ({"image": torch.zeros(2, 3, 24, 30, device="meta")}, "dense"),
    ],
)
def test_wrong_arguments_are_named(pipe, photos, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        pipe(**{"image": photos, "operations": {"whitening"}, **arguments})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "returned None; expected the dict"),
        ({"latents": None}, "returned latents None; expected a tensor"),
        ({"latents": torch.zeros(1)}, r"returned latents \(1,\)"),
    ],
)
def test_a_callback_that_returns_something_else(pipe, photos, answer, message):
    with pytest.raises(TypeError, match=message):
        pipe(photos, operations={"whitening"}, callback_on_step_end=lambda *_: answer)


def test_numbers_of_numpy_are_numbers(pipe, photos, seeded):
    def call(number, count):
        given = {"degrees": {"whitening": number(0.5)}, "strength": number(0.75)}
        given |= {"num_inference_steps": count(2), "working_size": count(32)}
        wishes = {"operations": {"whitening"}, "generator": seeded(), "output_type": "pt"}
        return pipe(photos, **given, **wishes)

    plain, output = call(float, int), call(np.float32, np.int64)
    assert torch.equal(plain.images, output.images)
    assert torch.equal(plain.degrees, output.degrees)


def test_a_pipeline_is_not_made_with_a_working_size_below_the_least(make_pipeline):
    with pytest.raises(ValueError, match="working_size is -5"):
        make_pipeline(working_size=-5)
