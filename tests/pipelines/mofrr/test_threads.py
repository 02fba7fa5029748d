"""Calls are independent: threads on one pipeline get what each would get alone."""

import threading
from concurrent.futures import ThreadPoolExecutor

import torch

THREADS = 8


def test_eight_threads_with_different_settings_get_what_they_would_get_alone(pipe, photos):
    """Steps meet at barriers, so that calls that shared a scheduler would take each other's."""
    settings = [
        {"num_inference_steps": 1 + place % 4, "strength": 1 - place / 16, "seed": place}
        for place in range(THREADS)
    ]

    def call(setting, on_step=None):
        given = {**setting, "generator": torch.Generator().manual_seed(setting["seed"])}
        del given["seed"]
        wishes = {"operations": {"whitening", "eye_enlarging"}, "output_type": "pt"}
        return pipe(photos, **wishes, **given, callback_on_step_end=on_step).images

    alone = [call(setting) for setting in settings]
    together = threading.Barrier(THREADS)

    def call_among_others(setting):
        met = False

        def meet(_pipe, _index, _timestep, tensors):
            nonlocal met
            if not met:
                met = True
                together.wait(60)
            return tensors

        return call(setting, meet)

    with ThreadPoolExecutor(THREADS) as threads:
        results = list(threads.map(call_among_others, settings))
    for place, (one, other) in enumerate(zip(alone, results, strict=True)):
        assert torch.allclose(one, other, atol=1e-5), place


def test_a_call_leaves_the_pipelines_scheduler_alone(make_pipeline, photos):
    pipeline = make_pipeline()
    before = pipeline.scheduler.timesteps.clone()
    pipeline(photos, operations={"whitening"}, num_inference_steps=3)
    assert torch.equal(pipeline.scheduler.timesteps, before) and pipeline.num_timesteps == 3
